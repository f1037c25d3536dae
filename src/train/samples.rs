//! Sheets of samples: the model's pictures for captions of the dataset, beside the true ones.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;

use super::config::SheetConfig;
use super::model::DiffusionModel;
use super::sheet::sheet;
use super::vocabulary;
use crate::Result;
use crate::dataset::{Captioned, Split};
use crate::models::{AutoencoderTiny, AutoencoderTinyConfig, UNet2DConditionConfig, Vae};
use crate::picture::Picture;
use crate::pipeline::{Components, Defaults, Family, Pipeline, Request, StepEvent, TextEncoder};
use crate::schedulers::SchedulerConfig;

/// Everything that a pipeline needs besides the trained weights.
pub struct Frozen {
    /// Folder of the tokenizer.
    pub tokenizer: PathBuf,
    /// The autoencoder of the latents.
    pub vae: AutoencoderTiny,
    /// Its configuration.
    pub vae_config: AutoencoderTinyConfig,
    /// The UNet's configuration.
    pub unet_config: UNet2DConditionConfig,
    /// The sampler.
    pub scheduler: SchedulerConfig,
    /// The device, without autodiff.
    pub device: Device,
    /// Whether the model is a distilled student that reads the negative prompt.
    pub negative_prompt_in_context: bool,
}

/// The samples of a sheet, and how they are drawn.
pub struct Samples {
    /// The source of captions and true pictures.
    pub pictures: Arc<dyn Captioned>,
    /// Number of samples, steps, guidance.
    pub sheet: SheetConfig,
    /// Side in pixels.
    pub size: usize,
    /// The run's seed; captions are drawn with the next seed, which training does not use.
    pub seed: u64,
    /// The rest of the model.
    pub frozen: Frozen,
}

impl Samples {
    /// Draws the sheet of a model without autodiff.
    ///
    /// # Errors
    /// Those of the pipeline.
    pub fn draw(&self, model: &DiffusionModel) -> Result<Picture> {
        let pipeline = self.pipeline(model)?;
        let mut cells = Vec::new();
        for i in 0..self.sheet.samples {
            let held_out = i % 2 == 1 && self.pictures.holds_out();
            let split = if held_out { Split::HeldOut } else { Split::Train };
            let seed = self.seed.wrapping_add(1);
            let caption = self.pictures.caption_at(seed, split, i)?;
            let truth = self.pictures.picture_at(seed, split, i, self.size)?;
            let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
            let request = Request { seed: i, ..pipeline.request(&caption) };
            let (mut images, _) = pollster::block_on(pipeline.generate(&request, &mut on_step))?;
            let drawn = images.remove(0);
            let said = if held_out { format!("{caption} (held out)") } else { caption };
            cells.extend([(truth, said), (drawn, String::new())]);
        }
        Ok(sheet(&cells, 8))
    }

    fn pipeline(&self, model: &DiffusionModel) -> Result<Pipeline> {
        let Frozen { tokenizer, vae, vae_config, unet_config, scheduler, device, .. } = &self.frozen;
        let defaults = Defaults {
            steps: self.sheet.steps,
            guidance_scale: self.sheet.guidance_scale,
            guidance_scale_range: None,
            width: self.size,
            height: self.size,
        };
        let (tokenizer, encoder) = (vocabulary::read(tokenizer)?, model.text_encoder.clone());
        let text = TextEncoder { tokenizer, model: encoder, device: device.clone() };
        let components = Components {
            family: Family::StableDiffusion,
            text: vec![text],
            unet: model.unet.clone(),
            unet_config: unet_config.clone(),
            vae: Vae::Tiny(vae.clone(), vae_config.clone()),
            vae_large: None,
            scheduler: scheduler.clone(),
            defaults,
            negative_prompt_in_context: self.frozen.negative_prompt_in_context,
            guidance_scale_range: None,
        };
        Ok(Pipeline::from_components(components, device))
    }
}
