//! One forward of a text encoder, UNet or autoencoder at a time.

use burn::module::Module;
use burn::tensor::Tensor;
use fourstep::models::{
    AddedConditions, AutoencoderKl, AutoencoderKlConfig, AutoencoderTiny, AutoencoderTinyConfig, ClipTextConfig,
    ClipTextModel, UNet2DConditionConfig, UNet2DConditionModel, parse,
};
use fourstep::picture::Picture;
use fourstep::text::Tokenizer;
use fourstep::weights::{self, Checkpoint, Files, Lora, Part};

use super::golden::{Golden, Worst, relative_l2};
use super::manifest::{Component, ComponentKind, Entry};
use super::vocabulary::WithVocabulary;
use super::{Failure, Measured, Suite};

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// Golden tensors that are not compared, by the beginnings of their names.
const NOT_COMPARED: [(&str, &str); 1] =
    [("0.act.", "activations of inner modules, to find the module at fault when an output is off")];

/// Runs the case that a manifest of cases/components describes.
pub fn run(suite: &Suite, entry: &Entry) -> Result<Measured, Failure> {
    let case: Component = suite.json(&format!("cases/{}", entry.json))?;
    let kind = serde_json::to_value(&entry.kind).and_then(serde_json::from_value::<ComponentKind>);
    if (&entry.name, &entry.pipeline, kind.ok()) != (&case.name, &case.pipeline, Some(case.kind)) {
        return Err("index.json and the manifest differ".into());
    }
    case.tolerance.check(&case.float64_rerun_rel_l2)?;
    let bytes = suite.bytes(&format!("cases/{}", case.file))?;
    let golden = Golden::parse(&case.file, &bytes, &case.tensors)?;
    let mut worst = Worst::new(&case.tolerance);
    only_its_own(&case)?;
    let files = suite.pipeline(&case.pipeline, None);
    match case.kind {
        ComponentKind::TextEncoder => text_encoder(suite, &case, &files, &golden, &mut worst),
        ComponentKind::Unet => unet(suite, &case, &files, &golden, &mut worst),
        ComponentKind::AutoencoderKl => autoencoder_kl(suite, &case, &files, &golden, &mut worst),
        ComponentKind::AutoencoderTiny => autoencoder_tiny(suite, &files, &golden, &mut worst),
        ComponentKind::Lora => lora(suite, &case, &files, &golden, &mut worst),
    }?;
    golden.all_read(&NOT_COMPARED)?;
    worst.outcome()
}

/// Refuses keys that belong to another kind of case, which nothing would read.
fn only_its_own(case: &Component) -> Result<(), Failure> {
    use ComponentKind::{AutoencoderKl, Lora, TextEncoder, Unet};
    let adapters = [
        case.lora.is_some(),
        case.format.is_some(),
        case.rank.is_some(),
        case.alpha.is_some(),
        case.rel_change_unet.is_some(),
        case.rel_change_text.is_some(),
    ];
    let right = case.prompts.is_some() == (case.kind == TextEncoder)
        && case.shapes.is_some() == (case.kind == Unet)
        && case.scaling_factor.is_some() == (case.kind == AutoencoderKl)
        && adapters.iter().all(|there| *there == (case.kind == Lora));
    if right { Ok(()) } else { Err(format!("a {:?} with keys of another kind, or without its own", case.kind).into()) }
}

