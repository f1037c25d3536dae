//! Complete runs of a pipeline, compared step by step.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::ControlFlow;

use burn::tensor::Tensor;
use fourstep::picture::Picture;
use fourstep::pipeline::{Control, LoadOptions, MicroConditioning, Pipeline, Request, StepEvent};
use fourstep::random::{Generator, Mt19937};
use fourstep::text::PromptSyntax;
use fourstep::weights::{Files, Lora, TextualInversion};
use serde_json::Value;

use super::golden::{Golden, Worst};
use super::manifest::{self, Entry, Kind, Run, Syntax, Trace};
use super::{Failure, Measured, Suite};

/// How far a draw may be from the one of torch's generator with the run's seed (the set's README says 2e-6).
const SAME_DRAW: f32 = 4e-6;

/// Golden tensors that are not compared, by the beginnings of their names.
const NOT_COMPARED: [(&str, &str); 3] = [
    ("initial_latents", "the sampler makes unet_in[0] of them, which is compared"),
    (
        "vae_encode_logvar",
        "what is drawn with it is in unet_in, which is compared; the component cases compare it itself",
    ),
    ("vae_encode_", "of the masked picture: the same holds for it, and a network of four channels does not read it"),
];

/// Runs the case that a manifest of cases/runs describes.
pub fn run(suite: &Suite, entry: &Entry) -> Result<Measured, Failure> {
    let run: Run = suite.json(&format!("cases/{}", entry.json))?;
    let bytes = suite.bytes(&format!("cases/{}", run.file))?;
    let golden = Golden::parse(&run.file, &bytes, &run.tensors)?;
    run.tolerance.check(&run.float64_rerun_rel_l2)?;
    agree(suite, entry, &run, &golden)?;
    let mut worst = Worst::new(&run.tolerance);
    check_draws(&run, &golden, &mut worst)?;
    compare(suite, &run, &golden, &mut worst)?;
    golden.all_read(&NOT_COMPARED)?;
    worst.outcome()
}

/// What is said twice must be said alike.
fn agree(suite: &Suite, entry: &Entry, run: &Run, golden: &Golden) -> Result<(), Failure> {
    let (class, kind) = (&run.scheduler["_class_name"], format!("{:?}", run.kind).to_lowercase());
    let scheduler = entry.scheduler.as_ref().is_none_or(|name| class == name);
    if (&entry.name, &entry.pipeline, &entry.kind) != (&run.name, &run.pipeline, &kind) || !scheduler {
        return Err("index.json and the manifest differ".into());
    }
    let index: Value = serde_json::from_slice(&suite.pipeline(&run.pipeline, None).read("model_index.json")?)
        .map_err(|error| format!("model_index.json: {error}"))?;
    let whole = index["_class_name"].as_str().unwrap_or_default();
    let family = whole.trim_end_matches("Pipeline").trim_end_matches("Inpaint");
    let way = match run.kind {
        Kind::Text2img => "",
        Kind::Img2img => "Img2Img",
        Kind::Inpaint => "Inpaint",
    };
    let controlled = if run.controlnets.is_empty() { "" } else { "ControlNet" };
    if run.pipeline_class != format!("{family}{controlled}{way}Pipeline") {
        return Err(format!("a run of {} with a model of {whole}", run.pipeline_class).into());
    }
    let has = [run.strength.is_some(), golden.has("init_image_u8"), golden.has("mask_u8")];
    if has != [run.kind != Kind::Text2img, run.kind != Kind::Text2img, run.kind == Kind::Inpaint] {
        return Err(format!("{kind} with (strength, picture, mask) = {has:?}").into());
    }
    if run.lora_scale.is_some() != run.lora.is_some() {
        return Err("lora and lora_scale belong together".into());
    }
    Ok(())
}

/// The random numbers of the file are those that torch draws after the run's seed.
fn check_draws(run: &Run, golden: &Golden, worst: &mut Worst) -> Result<(), Failure> {
    let mut generators: Vec<Mt19937> = run.seed.all().iter().map(|seed| Mt19937::new(*seed)).collect();
    let several = generators.len();
    let count = (0..).take_while(|i| golden.has(&format!("noise.{i}"))).count();
    if let Some(draws) = &run.noise_draws
        && !draws.iter().map(|draw| draw.tensor.clone()).eq((0..count).map(|i| format!("noise.{i}")))
    {
        worst.fail("noise_draws does not name the draws of the file".to_string());
    }
    for i in 0..count {
        let name = format!("noise.{i}");
        let drawn = golden.values(&name)?;
        let mine = generators[i % several].randn(drawn.len());
        let apart = mine.iter().zip(&drawn).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        if apart > SAME_DRAW {
            worst.fail(format!("{name} is not what the seed draws: {apart:.1e} apart"));
        }
    }
    Ok(())
}

