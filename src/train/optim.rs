//! AdamW (Loshchilov & Hutter, 2019) for a whole module, optionally Muon for the weight matrices inside, and clipping
//! by the global norm of the gradients.
//!
//! The arithmetic for one parameter is burn's [`AdamW`]. Its optimizer for modules is not used, because it clips each
//! gradient separately and keys its state by random ids. Here the moments are saved under the checkpoint's keys.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::{AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, GradientsParams, Optimizer as _};
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::muon::MuonConfig;
use super::values::Values;
use crate::weights::KeyPath;

/// Settings of the optimizer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// The greatest learning rate.
    pub learning_rate: f64,
    /// Steps over which the rate rises from `learning_rate / warm_up`.
    pub warm_up: u64,
    /// The schedule after the warm-up.
    pub schedule: Schedule,
    /// Decay of the first moment.
    pub beta_1: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled decay of all weights.
    pub weight_decay: f32,
    /// Greatest global norm of the gradients; null for no clipping.
    pub clip_norm: Option<f64>,
    /// Muon for the weight matrices inside the network; null for AdamW everywhere.
    pub muon: Option<MuonConfig>,
}

/// The learning rate after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Constant.
    Constant,
    /// Falls to 0 like half a cosine.
    Cosine,
    /// Falls to 0 linearly.
    Linear,
}

impl OptimizerConfig {
    /// The learning rate of step `step` (from 0) of `steps`.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        let risen = ((step + 1) as f64 / self.warm_up.max(1) as f64).min(1.0);
        let after = step.saturating_sub(self.warm_up) as f64 / steps.saturating_sub(self.warm_up).max(1) as f64;
        let fallen = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * after.min(1.0)).cos()),
            Schedule::Linear => (1.0 - after).max(0.0),
        };
        self.learning_rate * risen * fallen
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if !positive(self.learning_rate) {
            return Err(format!("learning_rate = {}: must be above 0", self.learning_rate));
        }
        if self.clip_norm.is_some_and(|norm| !positive(norm)) {
            return Err("clip_norm: must be above 0, or null".into());
        }
        for (key, value) in [("beta_1", self.beta_1), ("beta_2", self.beta_2)] {
            if !(0.0..1.0).contains(&value) {
                return Err(format!("{key} = {value}: must be 0 to below 1"));
            }
        }
        self.muon.as_ref().map_or(Ok(()), MuonConfig::check)?;
        match self.epsilon > 0.0 && self.weight_decay >= 0.0 {
            true => Ok(()),
            false => Err("epsilon must be above 0 and weight_decay at least 0".into()),
        }
    }
}

/// The optimizer's state for a whole module.
pub struct Optimizer {
    adamw: AdamW,
    config: OptimizerConfig,
    /// Steps taken.
    pub time: usize,
    /// First moments by parameter; for Muon's parameters, the momentum.
    pub moment_1: Values,
    /// Second moments, by parameter.
    pub moment_2: Values,
}

impl Optimizer {
    /// A state with all moments zero.
    pub fn new(config: &OptimizerConfig) -> Self {
        let adamw = AdamWConfig::new()
            .with_beta_1(config.beta_1)
            .with_beta_2(config.beta_2)
            .with_epsilon(config.epsilon)
            .with_weight_decay(config.weight_decay)
            .build();
        let (moment_1, moment_2) = (Values::default(), Values::default());
        Self { adamw, config: config.clone(), time: 0, moment_1, moment_2 }
    }

    /// One step. Parameters without a gradient stay as they are.
    pub fn step<M: Module>(&mut self, learning_rate: f64, module: M, gradients: GradientsParams) -> M {
        let scale = self.config.clip_norm.and_then(|largest| {
            let norm = global_norm(&module, &gradients)?;
            Some(((norm + 1e-6).recip() * largest).clamp_max(1.0))
        });
        let module =
            module.map(&mut Step { optimizer: self, learning_rate, gradients, scale, path: KeyPath::default() });
        self.time += 1;
        module
    }

    fn state<const D: usize>(&mut self, id: ParamId) -> Option<AdamWState<D>> {
        let (moment_1, moment_2) = (self.moment_1.remove(id)?, self.moment_2.remove(id)?);
        let momentum = AdaptiveMomentumState { time: self.time, moment_1, moment_2, max_moment_2: None };
        Some(AdamWState { momentum })
    }
}

/// The root of the sum of all squares, `[1]`, on the device; none without gradients.
pub fn global_norm<M: Module>(module: &M, gradients: &GradientsParams) -> Option<Tensor<1>> {
    let mut visitor = SquareSum { gradients, sum: None };
    module.visit(&mut visitor);
    visitor.sum.map(Tensor::sqrt)
}

struct SquareSum<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SquareSum<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let square = gradient.square().sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

struct Step<'a> {
    optimizer: &'a mut Optimizer,
    learning_rate: f64,
    gradients: GradientsParams,
    scale: Option<Tensor<1>>,
    path: KeyPath,
}

impl Step<'_> {
    fn adamw<const D: usize>(&mut self, id: ParamId, value: Tensor<D>, gradient: Tensor<D>) -> Tensor<D> {
        let state = self.optimizer.state(id);
        let (value, state) = self.optimizer.adamw.step(self.learning_rate, value, gradient, state);
        if let Some(AdamWState { momentum }) = state {
            self.optimizer.moment_1.insert(id, momentum.moment_1);
            self.optimizer.moment_2.insert(id, momentum.moment_2);
        }
        value
    }

    /// None if AdamW trains this parameter.
    fn muon<const D: usize>(&mut self, id: ParamId, value: &Tensor<D>, gradient: &Tensor<D>) -> Option<Tensor<D>> {
        let OptimizerConfig { muon, learning_rate, weight_decay, .. } = &self.optimizer.config;
        let muon = muon.as_ref().filter(|muon| muon.takes(&self.path.key(), D))?;
        let rate = muon.learning_rate * self.learning_rate / learning_rate;
        let momentum = self.optimizer.moment_1.remove(id);
        let (value, momentum) = muon.step(rate, *weight_decay, value.clone(), gradient.clone(), momentum);
        self.optimizer.moment_1.insert(id, momentum);
        Some(value)
    }
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return param };
        let (id, value, mapper) = param.consume();
        let gradient = match &self.scale {
            Some(scale) => gradient * scale.clone().reshape([1; D]),
            None => gradient,
        };
        let value = value.inner();
        let value = match self.muon(id, &value, &gradient) {
            Some(value) => value,
            None => self.adamw(id, value, gradient),
        };
        Param::from_mapped_value(id, Tensor::from_inner(value).require_grad(), mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(schedule: Schedule) -> OptimizerConfig {
        OptimizerConfig {
            learning_rate: 2.0,
            warm_up: 4,
            schedule,
            beta_1: 0.9,
            beta_2: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: Some(1.0),
            muon: None,
        }
    }

    #[test]
    fn the_rate_rises_then_falls_as_asked() {
        let rates = |schedule| [0, 3, 4, 9, 14].map(|step| config(schedule).rate(step, 14));
        assert_eq!(rates(Schedule::Constant), [0.5, 2.0, 2.0, 2.0, 2.0]);
        assert_eq!(rates(Schedule::Linear), [0.5, 2.0, 2.0, 1.0, 0.0]);
        let cosine = rates(Schedule::Cosine);
        assert!(cosine[2] == 2.0 && (cosine[3] - 1.0).abs() < 1e-12 && cosine[4].abs() < 1e-12, "{cosine:?}");
    }
}
