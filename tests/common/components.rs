//! One forward of a text encoder, UNet or autoencoder at a time.

use burn::module::Module;
use burn::tensor::Tensor;
use fourstep::models::{
    AddedConditions, AutoencoderKl, AutoencoderKlConfig, AutoencoderTiny, AutoencoderTinyConfig, ClipTextConfig,
    ClipTextModel, UNet2DConditionConfig, UNet2DConditionModel, parse,
};
use fourstep::weights::{self, Checkpoint, Files, Lora, Part};
use serde_json::Value;

use super::{Golden, Outcome, Suite, Worst};

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// Runs the case that a manifest of cases/components describes.
pub fn run(suite: &Suite, manifest: &Value) -> Outcome {
    let file = manifest["file"].as_str().expect("a tensor file");
    let bytes = std::fs::read(suite.reference.join("cases").join(file)).expect("the golden tensors");
    let golden = Golden(Checkpoint::parse(file, &bytes).expect("a safetensors file"));
    let mut worst = Worst::new(manifest);
    let result = match manifest["kind"].as_str() {
        Some("text_encoder") => text_encoder(suite, manifest, &golden, &mut worst),
        Some("unet") => unet(suite, manifest, &golden, &mut worst),
        Some("autoencoder_kl") => autoencoder_kl(suite, manifest, &golden, &mut worst),
        Some("autoencoder_tiny") => autoencoder_tiny(suite, manifest, &golden, &mut worst),
        Some("lora") => lora(suite, manifest, &golden, &mut worst),
        Some(other) => return Outcome::Skipped(format!("kind {other} is not built yet")),
        None => panic!("a component without a kind"),
    };
    match result {
        Ok(()) => worst.outcome(),
        Err(error) => Outcome::Off(error.to_string()),
    }
}

fn text_encoder(suite: &Suite, manifest: &Value, golden: &Golden, worst: &mut Worst) -> fourstep::Result<()> {
    let files = suite.pipeline(manifest["pipeline"].as_str().expect("a pipeline"));
    for suffix in ["", "_2"].into_iter().filter(|suffix| golden.has(&format!("token_ids{suffix}"))) {
        let path = format!("text_encoder{suffix}/config.json");
        let config: ClipTextConfig = parse(&path, &files.read(&path)?)?;
        let path = format!("text_encoder{suffix}/model.safetensors");
        let bytes = files.read(&path)?;
        let model = ClipTextModel::new(&config, &path, &suite.device)?;
        let model = weights::load(model, &Checkpoint::parse(&path, &bytes)?)?;
        let output = model.forward(&golden.ids(&format!("token_ids{suffix}")), &suite.device);
        for (layer, state) in output.hidden_states.into_iter().enumerate() {
            worst.tensor(golden, &format!("hidden_state{suffix}.{layer}"), state);
        }
        worst.tensor(golden, &format!("last_hidden_state{suffix}"), output.last_hidden_state);
        let pooled = ["pooler_output", "text_embeds"].map(|name| format!("{name}{suffix}"));
        let name = pooled.iter().find(|name| golden.has(name)).expect("a pooled output");
        worst.tensor(golden, name, output.pooled);
    }
    Ok(())
}

fn unet(suite: &Suite, manifest: &Value, golden: &Golden, worst: &mut Worst) -> fourstep::Result<()> {
    let files = suite.pipeline(manifest["pipeline"].as_str().expect("a pipeline"));
    let path = "unet/config.json";
    let config: UNet2DConditionConfig = parse(path, &files.read(path)?)?;
    let bytes = files.read(&format!("unet/{WEIGHTS}"))?;
    let model = UNet2DConditionModel::new(&config, path, &suite.device)?;
    let model = weights::load(model, &Checkpoint::parse(WEIGHTS, &bytes)?)?;
    for i in 0..manifest["shapes"].as_array().expect("shapes").len() {
        let name = |what: &str| format!("{i}.{what}");
        let optional = |what: &str| golden.has(&name(what)).then(|| golden.tensor::<2>(&name(what), &suite.device));
        let time_ids = || {
            let values = golden.values(&name("time_ids"));
            values.chunks_exact(6).map(|ids| ids.try_into().expect("six numbers")).collect()
        };
        let conditions = AddedConditions {
            timestep_cond: optional("timestep_cond"),
            text_time: optional("text_embeds").map(|text| (text, time_ids())),
        };
        let forward = |timesteps: &[f32]| {
            let sample = golden.tensor(&name("sample"), &suite.device);
            let context = golden.tensor(&name("encoder_hidden_states"), &suite.device);
            model.forward(sample, timesteps, context, &conditions)
        };
        let timesteps = golden.values(&name("timesteps"));
        if golden.has(&name("out")) {
            worst.tensor(golden, &name("out"), forward(&timesteps));
            continue;
        }
        for (j, t) in timesteps.iter().enumerate() {
            worst.tensor(golden, &name(&format!("out.{j}")), forward(&[*t]));
        }
    }
    Ok(())
}