fn compare(suite: &Suite, run: &Run, golden: &Golden, worst: &mut Worst) -> Result<(), Failure> {
    let pipeline = load(suite, run)?;
    let request = request(run, golden, &pipeline)?;
    compare_conditions(&pipeline, &request, golden, worst)?;
    compare_encoded(&pipeline, &request, run, golden, worst)?;
    let draws = Draws { golden, next: RefCell::new(0), missing: RefCell::default() };
    let mut noise = |shape: [usize; 4]| draws.draw(shape, suite);
    let mut trace = Trail { golden, run, timesteps: Vec::new(), sigmas: Vec::new() };
    let mut trouble = None;
    let mut on_step = async |event: StepEvent<'_>| match trace.step(&event, worst) {
        Ok(()) => ControlFlow::Continue(()),
        Err(failure) => {
            trouble = Some(failure);
            ControlFlow::Break(())
        }
    };
    let output = pollster::block_on(pipeline.run(&request, &mut noise, &mut on_step));
    if let Some(failure) = trouble {
        return Err(failure);
    }
    let output = output?;
    trace.compare_tables(worst)?;
    draws.check()?;
    if golden.has("vae_decode_in") {
        worst.tensor(golden, "vae_decode_in", output.latents.clone() / pipeline.scaling_factor())?;
    }
    if golden.has("decoded") {
        worst.tensor(golden, "decoded", output.decoded.clone())?;
    }
    if golden.has("decoded_large") {
        worst.tensor(golden, "decoded_large", pipeline.decode_large(output.latents)?)?;
    }
    compare_pictures(golden, &pollster::block_on(Picture::from_tensor(output.decoded))?, run, worst)
}

fn load(suite: &Suite, run: &Run) -> Result<Pipeline, Failure> {
    let files = suite.pipeline(&run.pipeline, run.vae.as_deref());
    let bytes = run.lora.as_ref().map(|name| suite.lora(name)).transpose()?;
    let loras = match (&run.lora, &bytes) {
        (Some(name), Some(bytes)) => vec![Lora::parse(name, bytes, run.lora_scale.unwrap_or(1.0))?],
        _ => Vec::new(),
    };
    let options = LoadOptions { loras: &loras, ..LoadOptions::default() };
    let mut pipeline = Pipeline::load_with(&files, &options, &suite.device)?;
    for name in &run.controlnets {
        pipeline.add_controlnet(name, &suite.controlnet(name), None)?;
    }
    for name in &run.embeddings {
        let file = format!("{name}.safetensors");
        pipeline.add_textual_inversion(&TextualInversion::parse(&file, &suite.embedding(name)?, None)?)?;
    }
    Ok(pipeline)
}

