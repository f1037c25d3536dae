//! What the fuzzers run, and `tests/bad_files.rs` on inputs of its own: readers of files that somebody else wrote. Each must
//! end with values or an error of one line that names the file; never with a panic, and never with more memory than the
//! file is long, but for a small multiple.

use fourstep::infotext::Infotext;
use fourstep::models::{
    AutoencoderKl, AutoencoderTiny, ClipTextConfig, ClipTextModel, UNet2DConditionConfig, UNet2DConditionModel, parse,
};
use fourstep::pipeline::{Manifest, Restored};
use fourstep::schedulers::{SchedulerConfig, from_config};
use fourstep::weights::{Checkpoint, MemoryFiles, Quantization, SingleFile};
use fourstep::{Error, Result};

const FILE: &str = "x.safetensors";

/// A safetensors file: header, then every tensor as it would be read.
pub fn safetensors(data: &[u8]) {
    let read = || -> Result<()> {
        let checkpoint = Checkpoint::parse(FILE, data)?;
        for name in checkpoint.keys() {
            let _ = (checkpoint.f32(name), checkpoint.i64(name), checkpoint.u8(name));
        }
        Ok(())
    };
    named(read(), FILE);
}

/// Every kind of config.json, and the structure that it describes.
pub fn config(data: &[u8]) {
    let device = burn::tensor::Device::flex();
    let file = "config.json";
    let unet = || UNet2DConditionModel::new(&parse::<UNet2DConditionConfig>(file, data)?, file, &device).map(drop);
    let text = || ClipTextModel::new(&parse::<ClipTextConfig>(file, data)?, file, &device).map(drop);
    let kl = || AutoencoderKl::new(&parse(file, data)?, file, &device).map(drop);
    let tiny = || AutoencoderTiny::new(&parse(file, data)?, file, &device).map(drop);
    let scheduler = || -> Result<()> {
        let text = String::from_utf8_lossy(data);
        from_config(&SchedulerConfig::parse(file, &text)?)?.set_timesteps(4)
    };
    named(unet(), file);
    named(text(), file);
    named(kl(), file);
    named(tiny(), file);
    named(Quantization::parse(file, data).map(drop), file);
    named(scheduler(), file);
}

/// `fourstep.json`.
pub fn manifest(data: &[u8]) {
    named(parse::<Manifest>("fourstep.json", data).map(drop), "fourstep.json");
}

/// An index of shards beside one shard; the first byte says how long the index is, in steps of 16.
pub fn shards(data: &[u8]) {
    let Some((length, rest)) = data.split_first() else { return };
    let (index, shard) = rest.split_at(rest.len().min(usize::from(*length) * 16));
    let mut files = MemoryFiles::default();
    files.insert("unet/x.safetensors.index.json", index.to_vec());
    files.insert("unet/x-00001-of-00002.safetensors", shard.to_vec());
    let read = || -> Result<()> {
        let checkpoint = Checkpoint::open(&files, "unet/x.safetensors")?;
        for name in checkpoint.keys() {
            let _ = checkpoint.f32(name);
        }
        Ok(())
    };
    named(read(), "unet/x");
}

/// A model in one file, safetensors or GGUF: its header, and every tensor of every part under its new name.
pub fn single(data: &[u8]) {
    const FILE: &str = "x.gguf";
    let mut files = MemoryFiles::default();
    files.insert(FILE, data.to_vec());
    let read = || -> Result<()> {
        let single = SingleFile::open(Box::new(files), FILE, None)?;
        for part in ["unet", "vae", "text_encoder", "text_encoder_2"] {
            let name = if part.starts_with("text") { "model" } else { "diffusion_pytorch_model" };
            let Ok(checkpoint) = Checkpoint::open(&single, &format!("{part}/{name}.safetensors")) else { continue };
            for name in checkpoint.keys() {
                let _ = (checkpoint.f32(name), checkpoint.bytes(name));
            }
        }
        Ok(())
    };
    named(read(), FILE);
}

/// The settings in a picture's text.
pub fn infotext(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let info = Infotext::parse(&text);
    let _ = Restored::from_infotext(&info);
    // What was read can be written and read again.
    let again = Infotext::parse(&info.to_string());
    let _ = Restored::from_infotext(&again);
}

/// A picture's text chunks.
pub fn png(data: &[u8]) {
    named(fourstep::pngfile::parameters(data).map(drop), "the picture");
}

/// An error is one line and names the file.
fn named(result: Result<()>, file: &str) {
    let Err(error) = result else { return };
    let said = error.to_string();
    assert!(said.contains(file) || matches!(error, Error::Unsupported(_) | Error::Request(_)), "{said}");
}
