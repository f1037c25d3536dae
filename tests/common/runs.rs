//! Complete runs of a pipeline, compared step by step.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use burn::tensor::Tensor;
use fourstep::picture::Picture;
use fourstep::pipeline::{MicroConditioning, Pipeline, Request, StepEvent};
use fourstep::schedulers::SchedulerConfig;
use fourstep::text::PromptSyntax;
use fourstep::weights::{Checkpoint, DirFiles, Lora};
use serde_json::Value;

use super::{Golden, Outcome, Suite, Worst};

/// Runs the case that a manifest of cases/runs describes.
pub fn run(suite: &Suite, manifest: &Value) -> Outcome {
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

fn compare(suite: &Suite, manifest: &Value, golden: &Golden, worst: &mut Worst) -> fourstep::Result<()> {
    let files = suite.pipeline(manifest["pipeline"].as_str().expect("a pipeline"));
    let mut pipeline = match manifest["lora"].as_str() {
        Some(name) => {
            let (bytes, weight) = (suite.lora(name), manifest["lora_scale"].as_f64().unwrap_or(1.0));
            let lora = Lora::parse(name, &bytes, weight as f32)?;
            Pipeline::load_with_loras(&files, &[lora], &suite.device)?
        }
        None => Pipeline::load(&files, &suite.device)?,
    };
    if let Some(vae) = manifest["vae"].as_str() {
        pipeline = pipeline.with_vae(&DirFiles::new(suite.reference.join("pipelines").join(vae)))?;
    }
    let request = request(manifest, golden, &pipeline)?;
    let prompt = pipeline.encode_prompt(&request)?;
    worst.tensor(golden, "unet_encoder_hidden_states", prompt.encoder_hidden_states);
    if let Some(pooled) = prompt.text_embeds {
        worst.tensor(golden, "unet_text_embeds", pooled);
    }
    for (name, encoders) in [("token_ids", prompt.token_ids), ("negative_token_ids", prompt.negative_token_ids)] {
        for (ids, suffix) in encoders.into_iter().zip(["", "_2"]) {
            let name = format!("{name}{suffix}");
            if golden.has(&name) && golden.ids(&name)[0] != ids {
                worst.fail(format!("{name} differ"));
            }
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
    if golden.has("decoded_large") {
        worst.tensor(golden, "decoded_large", pipeline.decode_large(output.latents)?);
    }
    compare_pictures(golden, &pollster::block_on(Picture::from_tensor(output.decoded))?, manifest, worst);
    Ok(())
}

fn request(manifest: &Value, golden: &Golden, pipeline: &Pipeline) -> fourstep::Result<Request> {
    let number = |key: &str, default: usize| manifest[key].as_u64().map_or(default, |value| value as usize);
    let (width, height) = (number("width", 0), number("height", 0));
    let extra = &manifest["extra"];
    let text = |value: &Value| value.as_str().map(str::to_string);
    let pair = |key: &str| {
        let numbers = extra[key].as_array()?.iter().map(|number| number.as_u64().expect("a size") as usize);
        <[usize; 2]>::try_from(numbers.collect::<Vec<_>>()).ok()
    };
    let bytes = |name: &str| golden.has(name).then(|| golden.0.u8(name).expect("U8").to_vec());
    let picture = |rgb| Picture::opaque(width, height, rgb);
    // With or without alpha.
    let start = |bytes: Vec<u8>| match bytes.len() == 4 * width * height {
        true => Picture::from_rgba(width, height, &bytes).expect("as many bytes as pixels"),
        false => picture(bytes),
    };
    Ok(Request {
        negative_prompt: text(&manifest["negative_prompt"]).unwrap_or_default(),
        num_inference_steps: number("steps", 0),
        guidance_scale: manifest["guidance_scale"].as_f64().expect("guidance_scale") as f32,
        guidance_rescale: extra["guidance_rescale"].as_f64().unwrap_or(0.0) as f32,
        width,
        height,
        num_images_per_prompt: number("num_images_per_prompt", 1),
        clip_skip: extra["clip_skip"].as_u64().map(|skip| skip as usize),
        eta: extra["eta"].as_f64().unwrap_or(0.0),
        scheduler: Some(SchedulerConfig::parse("scheduler", &manifest["scheduler"].to_string())?),
        image: bytes("init_image_u8").map(start),
        strength: manifest["strength"].as_f64().unwrap_or(1.0),
        mask: bytes("mask_u8").map(|grey| picture(grey.into_iter().flat_map(|value| [value; 3]).collect())),
        prompt_syntax: match extra["prompt_syntax"].as_str() {
            Some("weighted") => PromptSyntax::Weighted,
            _ => PromptSyntax::Plain,
        },
        prompt_2: text(&extra["prompt_2"]),
        negative_prompt_2: text(&extra["negative_prompt_2"]),
        micro_conditioning: MicroConditioning {
            original_size: pair("original_size"),
            crops_coords_top_left: pair("crops_coords_top_left").unwrap_or_default(),
            target_size: pair("target_size"),
        },
        ..pipeline.request(manifest["prompt"].as_str().unwrap_or_default())
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
    let golden = golden.0.u8("image_u8").expect("image_u8");
    let alpha = golden.len() == pictures.iter().map(|picture| 4 * picture.width * picture.height).sum::<usize>();
    let bytes = |picture: &Picture| if alpha { picture.rgba() } else { picture.rgb.clone() };
    let off = pictures.iter().flat_map(bytes).zip(golden.iter()).map(|(a, b)| a.abs_diff(*b)).max();
    if off.is_none_or(|off| off > allowed) {
        worst.fail(format!("image_u8: {off:?} levels off, {allowed} allowed"));
    }
}
