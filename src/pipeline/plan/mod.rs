//! Computes how much memory a model needs before it is loaded, from its configurations and the headers of its weights.

mod forward;
mod meter;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Device;
use serde::Serialize;

use super::index::{Family, Index, VAE_LARGE};
use super::load::{TextFiles, UNET, VAE, WEIGHTS, check_large, check_vae, defaults_for};
use super::{Defaults, MANIFEST, Manifest, Needs};
use crate::kernels::{BLOCK, BlockFormat};
use crate::models::{ClipTextModel, UNet2DConditionConfig, UNet2DConditionModel, Vae, parse};
use crate::weights::{self, Checkpoint, Files, Part, Quantization};
use crate::{Error, Result};
use meter::{FLOAT, Meter};

/// The weight that stays in main memory (`models::clip`).
const TOKEN_TABLE: &str = "token_embedding.weight";

/// The request that is planned for.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanOptions {
    /// Width and height in pixels; by default the model's own.
    pub size: Option<(usize, usize)>,
    /// Float weights of layers are put into blocks while they are read.
    pub quantize: Option<BlockFormat>,
    /// The largest buffer of the graphics card in bytes; by default [`WEBGPU_BUFFER`].
    pub buffer: Option<u64>,
}

/// The largest buffer that every WebGPU adapter binds, in bytes.
pub const WEBGPU_BUFFER: u64 = 128 << 20;

/// The memory that a model needs. All sizes are in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The settings that suit the model.
    #[serde(skip)]
    pub defaults: Defaults,
    /// Width of the picture in pixels.
    pub width: usize,
    /// Height of the picture in pixels.
    pub height: usize,
    /// Number of latents that the UNet computes together for one picture: two with classifier-free guidance.
    pub batch: usize,
    /// The networks.
    pub components: Vec<ComponentPlan>,
    /// The most that text encoders, a step of the UNet, and the decoder each hold besides the weights.
    pub activations: Vec<Phase>,
    /// The large decoder, if the model has one. Only its weights are part of the sums, because it only runs on request.
    pub large: Option<LargePlan>,
    /// The largest single buffer on the device.
    pub largest_buffer: Buffer,
    /// Side of the decoder's tiles in pixels, if the picture is not decoded whole.
    pub tile: Option<usize>,
    /// Memory of the graphics card: weights and the largest phase.
    pub device: u64,
    /// Memory of the machine besides that: tables that stay there.
    pub host: u64,
    /// Memory of the machine without a graphics card: all weights, and a picture decoded whole.
    pub processor: u64,
    /// The most that is held while weights are read, besides the device's copy: a tensor as it is stored, as f32, and
    /// in blocks.
    pub loading: u64,
    /// Total size of the files that are read.
    pub download: u64,
}

/// A network of a model.
#[derive(Clone, Debug, Serialize)]
pub struct ComponentPlan {
    /// The name of its folder.
    pub name: String,
    /// Numbers in its weights.
    pub parameters: u64,
    /// Bytes in its files, by dtype of the weights.
    pub stored: BTreeMap<String, u64>,
    /// Bytes on the graphics card.
    pub device: u64,
    /// Bytes that stay in main memory: the token table.
    pub host: u64,
    /// The largest weight on the graphics card.
    pub largest: Buffer,
    /// Bytes needed while its largest tensor is read.
    loading: u64,
}

/// A decoder that draws larger.
#[derive(Clone, Debug, Serialize)]
pub struct LargePlan {
    /// How many times larger its pictures are.
    pub times: usize,
    /// Its memory while it draws.
    pub phase: Phase,
    /// Side of its tiles in pixels, if the picture is not decoded whole.
    pub tile: Option<usize>,
}

/// A phase of drawing.
#[derive(Clone, Debug, Serialize)]
pub struct Phase {
    /// In words.
    pub name: &'static str,
    /// The most that it holds besides the weights.
    pub bytes: u64,
    /// Its largest buffer.
    pub largest: Buffer,
}

