//! InfEdit (Xu et al., 2023), without attention control: virtual inversion by the denoising diffusion consistent model (DDCM).
//!
//! DDCM is DDIM with so much noise in each step that nothing of the predicted noise is left: z' = alpha' f(z) + sigma' N with fresh
//! N, where f is the estimate of x. It has the form of multistep consistency sampling. For the picture x itself, the noise that
//! makes f consistent is known, eps_cons = (z_source - alpha x) / sigma, so that the source's way need not be inverted; what the network
//! says otherwise, it is corrected by, and so is the target (algorithm 2):
//!
//! ```text
//! eps = eps(z_target, target prompt) - eps(z_source, source prompt) + eps_cons
//! f = (z_target - sigma eps) / alpha
//! z_target' = alpha' f + sigma' N        z_source' = alpha' x + sigma' N
//! ```
//!
//! and f of the last step is the edit. In D = z_target - z_source all of it is f - x = (D - sigma deps) / alpha = dx, the difference of the
//! two estimates of x, and
//!
//! ```text
//! D' = alpha' dx
//! ```
//!
//! as both samples share N. With v-prediction dx = alpha D - sigma dv, which also holds where there is no signal.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use super::EditRequest;
use super::difference::{Difference, ddim};
use crate::Result;
use crate::pipeline::{Pipeline, StepEvent};
use crate::schedulers::{
    self, Noise, Plan, PredictionType, Scheduler, SchedulerClass, SchedulerConfig, StepOptions, StepOutput, combine,
};

/// The latents of the edit, and what the user should know.
pub(super) async fn run(
    pipeline: &Pipeline,
    request: &EditRequest,
    noise: &mut Noise<'_>,
    on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
) -> Result<(Tensor<4>, Vec<String>)> {
    let own = pipeline.scheduler();
    // A consistency model's own timesteps are those of this sampler.
    let config = match own.class()? {
        SchedulerClass::Lcm | SchedulerClass::Tcd => own.clone(),
        _ => ddim(own)?,
    };
    let mut scheduler = Ddcm::new(&config)?;
    let edit = Difference::new(pipeline, request, &config, noise)?;
    let first = pipeline.plan(&edit.request, &mut scheduler)?;
    let end = scheduler.timesteps().len();
    let moved = edit.walk(&mut scheduler, [first, end], on_step).await?;
    Ok((edit.original.clone() + moved, edit.warnings))
}

/// DDCM for the difference of two samples that share their noise.
struct Ddcm {
    /// Whose timesteps these are.
    planner: Box<dyn Scheduler + Send>,
    kind: PredictionType,
}

impl Ddcm {
    fn new(config: &SchedulerConfig) -> Result<Self> {
        Ok(Self { planner: schedulers::from_config(config)?, kind: config.prediction_type() })
    }
}

impl Scheduler for Ddcm {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        self.planner.set_timesteps(num_inference_steps)
    }

    fn plan(&self) -> &Plan {
        self.planner.plan()
    }

    fn set_strength(&mut self, strength: f64) -> bool {
        self.planner.set_strength(strength)
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        _options: &StepOptions,
        _noise: &mut Noise,
    ) -> Result<StepOutput> {
        let dx = self.plan().at(index)?.x0(self.kind, &sample, &model_output)?;
        let prev_sample = match index + 1 < self.timesteps().len() {
            true => combine(&[(self.plan().at(index + 1)?.alpha, &dx)]),
            false => dx.clone(),
        };
        Ok(StepOutput { prev_sample, pred_original_sample: dx })
    }
}
