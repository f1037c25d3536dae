//! The checkpoint's `scheduler_config.json`: every field that one of our schedulers reads, with the defaults of its
//! class.
//!
//! A key that is absent or null takes the default of the class that the configuration is used for, as in diffusers
//! 0.42. A key that is present keeps its value when the configuration is converted to another class.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The longest noise schedule; larger numbers would take too much memory and time.
const MAX_TRAIN_TIMESTEPS: usize = 1_000_000;

/// The supported schedulers, by their names in diffusers (`_class_name`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SchedulerClass {
    /// Song 2020.
    #[serde(rename = "DDIMScheduler")]
    Ddim,
    /// Ho 2020.
    #[serde(rename = "DDPMScheduler")]
    Ddpm,
    /// Karras 2022, algorithm 1 of first order.
    #[serde(rename = "EulerDiscreteScheduler")]
    Euler,
    /// Euler with fresh noise in each step.
    #[serde(rename = "EulerAncestralDiscreteScheduler")]
    EulerAncestral,
    /// Linear multistep (Adams-Bashforth) in sigma.
    #[serde(rename = "LMSDiscreteScheduler")]
    Lms,
    /// Lu 2022, DPM-Solver and DPM-Solver++.
    #[serde(rename = "DPMSolverMultistepScheduler")]
    DpmSolverMultistep,
    /// Liu 2022, pseudo numerical methods.
    #[serde(rename = "PNDMScheduler")]
    Pndm,
    /// Karras 2022, algorithm 1 of second order.
    #[serde(rename = "HeunDiscreteScheduler")]
    Heun,
    /// Luo 2023, latent consistency models.
    #[serde(rename = "LCMScheduler")]
    Lcm,
    /// Zheng 2024, trajectory consistency distillation.
    #[serde(rename = "TCDScheduler")]
    Tcd,
    /// Zhao 2023.
    #[serde(rename = "UniPCMultistepScheduler")]
    UniPc,
    /// Euler's method on a rectified flow (Esser 2024).
    #[serde(rename = "FlowMatchEulerDiscreteScheduler")]
    FlowMatchEuler,
}

/// The family of the noise schedule, `beta_schedule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Betas increase linearly (Ho 2020).
    Linear,
    /// Square roots of the betas increase linearly (Rombach 2022).
    ScaledLinear,
    /// Cosine (Nichol 2021).
    SquaredcosCapV2,
}

/// What the network predicts, `prediction_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionType {
    /// The noise (Ho 2020).
    Epsilon,
    /// The velocity alpha eps - sigma x0 (Salimans 2022).
    VPrediction,
    /// The finished latents.
    #[serde(alias = "original_sample")]
    Sample,
}

/// How the steps are placed among the training timesteps, `timestep_spacing` (Lin 2023, table 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepSpacing {
    /// Multiples of an integer step, from `steps_offset` upwards.
    Leading,
    /// From the last timestep downwards.
    Trailing,
    /// Both ends included.
    Linspace,
}

/// The noise that DDPM adds in a step, `variance_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum VarianceType {
    FixedSmall,
    FixedSmallLog,
    FixedLarge,
    FixedLargeLog,
    Learned,
    LearnedRange,
}

/// The last entry of a table of sigmas, `final_sigmas_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalSigmasType {
    /// The last step ends without noise.
    Zero,
    /// The last step ends at the smallest sigma of training.
    SigmaMin,
}

/// Interpolation between table entries of sigma, `interpolation_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum InterpolationType {
    Linear,
    LogLinear,
}

/// How the network is told the noise level, `timestep_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestepType {
    /// The training timestep.
    Discrete,
    /// `0.25 ln(sigma)`, only with v prediction.
    Continuous,
}

/// `algorithm_type` of the DPM solvers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum AlgorithmType {
    #[serde(rename = "dpmsolver")]
    DpmSolver,
    #[serde(rename = "dpmsolver++", alias = "deis")]
    DpmSolverPlusPlus,
    #[serde(rename = "sde-dpmsolver")]
    SdeDpmSolver,
    #[serde(rename = "sde-dpmsolver++")]
    SdeDpmSolverPlusPlus,
}

/// `solver_type` of the DPM solvers and of UniPC; each reads the other's names as its own default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum SolverType {
    Midpoint,
    Heun,
    Logrho,
    Bh1,
    Bh2,
}