/// A buffer of the device.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Buffer {
    /// Its content.
    pub what: String,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Plan {
    /// Reads configurations, vocabularies and headers. The weights must match the configurations.
    ///
    /// # Errors
    /// Those of [`super::Pipeline::load`], except for values of the weights; [`Error::Request`] for a size that the
    /// model cannot draw.
    pub fn read(files: &impl Files, options: &PlanOptions) -> Result<Self> {
        let Index { family, guidance_scale_range, vae_large, .. } = Index::read(files)?;
        let device = Device::flex();
        let unet_config: UNet2DConditionConfig = parse(UNET, &files.read(UNET)?)?;
        unet_config.check(UNET)?;
        let texts = family.encoders().iter().map(|part| TextFiles::read(files, *part)).collect::<Result<Vec<_>>>()?;
        let vae = Vae::unfilled(VAE, &files.read(VAE)?, &device)?;
        check_vae(VAE, &vae)?;
        let defaults = defaults_for(files, family, &unet_config, vae.scale())?;
        let (width, height) = options.size.unwrap_or((defaults.width, defaults.height));
        check_size(width, height, vae.scale())?;
        let read = Reader { files, quantize: options.quantize };
        let mut components = Vec::new();
        for text in &texts {
            let (folder, config) = (text.part.folder(), TextFiles::file(text.part));
            let module = ClipTextModel::new(&text.config, &config, &device)?;
            components.push(read.component(&module, folder, &format!("{folder}/model.safetensors"))?);
        }
        let unet = UNet2DConditionModel::new(&unet_config, UNET, &device)?;
        components.push(read.component(&unet, Part::Unet.folder(), &format!("unet/{WEIGHTS}"))?);
        components.push(read.vae(&vae, "vae")?);
        let batch = if is_guided(&defaults, &unet_config) { 2 } else { 1 };
        let latents = [height / vae.scale(), width / vae.scale()];
        let tokens = texts.first().map_or(0, |text| text.config.max_position_embeddings);
        let buffer = options.buffer.unwrap_or(WEBGPU_BUFFER);
        let tile = vae.tile(1, latents, buffer);
        let activations = vec![
            phase("text encoders", |meter| texts.iter().for_each(|text| forward::text(meter, &text.config, batch))),
            phase("a step of the UNet", |meter| {
                forward::unet(meter, &unet_config, [batch, latents[0], latents[1]], tokens);
            }),
            phase("the decoder", |meter| forward::decode(meter, &vae, latents, tile)),
        ];
        let whole = phase("the decoder", |meter| forward::decode(meter, &vae, latents, None));
        let mut large = None;
        if vae_large {
            let config = format!("{VAE_LARGE}/config.json");
            let decoder = Vae::unfilled(&config, &files.read(&config)?, &device)?;
            check_large(&vae, &decoder)?;
            components.push(read.vae(&decoder, VAE_LARGE)?);
            large = Some(LargePlan::of(&decoder, decoder.scale() / vae.scale(), latents, buffer));
        }
        let download = download(files, family, &components)?;
        let defaults = Defaults { width, height, guidance_scale_range, ..defaults };
        let tile = tile.map(|side| side * vae.scale());
        Ok(Self { large, ..Self::of(defaults, batch, components, activations, (tile, whole.bytes), download) })
    }

    fn of(
        defaults: Defaults,
        batch: usize,
        components: Vec<ComponentPlan>,
        activations: Vec<Phase>,
        (tile, decoded_whole): (Option<usize>, u64),
        download: u64,
    ) -> Self {
        let Defaults { width, height, .. } = defaults;
        let weights: u64 = components.iter().map(|component| component.device).sum();
        let most = activations.iter().map(|phase| phase.bytes).max().unwrap_or(0);
        let buffers = components.iter().map(|component| &component.largest);
        let buffers = buffers.chain(activations.iter().map(|phase| &phase.largest));
        let largest_buffer = buffers.max_by_key(|buffer| buffer.bytes).cloned().unwrap_or_default();
        let loading = components.iter().map(|component| component.loading).max().unwrap_or(0);
        let (device, host) = (weights + most, components.iter().map(|component| component.host).sum());
        let processor = weights + host + most.max(decoded_whole);
        Self {
            defaults,
            width,
            height,
            batch,
            components,
            activations,
            large: None,
            largest_buffer,
            tile,
            device,
            host,
            processor,
            loading,
            download,
        }
    }

    /// The numbers for the manifest.
    pub fn needs(&self) -> Needs {
        Needs {
            weights: self.components.iter().map(|component| component.device).sum(),
            largest_buffer: self.largest_buffer.bytes,
            activations: self.activations.iter().map(|phase| phase.bytes).max().unwrap_or(0),
            large_activations: self.large.as_ref().map(|large| large.phase.bytes),
        }
    }
}

