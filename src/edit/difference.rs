//! The difference D = z_target - z_source between two samples that share their noise: what both methods let walk through the
//! denoising loop.
//!
//! The source is never sampled: at each noise level it is the picture with fresh noise N, z_source = alpha x + sigma N, so D is 0 at
//! the start, z_target = z_source + D, and x + D is the edit where no noise is left. The network's part is the difference of its
//! answers for the two samples. A sampler's step is linear in sample and answer, so that it can take D and that difference as it
//! takes any other sample and answer; only clipping is not linear, and is left out.

use std::cell::RefCell;
use std::ops::ControlFlow;

use burn::tensor::Tensor;

use super::EditRequest;
use crate::Result;
use crate::pipeline::{Denoiser, Guidance, Pipeline, Place, Prediction, Request, Start, StepEvent, denoise};
use crate::schedulers::{
    self, Noise, NoiseSchedule, Scheduler, SchedulerClass, SchedulerConfig, StepOptions, TimestepSpacing,
};

/// Predicts for D, averaged over several draws of the shared noise.
pub(super) struct Difference<'a, 'n> {
    /// The picture's latents, `[1, c, h, w]`.
    pub original: Tensor<4>,
    /// What the pipeline is asked for with the target prompt.
    pub request: Request,
    /// What the user should know.
    pub warnings: Vec<String>,
    source: Guidance<'a>,
    target: Guidance<'a>,
    schedule: NoiseSchedule,
    noise: RefCell<&'a mut Noise<'n>>,
}

impl<'a, 'n> Difference<'a, 'n> {
    /// Of the two prompts of an edit, at the noise levels of a sampler's configuration.
    ///
    /// # Errors
    /// As [`Pipeline::denoiser`].
    pub fn new(
        pipeline: &'a Pipeline,
        edit: &EditRequest,
        config: &SchedulerConfig,
        noise: &'a mut Noise<'n>,
    ) -> Result<Self> {
        let of_source = edit.half(pipeline, &edit.source_prompt, edit.source_guidance_scale)?;
        let request = edit.half(pipeline, &edit.target_prompt, edit.target_guidance_scale)?;
        let (source, of_both) = pipeline.denoiser(&of_source)?;
        let (target, mut warnings) = pipeline.denoiser(&request)?;
        warnings.extend(of_both.into_iter().filter(|warning| !warnings.contains(warning)).collect::<Vec<_>>());
        let original = pipeline.encode(edit.image.to_tensor(pipeline.channels(), pipeline.device()));
        let (schedule, noise) = (NoiseSchedule::new(config)?, RefCell::new(noise));
        Ok(Self { original, request, warnings, source, target, schedule, noise })
    }

    /// Standard normal noise, the next of the edit's.
    pub fn draw(&self, shape: [usize; 4]) -> Tensor<4> {
        (self.noise.borrow_mut())(shape)
    }

    /// D after the steps `first` to `end` of the sampler, beginning with 0; `[1, c, h, w]`.
    pub async fn walk(
        &self,
        scheduler: &mut dyn Scheduler,
        [first, end]: [usize; 2],
        on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Tensor<4>> {
        let start = Start { latents: self.original.zeros_like(), index: first, end: Some(end), kept: None };
        let mut shown = async |event: StepEvent<'_>| {
            let latents = &(self.original.clone() + event.latents.clone());
            let pred_original_sample = &(self.original.clone() + event.pred_original_sample.clone());
            on_step(StepEvent { latents, pred_original_sample, ..event }).await
        };
        let mut noise = |shape| self.draw(shape);
        denoise(self, scheduler, start, &StepOptions::default(), &mut noise, &mut shown).await
    }
}

impl Denoiser for Difference<'_, '_> {
    fn predict(&self, x: Tensor<4>, t: f32, place: Place) -> Prediction {
        let n = self.request.num_images_per_prompt;
        let original = self.original.clone().repeat_dim(0, n);
        let noise = self.draw(original.dims());
        let of_source = self.schedule.add_noise(original, noise, &[t as usize]).expect("a timestep of the schedule");
        let of_target = of_source.clone() + x.repeat_dim(0, n);
        let source = self.source.predict(of_source, t, place);
        let target = self.target.predict(of_target, t, place);
        Prediction { guided: (target.guided - source.guided).mean_dim(0), ..target }
    }
}

/// DDIM for a model with a sampler of any kind, so that its steps are linear and end where no noise is left. A consistency
/// model's own timesteps are those of another sampler; it takes trailing ones.
pub(super) fn ddim(own: &SchedulerConfig) -> Result<SchedulerConfig> {
    let consistency = matches!(own.class()?, SchedulerClass::Lcm | SchedulerClass::Tcd);
    let mut config = schedulers::named("ddim", own)?;
    config.clip_sample = Some(false);
    config.set_alpha_to_one = Some(true);
    if consistency {
        config.timestep_spacing = Some(TimestepSpacing::Trailing);
    }
    Ok(config)
}
