//! Complete runs of a pipeline, compared step by step.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use burn::tensor::Tensor;
use fourstep::picture::Picture;
use fourstep::pipeline::{Pipeline, Request, StepEvent};
use fourstep::schedulers::SchedulerConfig;
use fourstep::weights::{Checkpoint, DirFiles};
use serde_json::Value;

use super::{Golden, Outcome, Suite, Worst};

/// Runs the case that a manifest of cases/runs describes.
pub fn run(suite: &Suite, manifest: &Value) -> Outcome {
    if let Some(why) = not_built(manifest) {
        return Outcome::Skipped(why);
    }
    let file = manifest["file"].as_str().expect("a tensor file");
    let bytes = std::fs::read(suite.reference.join("cases").join(file)).expect("the golden tensors");
    let golden = Golden(Checkpoint::parse(file, &bytes).expect("a safetensors file"));
    let mut worst = Worst::new(manifest);
    match compare(suite, manifest, &golden, &mut worst) {
        Ok(()) => worst.outcome(),
        Err(fourstep::Error::Unsupported(what)) => Outcome::Skipped(what),
        Err(error) => Outcome::Off(error.to_string()),
    }
}

fn not_built(manifest: &Value) -> Option<String> {
    let kind = manifest["kind"].as_str().expect("a kind");
    if kind != "text2img" {
        return Some(format!("kind {kind} is not built yet"));
    }
    manifest["lora"].as_str().map(|_| "LoRA is not built yet".to_string())
}

fn compare(suite: &Suite, manifest: &Value, golden: &Golden, worst: &mut Worst) -> fourstep::Result<()> {
    let mut pipeline =
        Pipeline::load(&suite.pipeline(manifest["pipeline"].as_str().expect("a pipeline")), &suite.device)?;
    if let Some(vae) = manifest["vae"].as_str() {
        pipeline = pipeline.with_vae(&DirFiles::new(suite.reference.join("pipelines").join(vae)))?;
    }
    let request = request(manifest)?;
    let prompt = pipeline.encode_prompt(&request)?;
    worst.tensor(golden, "unet_encoder_hidden_states", prompt.encoder_hidden_states);
    for (name, ids) in [("token_ids", prompt.token_ids), ("negative_token_ids", prompt.negative_token_ids)] {
        if golden.has(name) && golden.ids(name)[0] != ids {
            worst.fail(format!("{name} differ"));
        }
    }
    let mut draws = (0..).map_while(|i| golden.has(&format!("noise.{i}")).then(|| format!("noise.{i}")));
    let mut noise = |shape: [usize; 4]| {
        let mut parts = VecDeque::new();
        while parts.iter().map(|part: &Tensor<4>| part.dims()[0]).sum::<usize>() < shape[0] {
            parts.push_back(golden.tensor(&draws.next().expect("another golden noise"), &suite.device));
        }
        Tensor::cat(parts.into(), 0)
    };
    let trace = Trace { golden, all_calls: manifest["unet_trace"] == "all calls" };
    let mut on_step = async |event: StepEvent<'_>| {
        trace.step(&event, worst);
        ControlFlow::Continue(())
    };
    let output = pollster::block_on(pipeline.run(&request, &mut noise, &mut on_step))?;
    worst.tensor(golden, "decoded", output.decoded.clone());
    compare_pictures(golden, &pollster::block_on(Picture::from_tensor(output.decoded))?, manifest, worst);
    Ok(())
}

fn request(manifest: &Value) -> fourstep::Result<Request> {
    let number = |key: &str, default: usize| manifest[key].as_u64().map_or(default, |value| value as usize);
    let extra = &manifest["extra"];
    Ok(Request {
        prompt: manifest["prompt"].as_str().unwrap_or_default().to_string(),
        negative_prompt: manifest["negative_prompt"].as_str().unwrap_or_default().to_string(),
        seed: 0,
        num_inference_steps: number("steps", 0),
        guidance_scale: manifest["guidance_scale"].as_f64().expect("guidance_scale") as f32,
        guidance_rescale: extra["guidance_rescale"].as_f64().unwrap_or(0.0) as f32,
        width: number("width", 0),
        height: number("height", 0),
        num_images_per_prompt: number("num_images_per_prompt", 1),
        clip_skip: extra["clip_skip"].as_u64().map(|skip| skip as usize),
        eta: extra["eta"].as_f64().unwrap_or(0.0),
        scheduler: Some(SchedulerConfig::parse("scheduler", &manifest["scheduler"].to_string())?),
    })
}

struct Trace<'a> {
    golden: &'a Golden<'a>,
    all_calls: bool,
}

impl Trace<'_> {
    fn step(&self, event: &StepEvent<'_>, worst: &mut Worst) {
        let call = event.index;
        let slot = match self.all_calls {
            true => Some(call),
            false if call == 0 => Some(0),
            false if call + 1 == event.steps => Some(1),
            false => None,
        };
        if let Some(slot) = slot {
            self.entry("unet_in", slot, &event.prediction.model_input, call, worst);
            self.entry("unet_out", slot, &event.prediction.model_output, call, worst);
        }
        let latents = self.golden.0.shape("latents").map_or(0, |shape| shape[0]);
        if latents == event.steps {
            self.entry("latents", call, event.latents, call, worst);
        }
    }

    fn entry(&self, name: &str, slot: usize, mine: &Tensor<4>, call: usize, worst: &mut Worst) {
        let size = mine.dims().iter().product::<usize>();
        let golden = self.golden.values(name);
        worst.values(&format!("{name}[{call}]"), &mine.clone().into_data(), &golden[slot * size..][..size]);
    }
}

fn compare_pictures(golden: &Golden, pictures: &[Picture], manifest: &Value, worst: &mut Worst) {
    let allowed = manifest["tolerance"]["image_u8_max_abs"].as_u64().unwrap_or(1) as u8;
    let mine = pictures.iter().flat_map(|picture| &picture.rgb);
    let off = mine.zip(golden.0.u8("image_u8").expect("image_u8")).map(|(a, b)| a.abs_diff(*b)).max();
    if off.is_none_or(|off| off > allowed) {
        worst.fail(format!("image_u8: {off:?} levels off, {allowed} allowed"));
    }
}
