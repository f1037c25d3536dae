//! Teaching a model a thing from pictures of it, and what a file is said to be that somebody opens: an edit, an adapter or neither.

#[allow(dead_code)] // no tensors are compared here
mod tiny;

use std::ops::ControlFlow;

use burn::tensor::Device;
use fourstep::edit::adapt::{AdaptRequest, adapt, reached, to_bytes};
use fourstep::edit::fit::{Ended, StageOptions, StageStep};
use fourstep::edit::imagic::{Drawn, Imagic, ImagicRequest, Stage};
use fourstep::edit::recognised::Recognised;
use fourstep::picture::Picture;
use fourstep::pipeline::{LoadOptions, Pipeline, Settings, StepEvent};
use fourstep::weights::{Lora, MemoryFiles, serialize};
use serde_json::Map;
use tiny::{files, golden};

fn tiny_model(loras: &[Lora<'_>]) -> Pipeline {
    let options = LoadOptions { loras, ..LoadOptions::default() };
    Pipeline::load_with(&files("families/tiny-2", &Map::new()), &options, &Device::flex()).unwrap()
}

fn picture() -> Picture {
    Picture::opaque(32, 24, (0..32 * 24 * 3).map(|i| (i * 7 % 251) as u8).collect())
}

fn drawn(pipeline: &Pipeline, prompt: &str) -> Picture {
    let settings =
        Settings { prompt: prompt.into(), seed: 1, width: Some(32), height: Some(24), ..Settings::default() };
    let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
    let request = pipeline.request_of(settings).unwrap();
    pollster::block_on(pipeline.generate(&request, &mut on_step)).unwrap().0.swap_remove(0)
}

#[test]
fn adapters_teach_a_thing_from_several_pictures() {
    let pipeline = tiny_model(&[]);
    let before = drawn(&pipeline, "a red fox");
    let mirrored = |image: Picture| {
        let rows = image.rgb.chunks_exact(3 * image.width).flat_map(|row| row.chunks_exact(3).rev().flatten().copied());
        Picture::opaque(image.width, image.height, rows.collect())
    };
    let images = vec![picture(), mirrored(picture())];
    let options = StageOptions { steps: 80, learning_rate: 2e-2, batch: 3, seed: 1 };
    let request = AdaptRequest { options, ..AdaptRequest::new(images.clone(), "a zib", 1) };
    let taught = |request: &AdaptRequest, stop: Option<usize>| {
        let mut on_step = async |step: StageStep<'_>| match Some(step.index + 1) == stop {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        pollster::block_on(adapt(&pipeline, request, &mut on_step))
    };
    let (adapters, _) = taught(&request, None).unwrap();
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (first, last) = (mean(&adapters.losses[..20]), mean(&adapters.losses[60..]));
    println!("{first} to {last}");
    assert!(last < first && adapters.ended == Ended::Finished, "{first} to {last}");
    let stopped = taught(&request, Some(7)).unwrap().0;
    assert_eq!((stopped.ended, &stopped.losses[..]), (Ended::Stopped, &adapters.losses[..7]));
    // The file is an adapter like any other; the model that taught it is as it was.
    let bytes = pollster::block_on(to_bytes(&adapters, "a zib"));
    let lora = Lora::parse("of/zib.safetensors", &bytes, 1.0).unwrap();
    let label = lora.label();
    assert!(label.starts_with("zib: ") && label.len() == 17, "{label}");
    let other = tiny_model(&[lora]);
    assert_ne!(drawn(&other, "a red fox"), before);
    assert_eq!(drawn(&pipeline, "a red fox"), before);
    // What was shown while it learned is what the file draws.
    let shown = pollster::block_on(reached(&pipeline, &request, &adapters.factors)).unwrap();
    assert!(shown.rgb.iter().zip(&drawn(&other, "a zib").rgb).all(|(a, b)| a.abs_diff(*b) <= 1));
    let refused = |request: AdaptRequest, words: &str| {
        let Err(error) = taught(&request, None) else { panic!("{words}: not refused") };
        assert!(error.to_string().contains(words), "{error}");
    };
    refused(AdaptRequest { images: vec![], ..request.clone() }, "0 pictures: use 1 to 8");
    refused(AdaptRequest { images: vec![picture(); 9], ..request.clone() }, "9 pictures: use 1 to 8");
    refused(AdaptRequest { prompt: " ".into(), ..request.clone() }, "say what the pictures show");
    refused(AdaptRequest { rank: 0, ..request.clone() }, "rank = 0: use 1 to 128");
    let small = Picture::opaque(16, 16, vec![9; 16 * 16 * 3]);
    refused(AdaptRequest { images: vec![picture(), small], ..request }, "pictures of 32 x 24 and 16 x 16 pixels");
}

#[test]
fn a_file_is_recognised_by_its_header() {
    let recognised = |bytes: Vec<u8>| {
        let mut files = MemoryFiles::default();
        files.insert("a.safetensors", bytes);
        Recognised::from_header(&files, "a.safetensors")
    };
    let pipeline = tiny_model(&[]);
    let options = StageOptions { steps: 1, learning_rate: 1e-2, batch: 1, seed: 1 };
    let (embedding, adapters) = (options.clone(), options.clone());
    let request = ImagicRequest { embedding, adapters, ..ImagicRequest::new(picture(), "a blue fox", 1) };
    let mut on_step = async |_: Stage, _: StageStep<'_>| ControlFlow::Continue(());
    let edit = pollster::block_on(Imagic::fit(&pipeline, &request, &mut on_step)).unwrap();
    let edit = pollster::block_on(edit.to_bytes(&Drawn { seed: 5, steps: Some(3), guidance_scale: None }));
    assert_eq!(recognised(edit.clone()), Some(Recognised::Edit { prompt: "a blue fox".into() }));
    let request = AdaptRequest { options, ..AdaptRequest::new(vec![picture()], "a zib", 1) };
    let mut on_step = async |_: StageStep<'_>| ControlFlow::Continue(());
    let (adapters, _) = pollster::block_on(adapt(&pipeline, &request, &mut on_step)).unwrap();
    let taught = pollster::block_on(to_bytes(&adapters, "a zib"));
    assert_eq!(recognised(taught.clone()), Some(Recognised::Adapter { prompt: Some("a zib".into()) }));
    let of_others = serialize(&pollster::block_on(adapters.matrices()), Default::default());
    assert_eq!(recognised(of_others), Some(Recognised::Adapter { prompt: None }));
    // Whole models, broken files and others are neither.
    let weights = std::fs::read(golden("families/pipelines/tiny/unet/diffusion_pytorch_model.safetensors")).unwrap();
    for other in
        [weights, taught[..taught.len() - 1].to_vec(), edit[..100].to_vec(), vec![], b"<!DOCTYPE html>".to_vec()]
    {
        assert_eq!(recognised(other), None);
    }
}
