//! Training of the tiny autoencoder (diffusers' `AutoencoderTiny`).
//!
//! In the first stage everything is trained, with a penalty that keeps every channel of the latents near mean 0 and
//! deviation 1. Then the exact mean and deviation over the training pictures are folded into the encoder's last
//! convolution, and the encoder is frozen. In the second stage the decoder is trained with noise on the latents,
//! because a diffusion model's latents will not be exact either.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;

use super::checkpoint::{self, Position, TrainState};
use super::config::{AutoencoderConfig, AutoencoderLoss};
use super::data::{self, PictureBatch, PictureSource, Prefetch};
use super::export;
use super::init;
use super::run::{Outcome, Settings, Stage, run_stage};
use super::sheet::sheet;
use super::task::Task;
use crate::dataset::{Captioned, Split, Stickers};
use crate::models::{AutoencoderTiny, AutoencoderTinyConfig, AutoencoderTinyLayer};
use crate::picture::Picture;
use crate::{Error, Result};

/// Trains, or resumes training, in `settings.folder`; writes `vae/` there.
///
/// # Errors
/// [`Error::Config`] for a model that cannot be built; those of reading the pictures, of saving, and
/// [`Error::Diverged`].
pub fn train(config: &AutoencoderConfig, settings: &Settings) -> Result<Outcome> {
    let (vae_config, device) = (vae_config(config)?, settings.device.clone().autodiff());
    let structure = AutoencoderTiny::new(&vae_config, "vae", &device)?;
    let training = &config.training;
    let state = match checkpoint::position(&settings.folder)? {
        Some(position) => {
            let structure = if position.stage == 0 { structure } else { freeze_encoder(structure) };
            checkpoint::load(&settings.folder, structure, &training.optimizer)?
        }
        None => {
            let model = init::initialize(structure, training.seed);
            TrainState::start(model, &training.optimizer, Position { step: 0, stage: 0, stage_step: 0 })
        }
    };
    let data = Data {
        pictures: data::captioned(&config.pictures)?,
        glyphs: data::all_glyphs(&config.pictures)?.map(Arc::new),
    };
    let (state, outcome) = stages(config, &vae_config, &data, settings, state)?;
    export::component(&settings.folder.join("vae"), &config.vae, export::MODEL, &state.average)?;
    Ok(outcome)
}

type State = TrainState<AutoencoderTiny>;

/// The training data.
struct Data {
    pictures: Arc<dyn Captioned>,
    /// None if the pictures come from a folder.
    glyphs: Option<Arc<Stickers>>,
}

fn stages(
    config: &AutoencoderConfig,
    vae: &AutoencoderTinyConfig,
    data: &Data,
    settings: &Settings,
    mut state: State,
) -> Result<(State, Outcome)> {
    let training = &config.training;
    let run = |state: State, steps, noise, title| {
        let task = AutoencoderTask::new(config, vae, data, noise, &settings.device)?;
        let source = source(config, vae, data);
        let first = config.training.first_batch(state.position.step);
        let mut batches = Prefetch::start(first, settings.workers, move |n| source.batch(n))?;
        let stage = Stage { training, steps, all_steps: training.steps + config.decoder_steps, title };
        run_stage(state, &task, &mut batches, &stage, settings)
    };
    if state.position.stage == 0 {
        let outcome;
        (state, outcome) = run(state, training.steps, config.latent_noise, "autoencoder")?;
        if outcome != Outcome::Finished {
            return Ok((state, outcome));
        }
        let standard = standardize(state.average, data.pictures.as_ref(), config, &settings.device)?;
        let position = Position { step: state.position.step, stage: 1, stage_step: 0 };
        state = TrainState::start(freeze_encoder(standard.train()), &training.optimizer, position);
    }
    match config.decoder_steps {
        0 => Ok((state, Outcome::Finished)),
        steps => run(state, steps, config.decoder_latent_noise, "decoder"),
    }
}

/// The loss of a batch: see [`AutoencoderLoss`]. `pictures` `[n, channels, h, w]` in [-1, 1], `noise` of the latents' shape.
pub fn loss(model: &AutoencoderTiny, pictures: Tensor<4>, noise: Tensor<4>, weights: &AutoencoderLoss) -> Tensor<1> {
    let latents = model.encode(pictures.clone());
    let decoded = model.decode(latents.clone() + noise) / 2.0 + 0.5;
    let target = pictures / 2.0 + 0.5;
    let error = decoded - target;
    let [_, _, height, width] = error.dims();
    let down = error.clone().narrow(2, 1, height - 1) - error.clone().narrow(2, 0, height - 1);
    let across = error.clone().narrow(3, 1, width - 1) - error.clone().narrow(3, 0, width - 1);
    let gradient = down.abs().mean() + across.abs().mean();
    let square = error.clone().square().mean();
    error.abs().mean() * weights.absolute
        + square * weights.square
        + gradient * weights.gradient
        + statistics_penalty(latents) * weights.statistics
}

