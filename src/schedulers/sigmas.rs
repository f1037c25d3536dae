//! Noise levels in Karras's sigma: interpolated at the timesteps, or spaced by another rule.

use super::betas::NoiseSchedule;
use super::config::{
    BetaSchedule, FinalSigmasType, InterpolationType, PredictionType, SchedulerClass, SchedulerConfig, TimestepSpacing,
    TimestepType,
};
use super::plan::Plan;
use super::prediction::Rates;
use super::timesteps::{linspace, solver_spaced, spaced};
use crate::error::Result;

/// For Euler, Euler ancestral, LMS and Heun: timesteps keep their fractions, and another spacing rule applies between
/// the ends of the interpolated table.
///
/// # Errors
/// As [`spaced`]; a configuration error for more than one spacing rule.
pub fn fractional(config: &SchedulerConfig, noise: &NoiseSchedule, steps: usize) -> Result<Plan> {
    let table = noise.sigmas();
    let mut timesteps = spaced(config, steps)?;
    let mut sigmas: Vec<f64> = match config.interpolation_type.unwrap_or(InterpolationType::Linear) {
        // float32 timesteps, as in the reference
        InterpolationType::Linear => timesteps.iter().map(|t| interpolate(&table, f64::from(*t as f32))).collect(),
        InterpolationType::LogLinear => {
            let (last, first) = (log_f32(table[table.len() - 1]), log_f32(table[0]));
            linspace(last, first, steps + 1).into_iter().map(f64::exp).collect()
        }
    };
    if let Some(rule) = SigmaRule::of(config)? {
        let max = config.sigma_max.unwrap_or(sigmas[0]);
        let min = config.sigma_min.unwrap_or(sigmas[sigmas.len() - 1]);
        sigmas = rule.between(max, min, steps);
        timesteps = timesteps_of(&sigmas, &table);
    }
    let mut sigmas: Vec<f32> = sigmas.into_iter().take(steps + 1).map(|s| s as f32).collect();
    if sigmas.len() == steps {
        sigmas.push(final_sigma(config, &table));
    }
    let timesteps = if continuous(config) {
        sigmas[..steps].iter().map(|s| 0.25 * s.ln()).collect()
    } else {
        timesteps.into_iter().map(|t| t as f32).collect()
    };
    let init_noise_sigma = initial(config, &sigmas);
    Ok(Plan::of_sigmas(timesteps, sigmas, Rates::exploding, init_noise_sigma))
}

/// For the multistep solvers (DPM-Solver, UniPC): whole timesteps, and another spacing rule applies between the ends of
/// the full training table. `last` as in [`solver_spaced`].
///
/// # Errors
/// As [`solver_spaced`]; a configuration error for more than one spacing rule.
pub fn whole(config: &SchedulerConfig, noise: &NoiseSchedule, steps: usize, last: usize) -> Result<Plan> {
    let table = noise.sigmas();
    let mut timesteps = solver_spaced(config, steps, last)?;
    let sigmas = match SigmaRule::of(config)? {
        None => timesteps.iter().map(|t| interpolate(&table, *t)).collect(),
        Some(rule) => {
            let max = config.sigma_max.unwrap_or(f64::from(table[table.len() - 1]));
            let min = config.sigma_min.unwrap_or(f64::from(table[0]));
            let sigmas = rule.between(max, min, steps);
            timesteps = timesteps_of(&sigmas, &table);
            // DPM-Solver truncates fractions if betas are a cosine; UniPC always rounds.
            let rounds = matches!(rule, SigmaRule::Karras | SigmaRule::Lu)
                && (config.beta_schedule() != BetaSchedule::SquaredcosCapV2
                    || config.class_name == Some(SchedulerClass::UniPc));
            if rounds {
                timesteps.iter_mut().for_each(|t| *t = t.round_ties_even());
            }
            sigmas
        }
    };
    let mut sigmas: Vec<f32> = sigmas.into_iter().map(|s| s as f32).collect();
    sigmas.push(final_sigma(config, &table));
    let timesteps = timesteps.into_iter().map(|t| t.trunc() as f32).collect();
    Ok(Plan::of_sigmas(timesteps, sigmas, Rates::of_sigma, 1.0))
}

/// How sigmas are spaced between the largest and the smallest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SigmaRule {
    /// Karras 2022, equation 5, with rho = 7.
    Karras,
    /// Evenly in ln sigma.
    Exponential,
    /// Quantiles of the beta distribution with both parameters 0.6 (Lee 2024).
    Beta,
    /// Lu 2022: evenly in lambda, which equals the exponential rule.
    Lu,
}