fn text_encoder(
    suite: &Suite,
    case: &Component,
    files: &WithVocabulary,
    golden: &Golden,
    worst: &mut Worst,
) -> Result<(), Failure> {
    for suffix in ["", "_2"].into_iter().filter(|suffix| golden.has(&format!("token_ids{suffix}"))) {
        let ids = golden.ids(&format!("token_ids{suffix}"))?;
        let tokenizer = tokenizer(files, suffix)?;
        for (text, ids) in case.prompts.iter().flatten().zip(&ids) {
            if tokenizer.encode_padded(text)?.ids != *ids {
                worst.fail(format!("token_ids{suffix} of {text:?} differ"));
            }
        }
        if case.prompts.iter().flatten().count() != ids.len() {
            return Err("there are not as many token_ids as prompts".into());
        }
        let path = format!("text_encoder{suffix}/config.json");
        let config: ClipTextConfig = parse(&path, &files.read(&path)?)?;
        let path = format!("text_encoder{suffix}/model.safetensors");
        let bytes = files.read(&path)?;
        let model = ClipTextModel::new(&config, &path, &suite.device)?;
        let model = weights::load(model, &Checkpoint::parse(&path, &bytes)?)?;
        let output = model.forward(&ids, &suite.device);
        for (layer, state) in output.hidden_states.into_iter().enumerate() {
            worst.tensor(golden, &format!("hidden_state{suffix}.{layer}"), state)?;
        }
        worst.tensor(golden, &format!("last_hidden_state{suffix}"), output.last_hidden_state)?;
        let pooled = ["pooler_output", "text_embeds"].map(|name| format!("{name}{suffix}"));
        let name = pooled.iter().find(|name| golden.has(name)).ok_or("no pooled output")?;
        worst.tensor(golden, name, output.pooled)?;
    }
    Ok(())
}

fn tokenizer(files: &WithVocabulary, suffix: &str) -> Result<Tokenizer, Failure> {
    let file = |name: &str| files.read(&format!("tokenizer{suffix}/{name}"));
    let (vocab, merges, config) = (file("vocab.json")?, file("merges.txt")?, file("tokenizer_config.json")?);
    Ok(Tokenizer::from_files(&vocab, &merges, &config, Some(&file("special_tokens_map.json")?))?)
}

fn unet(
    suite: &Suite,
    case: &Component,
    files: &WithVocabulary,
    golden: &Golden,
    worst: &mut Worst,
) -> Result<(), Failure> {
    let path = "unet/config.json";
    let config: UNet2DConditionConfig = parse(path, &files.read(path)?)?;
    let bytes = files.read(&format!("unet/{WEIGHTS}"))?;
    let model = UNet2DConditionModel::new(&config, path, &suite.device)?;
    let model = weights::load(model, &Checkpoint::parse(WEIGHTS, &bytes)?)?;
    for (i, shape) in case.shapes.iter().flatten().enumerate() {
        let name = |what: &str| format!("{i}.{what}");
        let optional = |what: &str| -> Result<Option<Tensor<2>>, Failure> {
            golden.has(&name(what)).then(|| golden.tensor(&name(what), &suite.device)).transpose()
        };
        let time_ids = || -> Result<Vec<[f32; 6]>, Failure> {
            let values = golden.values(&name("time_ids"))?;
            Ok(values.chunks_exact(6).map(|ids| ids.try_into().expect("six numbers")).collect())
        };
        let text_time = optional("text_embeds")?.map(|text| Ok::<_, Failure>((text, time_ids()?))).transpose()?;
        let conditions =
            AddedConditions { timestep_cond: optional("timestep_cond")?, text_time, nag: None, control: None };
        let timesteps = golden.values(&name("timesteps"))?;
        let [batch, _, height, width]: [usize; 4] =
            golden.shape(&name("sample"))?.try_into().map_err(|_| "a sample that is no picture")?;
        if (batch, height, width) != (shape.batch, shape.height, shape.width) || timesteps != shape.timesteps {
            return Err(format!("shape {i} of the manifest is not the sample's").into());
        }
        let forward = |timesteps: &[f32]| -> Result<Tensor<4>, Failure> {
            let sample = golden.tensor(&name("sample"), &suite.device)?;
            let context = golden.tensor(&name("encoder_hidden_states"), &suite.device)?;
            Ok(model.forward(sample, timesteps, context, &conditions))
        };
        if golden.has(&name("out")) {
            worst.tensor(golden, &name("out"), forward(&timesteps)?)?;
            continue;
        }
        for (j, t) in timesteps.iter().enumerate() {
            worst.tensor(golden, &name(&format!("out.{j}")), forward(&[*t])?)?;
        }
    }
    Ok(())
}