fn request(run: &Run, golden: &Golden, pipeline: &Pipeline) -> Result<Request, Failure> {
    let (width, height, extra) = (run.width, run.height, &run.extra);
    let bytes = |name: &str| golden.has(name).then(|| golden.bytes(name)).transpose();
    let picture = |rgb| Picture::opaque(width, height, rgb);
    // With or without alpha.
    let start = |bytes: Vec<u8>| match bytes.len() == 4 * width * height {
        true => Picture::from_rgba(width, height, &bytes),
        false => Ok(picture(bytes)),
    };
    let grey = |mask: Vec<u8>| picture(mask.into_iter().flat_map(|value| [value; 3]).collect());
    let own = pipeline.request(&run.prompt);
    let controls = (0..run.controlnets.len()).map(|i| {
        let own = Control::new(picture(golden.bytes(&format!("control_image_u8.{i}"))?));
        Ok(Control {
            controlnet_conditioning_scale: *extra.controlnet_conditioning_scale.get(i).unwrap_or(&1.0),
            control_guidance_start: *extra.control_guidance_start.get(i).unwrap_or(&0.0),
            control_guidance_end: *extra.control_guidance_end.get(i).unwrap_or(&1.0),
            ..own
        })
    });
    Ok(Request {
        negative_prompt: run.negative_prompt.clone().unwrap_or_default(),
        num_inference_steps: run.steps,
        guidance_scale: run.guidance_scale,
        guidance_rescale: extra.guidance_rescale,
        nag_scale: extra.nag_scale.unwrap_or(own.nag_scale),
        nag_tau: extra.nag_tau.unwrap_or(own.nag_tau),
        nag_alpha: extra.nag_alpha.unwrap_or(own.nag_alpha),
        width,
        height,
        num_images_per_prompt: run.num_images_per_prompt,
        clip_skip: extra.clip_skip,
        eta: extra.eta,
        scheduler: Some(manifest::scheduler(&run.scheduler)?),
        image: bytes("init_image_u8")?.map(start).transpose()?,
        strength: run.strength.unwrap_or(1.0),
        mask: bytes("mask_u8")?.map(grey),
        prompt_syntax: match extra.prompt_syntax {
            Syntax::Weighted => PromptSyntax::Weighted,
            Syntax::Plain => PromptSyntax::Plain,
        },
        prompt_2: extra.prompt_2.clone(),
        negative_prompt_2: extra.negative_prompt_2.clone(),
        micro_conditioning: MicroConditioning {
            original_size: extra.original_size,
            crops_coords_top_left: extra.crops_coords_top_left,
            target_size: extra.target_size,
            negative_original_size: extra.negative_original_size,
            negative_crops_coords_top_left: extra.negative_crops_coords_top_left,
            negative_target_size: extra.negative_target_size,
        },
        controls: controls.collect::<Result<_, Failure>>()?,
        ..own
    })
}

/// Token ids, and all that the network reads beside the latents.
fn compare_conditions(
    pipeline: &Pipeline,
    request: &Request,
    golden: &Golden,
    worst: &mut Worst,
) -> Result<(), Failure> {
    let prompt = pipeline.encode_prompt(request)?;
    let conditions = pipeline.conditions(request, request.num_images_per_prompt, prompt.text_embeds.clone());
    worst.tensor(golden, "unet_encoder_hidden_states", prompt.encoder_hidden_states)?;
    if golden.has("unet_timestep_cond") {
        let mine = conditions.timestep_cond.ok_or("the network takes no unet_timestep_cond")?;
        worst.tensor(golden, "unet_timestep_cond", mine)?;
    }
    if golden.has("unet_time_ids") {
        let (pooled, sizes) = conditions.text_time.ok_or("the network takes no unet_time_ids")?;
        worst.tensor(golden, "unet_text_embeds", pooled)?;
        worst.numbers("unet_time_ids", &sizes.concat(), &golden.values("unet_time_ids")?);
    }
    for (name, encoders) in [("token_ids", prompt.token_ids), ("negative_token_ids", prompt.negative_token_ids)] {
        for (ids, suffix) in encoders.into_iter().zip(["", "_2"]) {
            let name = format!("{name}{suffix}");
            if golden.has(&name) && golden.ids(&name)?[0] != ids {
                worst.fail(format!("{name} differ"));
            }
        }
    }
    Ok(())
}

/// The picture as the autoencoder takes it, and the mean of the latents that it gives.
fn compare_encoded(
    pipeline: &Pipeline,
    request: &Request,
    run: &Run,
    golden: &Golden,
    worst: &mut Worst,
) -> Result<(), Failure> {
    // A network for inpainting is given no picture where all of it is redrawn; its first one is the masked one.
    let masked_first = golden.has("vae_encode_in.0") && !golden.has("vae_encode_in.1") && run.kind == Kind::Inpaint;
    let Some(image) = request.image.as_ref().filter(|_| golden.has("vae_encode_in.0") && !masked_first) else {
        return Ok(());
    };
    let channels = golden.shape("vae_encode_in.0")?[1];
    let image = image.to_tensor(channels, pipeline.device());
    let latents = pipeline.encode(image.clone()) / pipeline.scaling_factor();
    worst.tensor(golden, "vae_encode_in.0", image)?;
    let names = ["vae_encode_mean.0", "vae_encode_latents.0"];
    let name = names.into_iter().find(|name| golden.has(name)).ok_or("a picture without latents")?;
    worst.tensor(golden, name, latents)
}

/// The golden draws, in their order.
struct Draws<'a> {
    golden: &'a Golden<'a>,
    next: RefCell<usize>,
    missing: RefCell<Option<Failure>>,
}