impl SigmaRule {
    /// The rule that one of the switches `use_karras_sigmas`, `use_exponential_sigmas`, `use_beta_sigmas`,
    /// `use_lu_lambdas` selects.
    ///
    /// # Errors
    /// A configuration error if more than one is on.
    pub fn of(config: &SchedulerConfig) -> Result<Option<Self>> {
        let switches = [
            (config.use_karras_sigmas, Self::Karras),
            (config.use_exponential_sigmas, Self::Exponential),
            (config.use_beta_sigmas, Self::Beta),
            (config.use_lu_lambdas, Self::Lu),
        ];
        let mut on = switches.iter().filter(|(switch, _)| *switch == Some(true)).map(|(_, rule)| *rule);
        match (on.next(), on.next()) {
            (Some(a), Some(b)) => Err(config.error(format!("sigmas spaced by both {a:?} and {b:?}: one is possible"))),
            (rule, _) => Ok(rule),
        }
    }

    /// `steps` sigmas from `max` down to `min`.
    pub fn between(self, max: f64, min: f64, steps: usize) -> Vec<f64> {
        match self {
            Self::Karras => {
                let rho = 7.0;
                let (max, min) = (max.powf(1.0 / rho), min.powf(1.0 / rho));
                linspace(0.0, 1.0, steps).into_iter().map(|u| (max + u * (min - max)).powf(rho)).collect()
            }
            Self::Exponential | Self::Lu => linspace(max.ln(), min.ln(), steps).into_iter().map(f64::exp).collect(),
            Self::Beta => {
                linspace(0.0, 1.0, steps).into_iter().map(|u| min + beta_quantile(1.0 - u) * (max - min)).collect()
            }
        }
    }
}

/// A table at a fractional index: linear between entries, constant beyond the ends.
fn interpolate(table: &[f32], at: f64) -> f64 {
    let low = (at.floor().max(0.0) as usize).min(table.len() - 1);
    let high = (low + 1).min(table.len() - 1);
    let (a, b) = (f64::from(table[low]), f64::from(table[high]));
    a + (b - a) * (at - low as f64).clamp(0.0, 1.0)
}

/// The fractional timestep of each sigma, linear in ln sigma between the entries of the ascending table.
fn timesteps_of(sigmas: &[f64], table: &[f32]) -> Vec<f64> {
    let logs: Vec<f64> = table.iter().map(|s| log_f32(*s)).collect();
    sigmas
        .iter()
        .map(|sigma| {
            let log = sigma.max(1e-10).ln();
            let low = logs.partition_point(|l| *l <= log).saturating_sub(1).min(logs.len() - 2);
            let weight = ((logs[low] - log) / (logs[low] - logs[low + 1])).clamp(0.0, 1.0);
            (1.0 - weight) * low as f64 + weight * (low + 1) as f64
        })
        .collect()
}

fn log_f32(sigma: f32) -> f64 {
    f64::from(f64::from(sigma).ln() as f32)
}

fn final_sigma(config: &SchedulerConfig, table: &[f32]) -> f32 {
    match config.final_sigmas_type() {
        FinalSigmasType::Zero => 0.0,
        FinalSigmasType::SigmaMin => table[0],
    }
}

fn continuous(config: &SchedulerConfig) -> bool {
    config.timestep_type == Some(TimestepType::Continuous) && config.prediction_type() == PredictionType::VPrediction
}

fn initial(config: &SchedulerConfig, sigmas: &[f32]) -> f64 {
    let max = f64::from(sigmas.iter().copied().fold(0.0, f32::max));
    match config.timestep_spacing() {
        TimestepSpacing::Leading => (max * max + 1.0).sqrt(),
        TimestepSpacing::Linspace | TimestepSpacing::Trailing => max,
    }
}

/// The quantile of the beta distribution with both parameters 0.6, by bisection of its power series.
fn beta_quantile(probability: f64) -> f64 {
    if probability > 0.5 {
        return 1.0 - beta_quantile(1.0 - probability);
    }
    let half = 2.0 * incomplete_beta(0.5);
    let (mut low, mut high) = (0.0, 0.5);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if incomplete_beta(middle) < probability * half { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The integral of (t (1 - t))^-0.4 from 0 to x <= 0.5, not normalised.
fn incomplete_beta(x: f64) -> f64 {
    let shape = 0.6;
    let (mut sum, mut power) = (0.0, x.powf(shape));
    for n in 0..80 {
        sum += power / (shape + f64::from(n));
        power *= x * (f64::from(n) + 1.0 - shape) / (f64::from(n) + 1.0);
    }
    sum
}
