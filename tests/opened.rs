//! What the view "How it works" shows of the shipped model equals what diffusers with hooks found
//! (`tests/reference/opened_golden.py`): tokens, features, noise, each step's values, and the cross-attention maps.

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::{Device, Tensor};
use fourstep::pipeline::{Pipeline, StepEvent};
use fourstep::random::{Generator, Mt19937};
use fourstep::weights::DirFiles;
use safetensors::{Dtype, SafeTensors};

const BOUND: f32 = 1e-3;
const STEPS: usize = 4;

#[test]
fn the_opened_picture_is_that_of_diffusers_with_hooks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(root.join("tests/golden/opened.safetensors")).expect("the golden file");
    let golden = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let files = DirFiles::new(root.join("models/stickers"));
    let pipeline = Pipeline::load(&files, &Device::flex()).expect("the shipped model");
    let mut request = pipeline.request("a green fox");
    request.negative_prompt = "a red background".to_owned();
    (request.seed, request.num_inference_steps, request.guidance_scale) = (7, STEPS, 2.5);

    let prompt = pipeline.encode_prompt(&request).expect("a short prompt");
    let ids = [&prompt.token_ids[0][..], &prompt.negative_token_ids[0][..]].concat();
    let expected: Vec<i64> = values(&golden, "token_ids").iter().map(|id| *id as i64).collect();
    assert_eq!(ids, expected);
    let tokens = pipeline.prompt_tokens("a green fox").expect("a short prompt");
    assert_eq!(tokens.iter().map(|token| token.text.as_str()).collect::<Vec<_>>(), ["", "a", "green", "fox", ""]);
    assert!(tokens.iter().zip(&ids).all(|(token, id)| i64::from(token.id) == *id));
    near("features", &floats(prompt.encoder_hidden_states), &golden);
    let noise = values(&golden, "noise");
    near("noise", &Mt19937::new(7).randn(noise.len()), &golden);

    let mut steps = vec![];
    let mut watch = async |event: StepEvent<'_>| {
        let i = event.index;
        near(&format!("v.{i}"), &floats(event.prediction.model_output.clone()), &golden);
        near(&format!("latents.{i}"), &floats(event.latents.clone()), &golden);
        near(&format!("estimate.{i}"), &floats(event.pred_original_sample.clone()), &golden);
        steps.push((event.prediction.model_input.clone(), event.timestep));
        ControlFlow::Continue(())
    };
    pollster::block_on(pipeline.generate(&request, &mut watch)).expect("draws");
    assert_eq!(steps.len(), STEPS);

    for (i, (model_input, timestep)) in steps.into_iter().enumerate() {
        let maps = pollster::block_on(pipeline.attention_maps(&request, model_input, timestep)).expect("maps");
        assert!(!golden.names().iter().any(|name| **name == format!("attention.{i}.{}", maps.len())), "no layer left");
        let in_golden = [0, STEPS - 1].contains(&i);
        for map in maps {
            let name = format!("attention.{i}.{}", map.layer);
            if in_golden {
                let shape = golden.tensor(&name).expect("as many layers").shape().to_vec();
                assert_eq!([map.tokens, map.size[0], map.size[1]].to_vec(), shape, "{name}");
                near(&name, &map.weights, &golden);
            }
            let places = map.size[0] * map.size[1];
            let sums = (0..places).map(|place| (0..map.tokens).map(|t| map.weights[t * places + place]).sum::<f32>());
            assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-4), "{name}: the tokens of a place add up to 1");
        }
    }
}

/// Within a thousandth of the golden tensor, as large as its values are.
fn near(name: &str, found: &[f32], golden: &SafeTensors) {
    let expected = values(golden, name);
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(1.0f32, |most, value| most.max(value.abs()));
    let apart = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart <= BOUND * largest, "{name}: {apart} apart, values up to {largest}");
}

fn values(golden: &SafeTensors, name: &str) -> Vec<f32> {
    let tensor = golden.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    match tensor.dtype() {
        Dtype::F32 => tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => tensor.data().chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        other => panic!("{name} is of type {other:?}"),
    }
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