/// `time_shift_type` of the flow-matching schedulers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum TimeShiftType {
    Exponential,
    Linear,
}

/// diffusers' `scheduler_config.json`; `None` if the file has no such key. Field names and meanings are diffusers'.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct SchedulerConfig {
    #[serde(skip)]
    pub file: String,
    #[serde(rename = "_class_name")]
    pub class_name: Option<SchedulerClass>,
    pub num_train_timesteps: Option<usize>,
    pub beta_start: Option<f64>,
    pub beta_end: Option<f64>,
    pub beta_schedule: Option<BetaSchedule>,
    pub trained_betas: Option<Vec<f32>>,
    pub rescale_betas_zero_snr: Option<bool>,
    pub prediction_type: Option<PredictionType>,
    pub timestep_spacing: Option<TimestepSpacing>,
    pub steps_offset: Option<usize>,
    pub clip_sample: Option<bool>,
    pub clip_sample_range: Option<f64>,
    pub thresholding: Option<bool>,
    pub set_alpha_to_one: Option<bool>,
    pub variance_type: Option<VarianceType>,
    pub use_karras_sigmas: Option<bool>,
    pub use_exponential_sigmas: Option<bool>,
    pub use_beta_sigmas: Option<bool>,
    pub use_lu_lambdas: Option<bool>,
    pub use_flow_sigmas: Option<bool>,
    pub sigma_min: Option<f64>,
    pub sigma_max: Option<f64>,
    pub final_sigmas_type: Option<FinalSigmasType>,
    pub interpolation_type: Option<InterpolationType>,
    pub timestep_type: Option<TimestepType>,
    pub algorithm_type: Option<AlgorithmType>,
    pub solver_type: Option<SolverType>,
    pub solver_order: Option<usize>,
    pub lower_order_final: Option<bool>,
    pub euler_at_final: Option<bool>,
    pub lambda_min_clipped: Option<f64>,
    pub skip_prk_steps: Option<bool>,
    pub predict_x0: Option<bool>,
    pub disable_corrector: Option<Vec<usize>>,
    pub original_inference_steps: Option<usize>,
    pub timestep_scaling: Option<f64>,
    pub shift: Option<f64>,
    pub use_dynamic_shifting: Option<bool>,
    pub time_shift_type: Option<TimeShiftType>,
    pub shift_terminal: Option<f64>,
    pub invert_sigmas: Option<bool>,
    pub stochastic_sampling: Option<bool>,
}

impl SchedulerConfig {
    /// Parses the text of a `scheduler_config.json`; `file` is its name for messages. Keys that no scheduler here reads
    /// are ignored.
    ///
    /// # Errors
    /// [`Error::BadFile`] if the text is no JSON object; [`Error::Config`] for an unknown class or an invalid value,
    /// with the valid ones.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        // Python writes the default of `lambda_min_clipped`, minus infinity, in a form that is not valid JSON.
        let text = text.replace("-Infinity", "null");
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)
            .map_err(|e| Error::BadFile { file: file.into(), reason: format!("no JSON object: {e}") })?;
        for (key, value) in &object {
            // One key at a time, so that the message can name it.
            let alone = serde_json::Map::from_iter([(key.clone(), value.clone())]);
            if let Err(e) = serde_json::from_value::<Self>(alone.into()) {
                return Err(Error::Config { file: file.into(), reason: format!("{key} is {value}: {e}") });
            }
        }
        let mut config: Self = serde_json::from_value(object.into())
            .map_err(|e| Error::Config { file: file.into(), reason: e.to_string() })?;
        config.file = file.into();
        config.class()?;
        let steps = config.num_train_timesteps();
        if steps == 0 || steps > MAX_TRAIN_TIMESTEPS {
            let reason = format!("num_train_timesteps = {steps}: use 1 to {MAX_TRAIN_TIMESTEPS}");
            return Err(Error::Config { file: file.into(), reason });
        }
        Ok(config)
    }

    /// The class that the configuration is for.
    ///
    /// # Errors
    /// [`Error::Config`] if `_class_name` is missing.
    pub fn class(&self) -> Result<SchedulerClass> {
        self.class_name.ok_or_else(|| self.error("_class_name is missing"))
    }

    /// An error about this configuration's file.
    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        let file = if self.file.is_empty() { "scheduler_config.json".into() } else { self.file.clone() };
        Error::Config { file, reason: reason.into() }
    }

    /// Without the kinds of spacing that the class does not have in diffusers; a configuration converted from another
    /// class may still have them. (`rescale_betas_zero_snr` stays for all, because the network was trained with it.)
    pub(super) fn without_foreign_spacing(mut self) -> Self {
        use SchedulerClass::{DpmSolverMultistep, Euler, EulerAncestral};
        if self.class_name != Some(DpmSolverMultistep) {
            self.use_lu_lambdas = None;
        }
        if self.class_name != Some(Euler) {
            self.interpolation_type = None;
            self.timestep_type = None;
        }
        if matches!(self.class_name, Some(EulerAncestral | SchedulerClass::Lms | SchedulerClass::Heun)) {
            self.final_sigmas_type = None;
        }
        if self.class_name == Some(EulerAncestral) {
            self.use_karras_sigmas = None;
            self.use_exponential_sigmas = None;
            self.use_beta_sigmas = None;
        }
        self
    }

    /// Refuses a switch that is on but not supported.
    pub(super) fn refuse(&self, key: &str, value: Option<bool>) -> Result<()> {
        match value {
            Some(true) => Err(self.error(format!("{key} is true, which is not supported"))),
            _ => Ok(()),
        }
    }
}