fn is_guided(defaults: &Defaults, unet: &UNet2DConditionConfig) -> bool {
    defaults.guidance_scale > 1.0 && unet.time_cond_proj_dim.is_none()
}

fn check_size(width: usize, height: usize, scale: usize) -> Result<()> {
    let fits = |side: usize| side > 0 && side.is_multiple_of(scale) && side <= super::MAX_SIZE;
    match fits(width) && fits(height) {
        true => Ok(()),
        false => {
            let most = super::MAX_SIZE;
            Err(Error::Request(format!("{width} x {height}: both sides must be multiples of {scale}, at most {most}")))
        }
    }
}

fn phase(name: &'static str, run: impl FnOnce(&Meter)) -> Phase {
    let meter = Meter::default();
    run(&meter);
    let counts = meter.counts();
    Phase { name, bytes: counts.peak, largest: Buffer { what: counts.largest_is.to_string(), bytes: counts.largest } }
}

impl LargePlan {
    fn of(decoder: &Vae, times: usize, latents: [usize; 2], buffer: u64) -> Self {
        let tile = decoder.tile(1, latents, buffer);
        let phase = phase("the large decoder", |meter| forward::decode(meter, decoder, latents, tile));
        Self { times, phase, tile: tile.map(|side| side * decoder.scale()) }
    }
}

#[derive(Clone, Copy)]
struct Reader<'f, F: Files> {
    files: &'f F,
    quantize: Option<BlockFormat>,
}

impl<F: Files> Reader<'_, F> {
    fn vae(&self, vae: &Vae, folder: &str) -> Result<ComponentPlan> {
        let path = format!("{folder}/{WEIGHTS}");
        match vae {
            Vae::Kl(module, _) => self.component(module, folder, &path),
            Vae::Tiny(module, _) => self.component(module, folder, &path),
        }
    }

    fn component<M: Module>(&self, module: &M, name: &str, path: &str) -> Result<ComponentPlan> {
        let config = format!("{name}/config.json");
        let quantization = Quantization::parse(&config, &self.files.read(&config)?)?;
        let checkpoint = Checkpoint::open(self.files, path)?.with_quantization(quantization).quantizing(self.quantize);
        weights::check(module, &checkpoint)?;
        let (mut stored, mut largest) = (BTreeMap::new(), Buffer::default());
        let (mut parameters, mut device, mut host, mut loading) = (0, 0, 0, 0);
        for key in checkpoint.keys() {
            let dtype = checkpoint.dtype(key).map_or(String::new(), |dtype| format!("{dtype:?}"));
            *stored.entry(dtype).or_default() += checkpoint.length(key);
        }
        for wanted in weights::wanted(module) {
            let numbers = wanted.shape.iter().map(|n| *n as u64).product::<u64>();
            let blocks = checkpoint.format(&wanted).map(|format| block_bytes(format, &wanted.shape));
            let bytes = blocks.unwrap_or(numbers * FLOAT);
            parameters += numbers;
            loading = loading.max(checkpoint.length(&wanted.name) + numbers * FLOAT + blocks.unwrap_or(0));
            if wanted.name.ends_with(TOKEN_TABLE) {
                host += bytes;
                continue;
            }
            device += bytes;
            if bytes > largest.bytes {
                largest = Buffer { what: format!("{name}: {}", wanted.name), bytes };
            }
        }
        Ok(ComponentPlan { name: name.to_string(), parameters, stored, device, host, largest, loading })
    }
}