fn autoencoder_kl(
    suite: &Suite,
    case: &Component,
    files: &WithVocabulary,
    golden: &Golden,
    worst: &mut Worst,
) -> Result<(), Failure> {
    let path = "vae/config.json";
    let config: AutoencoderKlConfig = parse(path, &files.read(path)?)?;
    if case.scaling_factor != Some(config.scaling_factor) {
        return Err(format!("scaling_factor = {}, expected {:?}", config.scaling_factor, case.scaling_factor).into());
    }
    let bytes = files.read(&format!("vae/{WEIGHTS}"))?;
    let model = AutoencoderKl::new(&config, path, &suite.device)?;
    let model = weights::load(model, &Checkpoint::parse(WEIGHTS, &bytes)?)?;
    for i in numbered(golden, "encode_in") {
        let get = |what: &str| -> Result<Tensor<4>, Failure> { golden.tensor(&format!("{what}.{i}"), &suite.device) };
        input(suite, golden, i, worst)?;
        let posterior = model.encode(get("encode_in")?);
        worst.tensor(golden, &format!("encode_mean.{i}"), posterior.mean.clone())?;
        worst.tensor(golden, &format!("encode_logvar.{i}"), posterior.logvar.clone())?;
        worst.tensor(golden, &format!("encode_sample.{i}"), posterior.sample(get("encode_noise")?))?;
    }
    for i in numbered(golden, "decode_in") {
        let latents = golden.tensor(&format!("decode_in.{i}"), &suite.device)?;
        worst.tensor(golden, &format!("decode_out.{i}"), model.decode(latents))?;
    }
    Ok(())
}

fn autoencoder_tiny(suite: &Suite, files: &WithVocabulary, golden: &Golden, worst: &mut Worst) -> Result<(), Failure> {
    let config: AutoencoderTinyConfig = parse("config.json", &files.read("config.json")?)?;
    let bytes = files.read(WEIGHTS)?;
    let model = AutoencoderTiny::new(&config, "config.json", &suite.device)?;
    let model = weights::load(model, &Checkpoint::parse(WEIGHTS, &bytes)?)?;
    for i in numbered(golden, "encode_in") {
        input(suite, golden, i, worst)?;
        let picture = golden.tensor(&format!("encode_in.{i}"), &suite.device)?;
        worst.tensor(golden, &format!("encode_out.{i}"), model.encode(picture))?;
    }
    for i in numbered(golden, "decode_in") {
        let latents = golden.tensor(&format!("decode_in.{i}"), &suite.device)?;
        worst.tensor(golden, &format!("decode_out.{i}"), model.decode(latents))?;
    }
    Ok(())
}

/// 0, 1, ... while the golden has a tensor of that number.
fn numbered<'a>(golden: &'a Golden, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    (0..).take_while(move |i| golden.has(&format!("{name}.{i}")))
}

/// The picture that an encoder takes is that of the file's levels.
fn input(suite: &Suite, golden: &Golden, i: usize, worst: &mut Worst) -> Result<(), Failure> {
    let name = format!("encode_image_u8.{i}");
    if !golden.has(&name) {
        return Ok(());
    }
    let shape = golden.shape(&name)?;
    let picture = Picture::opaque(shape[1], shape[0], golden.bytes(&name)?);
    worst.tensor(golden, &format!("encode_in.{i}"), picture.to_tensor(3, &suite.device))
}