impl Draws<'_> {
    fn draw(&self, shape: [usize; 4], suite: &Suite) -> Tensor<4> {
        let mut parts = VecDeque::new();
        while parts.iter().map(|part: &Tensor<4>| part.dims()[0]).sum::<usize>() < shape[0] {
            let name = format!("noise.{}", self.next.borrow());
            *self.next.borrow_mut() += 1;
            match self.golden.tensor(&name, &suite.device) {
                Ok(part) => parts.push_back(part),
                Err(failure) => {
                    self.missing.replace(Some(failure));
                    return Tensor::zeros(shape, &suite.device);
                }
            }
        }
        Tensor::cat(parts.into(), 0)
    }

    /// No draw was missing, and none is left.
    fn check(self) -> Result<(), Failure> {
        match self.missing.into_inner() {
            Some(failure) => Err(failure),
            None if self.golden.has(&format!("noise.{}", self.next.borrow())) => {
                Err(format!("draw {} was never asked for", self.next.borrow()).into())
            }
            None => Ok(()),
        }
    }
}

/// Compares the steps as they pass.
struct Trail<'a> {
    golden: &'a Golden<'a>,
    run: &'a Run,
    timesteps: Vec<f32>,
    sigmas: Vec<f32>,
}

impl Trail<'_> {
    fn step(&mut self, event: &StepEvent<'_>, worst: &mut Worst) -> Result<(), Failure> {
        let call = event.index;
        self.timesteps.push(event.timestep);
        self.sigmas.extend(event.sigma);
        let slot = match self.run.unet_trace {
            Trace::All => Some(call),
            Trace::First | Trace::FirstAndLast if call == 0 => Some(0),
            Trace::FirstAndLast if call + 1 == event.steps => Some(1),
            Trace::First | Trace::FirstAndLast => None,
        };
        if let Some(slot) = slot {
            self.entry("unet_in", slot, &event.prediction.model_input, call, worst)?;
            self.entry("unet_out", slot, &event.prediction.model_output, call, worst)?;
        }
        // Heun and PNDM call the network more often than they finish a step, and diffusers reports the steps.
        match self.golden.shape("latents")?[0] == event.steps {
            true => self.entry("latents", call, event.latents, call, worst),
            false => Ok(()),
        }
    }

    fn entry(&self, name: &str, slot: usize, mine: &Tensor<4>, call: usize, worst: &mut Worst) -> Result<(), Failure> {
        let (shape, mine) = (self.golden.shape(name)?, mine.clone().into_data());
        if slot >= shape[0] || mine.shape().to_vec() != shape[1..] {
            return Err(format!("{name}[{call}]: shape {:?} in a golden of {shape:?}", mine.shape()).into());
        }
        let size = shape[1..].iter().product::<usize>();
        let golden = self.golden.values(name)?;
        worst.values(&format!("{name}[{call}]"), &mine, &golden[slot * size..][..size]);
        Ok(())
    }

    /// Timesteps and sigmas: of a run that begins in the middle, the last ones of the sampler's tables.
    fn compare_tables(&self, worst: &mut Worst) -> Result<(), Failure> {
        worst.numbers("unet_timesteps", &self.timesteps, &self.golden.values("unet_timesteps")?);
        for (name, mine, more) in [("timesteps", &self.timesteps, 0), ("sigmas", &self.sigmas, 1)] {
            if !self.golden.has(name) {
                continue;
            }
            let table = self.golden.values(name)?;
            let taken = table.len().checked_sub(mine.len() + more).filter(|_| !mine.is_empty());
            match taken {
                Some(start) => worst.numbers(name, mine, &table[start..table.len() - more]),
                None => worst.fail(format!("{name}: {} of {}", mine.len(), table.len())),
            }
        }
        Ok(())
    }
}

fn compare_pictures(golden: &Golden, pictures: &[Picture], run: &Run, worst: &mut Worst) -> Result<(), Failure> {
    let allowed = run.tolerance.image_u8_max_abs.ok_or("tolerance without image_u8_max_abs")?;
    let golden = golden.bytes("image_u8")?;
    let bytes = |picture: &Picture| if picture.alpha.is_some() { picture.rgba() } else { picture.rgb.clone() };
    let mine: Vec<u8> = pictures.iter().flat_map(bytes).collect();
    if mine.len() != golden.len() {
        return Err("image_u8 has another size".into());
    }
    let off = mine.iter().zip(&golden).map(|(a, b)| a.abs_diff(*b)).max();
    if off.is_none_or(|off| off > allowed) {
        worst.fail(format!("image_u8: {off:?} levels off, {allowed} allowed"));
    }
    Ok(())
}