/// Defaults that differ between classes, or that several classes share.
impl SchedulerConfig {
    /// Training timesteps, 1000 by default.
    pub fn num_train_timesteps(&self) -> usize {
        self.num_train_timesteps.unwrap_or(1000)
    }

    /// First and last beta.
    pub fn beta_range(&self) -> (f64, f64) {
        use SchedulerClass::{Heun, Lcm, Tcd};
        let (start, end) = match self.class_name {
            Some(Lcm | Tcd | Heun) => (0.00085, 0.012),
            _ => (0.0001, 0.02),
        };
        (self.beta_start.unwrap_or(start), self.beta_end.unwrap_or(end))
    }

    /// The family of betas.
    pub fn beta_schedule(&self) -> BetaSchedule {
        use SchedulerClass::{Lcm, Tcd};
        self.beta_schedule.unwrap_or(match self.class_name {
            Some(Lcm | Tcd) => BetaSchedule::ScaledLinear,
            _ => BetaSchedule::Linear,
        })
    }

    /// What the network predicts, the noise by default.
    pub fn prediction_type(&self) -> PredictionType {
        self.prediction_type.unwrap_or(PredictionType::Epsilon)
    }

    /// How the steps are placed.
    pub fn timestep_spacing(&self) -> TimestepSpacing {
        use SchedulerClass::{Ddim, Ddpm, Lcm, Pndm, Tcd};
        self.timestep_spacing.unwrap_or(match self.class_name {
            Some(Ddim | Ddpm | Pndm | Lcm | Tcd) => TimestepSpacing::Leading,
            _ => TimestepSpacing::Linspace,
        })
    }

    /// Offset of the timesteps with leading spacing, 0 by default.
    pub fn steps_offset(&self) -> usize {
        self.steps_offset.unwrap_or(0)
    }

    /// The bound that x0 is clipped to, if any: on by default for DDIM and DDPM.
    pub fn clip_range(&self) -> Option<f64> {
        use SchedulerClass::{Ddim, Ddpm};
        let clip = self.clip_sample.unwrap_or(matches!(self.class_name, Some(Ddim | Ddpm)));
        clip.then(|| self.clip_sample_range.unwrap_or(1.0))
    }

    /// Whether the step after the last ends without noise; by default not for PNDM.
    pub fn set_alpha_to_one(&self) -> bool {
        self.set_alpha_to_one.unwrap_or(self.class_name != Some(SchedulerClass::Pndm))
    }

    /// How a table of sigmas ends, with zero by default.
    pub fn final_sigmas_type(&self) -> FinalSigmasType {
        self.final_sigmas_type.unwrap_or(FinalSigmasType::Zero)
    }

    /// Order of the multistep solvers, 2 by default.
    pub fn solver_order(&self) -> usize {
        self.solver_order.unwrap_or(2)
    }
}
