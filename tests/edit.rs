//! Edits without training: the numbers of the papers' own equations in Python (tests/reference/edits_golden.py), and the
//! command.

mod copied;
mod tiny;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Command, Output};

use burn::tensor::{Device, Tensor, TensorData};
use fourstep::edit::{self, EditRequest, Method};
use fourstep::picture::Picture;
use fourstep::pipeline::{Pipeline, Settings, StepEvent};
use fourstep::random::{Generator, Mt19937};
use fourstep::weights::DirFiles;
use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::Value;
use tiny::{files, floats, golden, relative_l2};

use copied::copy;

const CASES: [&str; 9] = [
    "flowedit_v",
    "flowedit_v_zero_snr",
    "flowedit_eps_part",
    "flowedit_embedded_guidance",
    "flowedit_alpha",
    "infedit_v",
    "infedit_v_zero_snr",
    "infedit_eps",
    "infedit_consistency",
];

/// A case of edits.json.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // how far Python's own float32 is off
struct Case {
    name: String,
    method: String,
    pipeline: String,
    seed: u64,
    #[serde(default)]
    scheduler: serde_json::Map<String, Value>,
    source_prompt: String,
    target_prompt: String,
    negative_prompt: String,
    num_inference_steps: usize,
    strength: f64,
    source_guidance_scale: f32,
    target_guidance_scale: f32,
    n_avg: usize,
    n_min: usize,
    width: usize,
    height: usize,
    tolerance: f64,
    float32_rel_l2: f64,
}

fn request(case: &Case, image: Picture) -> EditRequest {
    EditRequest {
        method: if case.method == "flowedit" { Method::FlowEdit } else { Method::InfEdit },
        image,
        source_prompt: case.source_prompt.clone(),
        target_prompt: case.target_prompt.clone(),
        negative_prompt: case.negative_prompt.clone(),
        num_inference_steps: case.num_inference_steps,
        strength: case.strength,
        source_guidance_scale: case.source_guidance_scale,
        target_guidance_scale: case.target_guidance_scale,
        n_avg: case.n_avg,
        n_min: case.n_min,
        seed: case.seed,
    }
}