/// Bytes of a weight's codes and scales.
fn block_bytes(format: BlockFormat, shape: &[usize]) -> u64 {
    let columns: usize = shape.iter().skip(1).product();
    (shape[0] * columns.div_ceil(BLOCK) * (format.code_bytes() + 2)) as u64
}

/// The size by the manifest, or of all files that a reader of the model reads.
fn download(files: &impl Files, family: Family, components: &[ComponentPlan]) -> Result<u64> {
    if let Some(bytes) = files.get_small(MANIFEST)? {
        let manifest: Manifest = parse(MANIFEST, &bytes)?;
        return Ok(manifest.files.iter().map(|file| file.size).sum());
    }
    let weights: u64 = components.iter().flat_map(|component| component.stored.values()).sum();
    let sizes = super::load::small_files(family).iter().map(|path| files.size(path)).collect::<Result<Vec<_>>>()?;
    Ok(weights + sizes.into_iter().flatten().sum::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::DirFiles;

    const STICKERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/stickers-teacher");

    fn plan(quantize: Option<BlockFormat>, size: Option<(usize, usize)>) -> Plan {
        Plan::read(&DirFiles::new(STICKERS), &PlanOptions { size, quantize, buffer: None }).unwrap()
    }

    #[test]
    fn weights_are_counted_by_dtype_and_as_they_lie_on_the_device() {
        let plan = plan(None, None);
        let names: Vec<&str> = plan.components.iter().map(|component| component.name.as_str()).collect();
        assert_eq!(names, ["text_encoder", "unet", "vae"]);
        for component in &plan.components {
            assert_eq!(component.stored.keys().collect::<Vec<_>>(), ["F16"], "{}", component.name);
            assert_eq!(component.stored["F16"], 2 * component.parameters);
            assert_eq!(component.device + component.host, 4 * component.parameters);
        }
        assert_eq!(plan.needs().weights + plan.needs().activations, plan.device);
        assert!(plan.largest_buffer.bytes < plan.device);
    }

    #[test]
    fn a_larger_picture_needs_more_and_blocks_less() {
        let (small, large) = (plan(None, Some((64, 64))), plan(None, Some((128, 128))));
        assert!(large.needs().activations > 3 * small.needs().activations, "{large:?}");
        assert_eq!(large.needs().weights, small.needs().weights);
        let q8 = plan(Some(BlockFormat::Q8_0), None);
        assert!(q8.needs().weights < small.needs().weights / 2);
        assert!(q8.loading > small.loading);
    }

    #[test]
    fn a_small_buffer_is_met_by_tiles() {
        let files = DirFiles::new(STICKERS);
        let with =
            |buffer| Plan::read(&files, &PlanOptions { size: Some((512, 512)), quantize: None, buffer }).unwrap();
        let (whole, tiles) = (with(Some(u64::MAX)), with(Some(8 << 20)));
        assert_eq!(whole.tile, None);
        assert!(tiles.tile < Some(512) && tiles.activations[2].largest.bytes <= 8 << 20, "{tiles:?}");
        assert!(tiles.activations[2].bytes < whole.activations[2].bytes);
        assert_eq!(tiles.processor, whole.processor);
    }

    #[test]
    fn sizes_that_cannot_be_drawn_are_named() {
        let options = PlanOptions { size: Some((101, 64)), ..PlanOptions::default() };
        let error = Plan::read(&DirFiles::new(STICKERS), &options).unwrap_err().to_string();
        assert!(error.contains("101 x 64"), "{error}");
    }

    #[test]
    fn blocks_take_a_byte_or_half_of_one_a_number_and_two_for_a_scale() {
        assert_eq!(block_bytes(BlockFormat::Q8_0, &[10, 64]), 10 * 2 * 34);
        assert_eq!(block_bytes(BlockFormat::Q4_0, &[10, 7, 3, 3]), 10 * 2 * 18);
    }
}