/// Mean over the channels of mean² + (deviation - 1)², computed over batch and positions; the deviation is the unbiased
/// one.
fn statistics_penalty(latents: Tensor<4>) -> Tensor<1> {
    let [batch, channels, height, width] = latents.dims();
    let count = batch * height * width;
    let rows = latents.swap_dims(0, 1).reshape([channels, count]);
    let mean = rows.clone().mean_dim(1);
    let variance = (rows - mean.clone()).square().sum_dim(1) / (count - 1) as f64;
    (mean.square() + (variance.sqrt() - 1.0).square()).mean()
}

/// Mean and standard deviation of each channel of the latents, over the first training pictures.
///
/// # Errors
/// Those of rendering.
pub fn latent_statistics(
    model: &AutoencoderTiny,
    pictures: &dyn Captioned,
    config: &AutoencoderConfig,
    device: &Device,
) -> Result<Vec<(f64, f64)>> {
    let (size, batch, channels) = (config.pictures.size, config.training.batch, vae_config(config)?.in_channels);
    let mut sums: Vec<(f64, f64)> = Vec::new();
    let mut count = 0;
    for first in (0..config.statistics_pictures).step_by(batch) {
        let n = batch.min(config.statistics_pictures - first);
        let mut planes = Vec::with_capacity(n * channels * size * size);
        for i in first..first + n {
            planes.extend(pictures.picture_at(config.training.seed, Split::Train, i as u64, size)?.planes(channels));
        }
        let latents = model.encode(Tensor::from_data(TensorData::new(planes, [n, channels, size, size]), device));
        let [_, latent_channels, height, width] = latents.dims();
        let values: Vec<f32> = latents.into_data().iter::<f32>().collect();
        sums.resize(latent_channels, (0.0, 0.0));
        for (plane, values) in values.chunks_exact(height * width).enumerate() {
            let (sum, squares) = &mut sums[plane % latent_channels];
            *sum += values.iter().map(|v| f64::from(*v)).sum::<f64>();
            *squares += values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        }
        count += n * height * width;
    }
    let count = count as f64;
    Ok(sums.into_iter().map(|(sum, squares)| (sum / count, (squares / count - (sum / count).powi(2)).sqrt())).collect())
}

/// Makes the latents' mean 0 and deviation 1 in each channel by changing the encoder's last convolution. This is exact,
/// because nothing follows it.
fn standardize(
    mut model: AutoencoderTiny,
    pictures: &dyn Captioned,
    config: &AutoencoderConfig,
    device: &Device,
) -> Result<AutoencoderTiny> {
    let statistics = latent_statistics(&model, pictures, config, device)?;
    if let Some(channel) = statistics.iter().position(|(_, deviation)| *deviation < 1e-6) {
        return Err(Error::Request(format!("channel {channel} of the latents is constant: nothing was learned there")));
    }
    let column = |values: Vec<f32>| Tensor::<1>::from_data(TensorData::from(values.as_slice()), device);
    let mean = column(statistics.iter().map(|(mean, _)| *mean as f32).collect());
    let deviation = column(statistics.iter().map(|(_, deviation)| *deviation as f32).collect());
    let Some(AutoencoderTinyLayer::Conv(last)) = model.encoder.layers.last_mut() else {
        return Err(Error::Unsupported("an encoder that does not end in a convolution".into()));
    };
    let channels = statistics.len();
    last.weight = last.weight.clone().map(|weight| weight / deviation.clone().reshape([channels, 1, 1, 1]));
    last.bias = last.bias.take().map(|bias: Param<Tensor<1>>| bias.map(|bias| (bias - mean) / deviation));
    Ok(model)
}

fn freeze_encoder(model: AutoencoderTiny) -> AutoencoderTiny {
    AutoencoderTiny { encoder: model.encoder.no_grad(), decoder: model.decoder }
}

fn vae_config(config: &AutoencoderConfig) -> Result<AutoencoderTinyConfig> {
    let invalid = |reason: String| Error::Config { file: "vae".into(), reason };
    match config.vae.get("_class_name").and_then(Value::as_str) {
        Some("AutoencoderTiny") => {}
        other => return Err(invalid(format!("_class_name = {other:?}: only AutoencoderTiny is trained"))),
    }
    let vae: AutoencoderTinyConfig =
        serde_json::from_value(Value::Object(config.vae.clone())).map_err(|e| invalid(e.to_string()))?;
    if !matches!((vae.in_channels, vae.out_channels), (3, 3) | (4, 4)) {
        let (read, drawn) = (vae.in_channels, vae.out_channels);
        return Err(invalid(format!("in_channels = {read}, out_channels = {drawn}: must be 3 and 3, or 4 and 4")));
    }
    let factor = 1 << (vae.encoder_block_out_channels.len().max(1) - 1);
    match config.pictures.size.is_multiple_of(factor) {
        true => Ok(vae),
        false => Err(invalid(format!("pictures.size = {}: must be a multiple of {factor}", config.pictures.size))),
    }
}

/// Channels, height and width of the latents of a picture.
fn latent_shape(config: &AutoencoderConfig, vae: &AutoencoderTinyConfig) -> [usize; 3] {
    let side = config.pictures.size >> (vae.encoder_block_out_channels.len() - 1);
    [vae.latent_channels, side, side]
}