async fn on_step(_: StepEvent<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn edits_are_those_of_the_papers_equations() {
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(golden("edits/edits.json")).unwrap()).unwrap();
    let listed: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(listed, BTreeSet::from(CASES), "the cases of edits.json");
    let bytes = std::fs::read(golden("edits/edits.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), 3 * CASES.len(), "{:?}", file.names());
    let device = Device::flex();
    let mut wrong = Vec::new();
    for case in &cases {
        let pipeline = Pipeline::load(&files(&case.pipeline, &case.scheduler), &device).unwrap();
        let bytes = file.tensor(&format!("{}.image_u8", case.name)).unwrap().data();
        let image = match bytes.len() == 3 * case.width * case.height {
            true => Picture::opaque(case.width, case.height, bytes.to_vec()),
            false => Picture::from_rgba(case.width, case.height, bytes).unwrap(),
        };
        let mut generator = Mt19937::new(case.seed);
        let mut noise = |shape: [usize; 4]| {
            let values = generator.randn(shape.iter().product());
            Tensor::from_data(TensorData::new(values, shape), &device)
        };
        let request = request(case, image);
        let output = pollster::block_on(edit::run(&pipeline, &request, &mut noise, &mut on_step)).unwrap();
        for (name, ours) in [("latents", output.latents), ("decoded", output.decoded)] {
            let ours: Vec<f32> = ours.into_data().iter::<f32>().collect();
            let error = relative_l2(&ours, &floats(&file, &format!("{}.{name}", case.name)));
            println!("{} {name}: {error:.1e}", case.name);
            if error.is_nan() || error > case.tolerance {
                wrong.push(format!("{} {name}: {error:.1e}, allowed {:.0e}", case.name, case.tolerance));
            }
        }
        if case.pipeline == "families/tiny" {
            the_same_words_change_nothing(&pipeline, &request);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Beyond what the autoencoder does, in both methods.
fn the_same_words_change_nothing(pipeline: &Pipeline, request: &EditRequest) {
    let same = EditRequest {
        target_prompt: request.source_prompt.clone(),
        target_guidance_scale: request.source_guidance_scale,
        n_min: 0,
        ..request.clone()
    };
    let (edited, _) = pollster::block_on(edit::edit(pipeline, &same, &mut on_step)).unwrap();
    let latents = pipeline.encode(request.image.to_tensor(pipeline.channels(), pipeline.device()));
    let kept = pollster::block_on(Picture::from_tensor(pipeline.decode(latents))).unwrap().swap_remove(0);
    assert_eq!(edited, kept);
}

#[test]
fn settings_become_an_edit_that_says_what_it_is() {
    let pipeline = Pipeline::load(&files("families/tiny", &serde_json::Map::new()), &Device::flex()).unwrap();
    let image = Picture::filled(32, 32, [9, 99, 200]);
    let settings = Settings { prompt: "a blue fox".into(), seed: 7, image: Some(image.clone()), ..Settings::default() };
    let of = |settings: Settings| EditRequest::of(&pipeline, Method::InfEdit, "a fox, green", settings);
    let request = of(settings.clone()).unwrap();
    let own = EditRequest::new(&pipeline, Method::InfEdit, image.clone(), "a fox, green", "a blue fox");
    assert_eq!(request, EditRequest { seed: 7, ..own });
    let text = request.infotext(&pipeline, "tiny").unwrap().to_string();
    let edit = "Denoising strength: 0.75, Edit method: InfEdit, Edit from: \"a fox, green\", RNG: CPU";
    assert!(text.starts_with("a blue fox\nSteps: ") && text.contains(edit) && !text.contains("Sampler"), "{text}");
    for (wrong, part) in [
        (Settings { image: None, ..settings.clone() }, "needs an image"),
        (Settings { mask: Some(image), ..settings.clone() }, "takes no mask"),
        (Settings { width: Some(64), ..settings.clone() }, "they must agree"),
        (Settings { steps: Some(0), ..settings }, "at least one step"),
    ] {
        let error = of(wrong).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let error = Method::named("imagic").unwrap_err().to_string();
    assert!(error.contains("edit method imagic: use flowedit or infedit"), "{error}");
}

/// A model of the reference set in a folder, for the command.
struct Model(tempfile::TempDir);

impl Model {
    fn new() -> Self {
        let model = Self(tempfile::tempdir().unwrap());
        copy(&golden("reference/pipelines/sd15"), &model.path("model"));
        copy(&golden("reference/tokenizer"), &model.path("model/tokenizer"));
        model
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn edit(&self, image: &str, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fourstep"));
        command.args(["edit", "a blue fox", "--steps", "4", "--image"]).arg(self.path(image));
        command.arg("--model").arg(self.path("model")).arg("--out").arg(self.path("strip.png"));
        command.args(more).output().unwrap()
    }

    /// The strip, and what is said on standard error.
    fn strip(&self, image: &str, more: &[&str]) -> (Picture, String) {
        let output = self.edit(image, more);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let strip = Picture::read_png(&self.path("strip.png")).unwrap();
        std::fs::remove_file(self.path("strip.png")).unwrap();
        (strip, said)
    }

    fn refuses(&self, image: &str, more: &[&str], words: &[&str]) {
        let output = self.edit(image, more);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert_eq!(said.lines().filter(|line| !line.starts_with("note: ")).count(), 1, "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in {said:?}");
        }
        assert!(!self.path("strip.png").exists(), "{words:?}: wrote a strip all the same");
    }
}

fn patterned(width: usize, height: usize) -> Picture {
    Picture::opaque(width, height, (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect())
}

#[test]
fn the_command_writes_a_strip_that_begins_with_the_picture() {
    let model = Model::new();
    let image = patterned(64, 64);
    let settings = "a red fox\nSteps: 4, Sampler: DDIM, CFG scale: 2, Seed: 7";
    std::fs::write(model.path("in.png"), image.to_png(Some(settings)).unwrap()).unwrap();
    std::fs::write(model.path("bare.png"), image.to_png(None).unwrap()).unwrap();
    let (strip, said) = model.strip("in.png", &[]);
    assert!(said.contains("a red fox"), "{said}");
    // Its picture lies in the middle of its cell, at the left.
    let inside = |strip: &Picture| {
        (0..strip.width - 64)
            .any(|left| (0..64).all(|y| (0..64).all(|x| strip.pixel(left + x, 10 + y) == image.pixel(x, y))))
    };
    assert!(inside(&strip));
    let (with_words, said) = model.strip("bare.png", &["--from", "a red fox"]);
    assert_eq!((with_words, said.as_str()), (strip.clone(), ""));
    let (other, said) = model.strip("bare.png", &[]);
    assert!(other != strip && said.contains("note: the picture does not say what it shows"), "{said}");
    let (narrow, _) = model.strip("in.png", &["--method", "infedit", "--strength", "0.5", "--seed", "3"]);
    assert!(narrow.width < strip.width && inside(&narrow));
}

#[test]
fn bad_pictures_and_settings_are_refused_in_words() {
    let model = Model::new();
    for (name, width, height) in [("good.png", 64, 64), ("odd.png", 60, 63), ("line.png", 20_000, 1)] {
        patterned(width, height).write_png(&model.path(name)).unwrap();
    }
    std::fs::write(model.path("junk.png"), "junk").unwrap();
    model.refuses("junk.png", &[], &["--image", "no PNG file"]);
    model.refuses("gone.png", &[], &["--image", "No such file"]);
    model.refuses("line.png", &["--from", ""], &["width = 20000", "multiple of"]);
    model.refuses("odd.png", &["--from", ""], &["width = 60", "multiple of 8"]);
    model.refuses("good.png", &["--from", "", "--strength", "0.5,0.1"], &["strength = 0.1"]);
    model.refuses("good.png", &["--from", "", "--strength", "1.5"], &["strength = 1.5"]);
    model.refuses("good.png", &["--from", "", "--n-avg", "0"], &["n_avg = 0: use 1 to 64"]);
    model.refuses("good.png", &["--from", "", "--method", "infedit", "--n-min", "1"], &["--n-min"]);
    // What is transparent lies on white, and 16 bits become 8.
    let clear = Picture::from_rgba(64, 64, &[10, 200, 30, 128].repeat(64 * 64)).unwrap();
    clear.write_png(&model.path("clear.png")).unwrap();
    let mut deep = Vec::new();
    let mut encoder = png::Encoder::new(&mut deep, 64, 64);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[128, 7].repeat(64 * 64)).unwrap();
    std::fs::write(model.path("deep.png"), deep).unwrap();
    for name in ["clear.png", "deep.png"] {
        model.strip(name, &["--from", "a red fox", "--strength", "0.5"]);
    }
    // An inpainting network has nowhere to take its mask from.
    copy(&golden("families/pipelines/tiny-inpaint"), &model.path("other"));
    copy(&golden("families/tokenizer"), &model.path("other/tokenizer"));
    let pipeline = Pipeline::load(&DirFiles::new(model.path("other")), &Device::flex()).unwrap();
    let request = EditRequest::new(&pipeline, Method::FlowEdit, patterned(64, 64), "a", "b");
    let error = pollster::block_on(edit::edit(&pipeline, &request, &mut on_step)).unwrap_err();
    assert!(error.to_string().contains("for inpainting"), "{error}");
}