fn autoencoder_kl(suite: &Suite, manifest: &Value, golden: &Golden, worst: &mut Worst) -> fourstep::Result<()> {
    let files = suite.pipeline(manifest["pipeline"].as_str().expect("a pipeline"));
    let path = "vae/config.json";
    let config: AutoencoderKlConfig = parse(path, &files.read(path)?)?;
    let bytes = files.read(&format!("vae/{WEIGHTS}"))?;
    let model = AutoencoderKl::new(&config, path, &suite.device)?;
    let model = weights::load(model, &Checkpoint::parse(WEIGHTS, &bytes)?)?;
    for i in (0..).take_while(|i| golden.has(&format!("encode_in.{i}"))) {
        let get = |what: &str| -> Tensor<4> { golden.tensor(&format!("{what}.{i}"), &suite.device) };
        let posterior = model.encode(get("encode_in"));
        worst.tensor(golden, &format!("encode_mean.{i}"), posterior.mean.clone());
        worst.tensor(golden, &format!("encode_logvar.{i}"), posterior.logvar.clone());
        worst.tensor(golden, &format!("encode_sample.{i}"), posterior.sample(get("encode_noise")));
    }
    for i in (0..).take_while(|i| golden.has(&format!("decode_in.{i}"))) {
        let latents = golden.tensor(&format!("decode_in.{i}"), &suite.device);
        worst.tensor(golden, &format!("decode_out.{i}"), model.decode(latents));
    }
    Ok(())
}

fn autoencoder_tiny(suite: &Suite, manifest: &Value, golden: &Golden, worst: &mut Worst) -> fourstep::Result<()> {
    let files = suite.pipeline(manifest["pipeline"].as_str().expect("a pipeline"));
    let config: AutoencoderTinyConfig = parse("config.json", &files.read("config.json")?)?;
    let bytes = files.read(WEIGHTS)?;
    let model = AutoencoderTiny::new(&config, "config.json", &suite.device)?;
    let model = weights::load(model, &Checkpoint::parse(WEIGHTS, &bytes)?)?;
    for i in (0..).take_while(|i| golden.has(&format!("encode_in.{i}"))) {
        let picture = golden.tensor(&format!("encode_in.{i}"), &suite.device);
        worst.tensor(golden, &format!("encode_out.{i}"), model.encode(picture));
    }
    for i in (0..).take_while(|i| golden.has(&format!("decode_in.{i}"))) {
        let latents = golden.tensor(&format!("decode_in.{i}"), &suite.device);
        worst.tensor(golden, &format!("decode_out.{i}"), model.decode(latents));
    }
    Ok(())
}

/// UNet and text encoder without the adapter, and with it at two weights.
fn lora(suite: &Suite, manifest: &Value, golden: &Golden, worst: &mut Worst) -> fourstep::Result<()> {
    let files = suite.pipeline(manifest["pipeline"].as_str().expect("a pipeline"));
    let adapter = suite.lora(manifest["lora"].as_str().expect("an adapter"));
    for (suffix, weight) in [("without", None), ("scale1.0", Some(1.0)), ("scale0.5", Some(0.5))] {
        let loras: Vec<Lora> =
            weight.into_iter().map(|weight| Lora::parse("lora", &adapter, weight)).collect::<fourstep::Result<_>>()?;
        let config: UNet2DConditionConfig = parse("unet/config.json", &files.read("unet/config.json")?)?;
        let bytes = files.read(&format!("unet/{WEIGHTS}"))?;
        let unet = UNet2DConditionModel::new(&config, "unet/config.json", &suite.device)?;
        let unet = merged(unet, &Checkpoint::parse(WEIGHTS, &bytes)?, Part::Unet, &loras)?;
        let sample = golden.tensor("sample", &suite.device);
        let context = golden.tensor("encoder_hidden_states", &suite.device);
        let out = unet.forward(sample, &golden.values("timestep"), context, &AddedConditions::default());
        worst.tensor(golden, &format!("unet_out_{suffix}"), out);

        let config: ClipTextConfig = parse("text_encoder/config.json", &files.read("text_encoder/config.json")?)?;
        let bytes = files.read("text_encoder/model.safetensors")?;
        let text = ClipTextModel::new(&config, "text_encoder/config.json", &suite.device)?;
        let text = merged(text, &Checkpoint::parse(WEIGHTS, &bytes)?, Part::TextEncoder, &loras)?;
        let state = text.forward(&golden.ids("token_ids"), &suite.device).last_hidden_state;
        worst.tensor(golden, &format!("text_{suffix}"), state);
    }
    Ok(())
}

fn merged<M: Module>(module: M, checkpoint: &Checkpoint, part: Part, loras: &[Lora]) -> fourstep::Result<M> {
    let targets = weights::paths(&module);
    let updates = loras.iter().map(|lora| lora.updates(part, &targets)).collect::<fourstep::Result<Vec<_>>>()?;
    weights::load_with(module, checkpoint, &weights::Updates::together(updates))
}