fn source(config: &AutoencoderConfig, vae: &AutoencoderTinyConfig, data: &Data) -> PictureSource {
    PictureSource {
        pictures: Arc::clone(&data.pictures),
        glyphs: data.glyphs.clone(),
        seed: config.training.seed,
        batch: config.training.batch,
        plain: (config.training.batch as f32 * config.glyph_share).round() as usize,
        size: config.pictures.size,
        channels: vae.in_channels,
        latent: latent_shape(config, vae).iter().product(),
    }
}

struct AutoencoderTask {
    device: Device,
    size: usize,
    /// Channels of the pictures: 3, or 4 with alpha.
    channels: usize,
    latent: [usize; 3],
    noise: f64,
    weights: AutoencoderLoss,
    sheet: Vec<(String, Picture)>,
}

impl AutoencoderTask {
    fn new(
        config: &AutoencoderConfig,
        vae: &AutoencoderTinyConfig,
        data: &Data,
        noise: f64,
        device: &Device,
    ) -> Result<Self> {
        let (size, count) = (config.pictures.size, config.sheet_pictures);
        let sheet = match &data.glyphs {
            Some(glyphs) => {
                let step = (glyphs.names.len() / count.max(1)).max(1);
                let chosen = glyphs.names.iter().step_by(step).take(count);
                chosen.map(|name| Ok((name.clone(), glyphs.glyph(name, size)?))).collect::<Result<_>>()?
            }
            None => {
                let (pictures, seed) = (&data.pictures, config.training.seed);
                let at = |i| {
                    let caption = pictures.caption_at(seed, Split::Train, i)?;
                    Ok((caption, pictures.picture_at(seed, Split::Train, i, size)?))
                };
                (0..count as u64).map(at).collect::<Result<_>>()?
            }
        };
        let (device, latent, weights) = (device.clone().autodiff(), latent_shape(config, vae), config.loss);
        Ok(Self { device, size, channels: vae.in_channels, latent, noise, weights, sheet })
    }
}

impl Task<AutoencoderTiny> for AutoencoderTask {
    type Batch = PictureBatch;

    fn loss(&self, model: &AutoencoderTiny, batch: &PictureBatch) -> Result<Tensor<1>> {
        let (size, [channels, height, width]) = (self.size, self.latent);
        let n = batch.pictures.len() / (self.channels * size * size);
        let tensor = |values: &[f32], shape: [usize; 4]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), &self.device)
        };
        let pictures = tensor(&batch.pictures, [n, self.channels, size, size]);
        let noise = tensor(&batch.noise, [n, channels, height, width]) * self.noise;
        Ok(loss(model, pictures, noise, &self.weights))
    }

    fn sheet(&self, average: &AutoencoderTiny) -> Result<Picture> {
        let device = self.device.clone().inner();
        let mut cells = Vec::new();
        for (name, picture) in &self.sheet {
            let input = picture.to_tensor(self.channels, &device);
            let decoded = pollster::block_on(Picture::from_tensor(average.decode(average.encode(input))))?.remove(0);
            let text = format!("{:.1} dB", psnr(picture, &decoded));
            cells.extend([(picture.clone(), name.clone()), (decoded, text)]);
        }
        Ok(sheet(&cells, 8))
    }
}

/// Peak signal-to-noise ratio in dB of 8-bit pictures of one size, as seen on mid-grey; 99 for equal ones.
pub fn psnr(one: &Picture, other: &Picture) -> f64 {
    let [one, other] = [one, other].map(|picture| picture.over([128; 3]));
    let squares = one.rgb.iter().zip(&other.rgb).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    let mean = squares.sum::<f64>() / one.rgb.len() as f64;
    if mean == 0.0 { 99.0 } else { 10.0 * (255.0f64.powi(2) / mean).log10() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psnr_of_a_known_error() {
        let grey = |value| Picture::filled(2, 2, [value; 3]);
        assert_eq!(psnr(&grey(9), &grey(9)), 99.0);
        assert!((psnr(&grey(0), &grey(255)) - 0.0).abs() < 1e-9);
        assert!((psnr(&grey(100), &grey(110)) - 28.13).abs() < 0.01);
    }

    #[test]
    fn standard_latents_cost_nothing() {
        let values: Vec<f32> = [1.0f32, -1.0].repeat(32);
        let scale = (63.0f32 / 64.0).sqrt();
        let tensor = |values: Vec<f32>| Tensor::<4>::from_data(TensorData::new(values, [4, 1, 4, 4]), &Device::flex());
        let cost = |t: Tensor<4>| statistics_penalty(t).into_scalar::<f32>();
        assert!(cost(tensor(values.iter().map(|v| v * scale).collect())) < 1e-9);
        // Mean 2 and deviation 3: 2² + (3 - 1)².
        assert!((cost(tensor(values.iter().map(|v| 2.0 + 3.0 * v * scale).collect())) - 8.0).abs() < 1e-4);
    }
}