/// UNet and text encoder without the adapter, and with it at two weights.
fn lora(
    suite: &Suite,
    case: &Component,
    files: &WithVocabulary,
    golden: &Golden,
    worst: &mut Worst,
) -> Result<(), Failure> {
    let adapter = suite.lora(case.lora.as_ref().ok_or("no adapter is named")?)?;
    adapter_is(case, &Checkpoint::parse("lora", &adapter)?)?;
    for (suffix, weight) in [("without", None), ("scale1.0", Some(1.0)), ("scale0.5", Some(0.5))] {
        let loras: Vec<Lora> =
            weight.into_iter().map(|weight| Lora::parse("lora", &adapter, weight)).collect::<fourstep::Result<_>>()?;
        let config: UNet2DConditionConfig = parse("unet/config.json", &files.read("unet/config.json")?)?;
        let bytes = files.read(&format!("unet/{WEIGHTS}"))?;
        let unet = UNet2DConditionModel::new(&config, "unet/config.json", &suite.device)?;
        let unet = merged(unet, &Checkpoint::parse(WEIGHTS, &bytes)?, Part::Unet, &loras)?;
        let sample = golden.tensor("sample", &suite.device)?;
        let context = golden.tensor("encoder_hidden_states", &suite.device)?;
        let out = unet.forward(sample, &golden.values("timestep")?, context, &AddedConditions::default());
        worst.tensor(golden, &format!("unet_out_{suffix}"), out)?;

        let config: ClipTextConfig = parse("text_encoder/config.json", &files.read("text_encoder/config.json")?)?;
        let bytes = files.read("text_encoder/model.safetensors")?;
        let text = ClipTextModel::new(&config, "text_encoder/config.json", &suite.device)?;
        let text = merged(text, &Checkpoint::parse(WEIGHTS, &bytes)?, Part::TextEncoder, &loras)?;
        let state = text.forward(&golden.ids("token_ids")?, &suite.device).last_hidden_state;
        worst.tensor(golden, &format!("text_{suffix}"), state)?;
    }
    for (what, stated) in [("unet_out", case.rel_change_unet), ("text", case.rel_change_text)] {
        let [with, without] = ["scale1.0", "without"].map(|suffix| golden.values(&format!("{what}_{suffix}")));
        let change = relative_l2(&with?, &without?);
        if stated.is_none_or(|stated| (stated - change).abs() > 1e-3) {
            return Err(format!("the adapter changes {what} by {change:.4}, expected {stated:?}").into());
        }
    }
    Ok(())
}

/// The adapter's file has the names, the rank and the alpha that the manifest states.
fn adapter_is(case: &Component, file: &Checkpoint) -> Result<(), Failure> {
    let (down, alpha) = match case.format.as_deref() {
        Some("diffusers") => (".lora_A.weight", None),
        Some("kohya") => (".lora_down.weight", Some(".alpha")),
        other => return Err(format!("an adapter of format {other:?}").into()),
    };
    let downs: Vec<&str> = file.keys().filter(|key| key.ends_with(down)).collect();
    let rank = case.rank.ok_or("no rank")?;
    let of_rank = |key: &&str| file.shape(key).and_then(|shape| shape.first()) == Some(&rank);
    let alphas: Vec<&str> = file.keys().filter(|key| alpha.is_some_and(|end| key.ends_with(end))).collect();
    let stated = case.alpha.ok_or("no alpha")?;
    let mut right = !downs.is_empty() && downs.iter().all(of_rank);
    right &= match alpha {
        None => stated == rank as f64,
        Some(_) => alphas.len() == downs.len(),
    };
    for key in alphas {
        right &= file.f32(key)?.iter::<f64>().eq([stated]);
    }
    if right { Ok(()) } else { Err("the adapter is not of the stated format, rank or alpha".into()) }
}

fn merged<M: Module>(module: M, checkpoint: &Checkpoint, part: Part, loras: &[Lora]) -> fourstep::Result<M> {
    let targets = weights::paths(&module);
    let updates = loras.iter().map(|lora| lora.updates(part, &targets)).collect::<fourstep::Result<Vec<_>>>()?;
    weights::load_with(module, checkpoint, &weights::Updates::together(updates))
}
