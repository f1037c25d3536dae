//! The training timesteps that a run of n steps visits (Lin 2023, table 2).

use super::config::{SchedulerConfig, TimestepSpacing};
use crate::error::{Error, Result};

/// `steps` timesteps, descending; `linspace` may make them fractional.
///
/// # Errors
/// [`Error::Request`] for 0 steps, more steps than training timesteps, or a `steps_offset` beyond the end.
pub fn spaced(config: &SchedulerConfig, steps: usize) -> Result<Vec<f64>> {
    let trained = config.num_train_timesteps();
    check_steps(steps, trained)?;
    let timesteps = match config.timestep_spacing() {
        TimestepSpacing::Leading => leading(steps, trained / steps, config.steps_offset()),
        TimestepSpacing::Trailing => trailing(steps, trained, trained),
        TimestepSpacing::Linspace => {
            let mut ascending = linspace(0.0, (trained - 1) as f64, steps);
            ascending.reverse();
            ascending
        }
    };
    check_end(timesteps, trained)
}

/// `spaced` rounded to integers, half to even.
pub fn spaced_integers(config: &SchedulerConfig, steps: usize) -> Result<Vec<usize>> {
    Ok(spaced(config, steps)?.into_iter().map(|t| t.round_ties_even() as usize).collect())
}

/// The spacing of the multistep solvers: linspace and leading are computed with one point more, and the last is
/// dropped. `last` is the timestep count below which `lambda_min_clipped` cuts.
pub fn solver_spaced(config: &SchedulerConfig, steps: usize, last: usize) -> Result<Vec<f64>> {
    let trained = config.num_train_timesteps();
    check_steps(steps, trained)?;
    let timesteps = match config.timestep_spacing() {
        TimestepSpacing::Leading => {
            let ratio = last / (steps + 1);
            if ratio == 0 {
                return Err(Error::Request(format!("{steps} steps with leading spacing: at most {} fit", last - 1)));
            }
            let mut timesteps = leading(steps + 1, ratio, config.steps_offset());
            timesteps.pop();
            timesteps
        }
        TimestepSpacing::Trailing => trailing(steps, last, trained),
        TimestepSpacing::Linspace => {
            let ascending = linspace(0.0, (last - 1) as f64, steps + 1);
            ascending.into_iter().skip(1).rev().map(f64::round_ties_even).collect()
        }
    };
    check_end(timesteps, trained)
}

/// The timesteps of consistency distillation: a selection from `original_inference_steps` multiples of
/// `num_train_timesteps / original_inference_steps`, minus one (Luo 2023, section 4.3), of which only the lowest share
/// `strength` is used.
pub fn distilled(config: &SchedulerConfig, steps: usize, strength: f64) -> Result<Vec<usize>> {
    let trained = config.num_train_timesteps();
    let original = config.original_inference_steps.unwrap_or(50);
    if original == 0 || original > trained {
        return Err(config.error(format!("original_inference_steps is {original}, must be 1 to {trained}")));
    }
    let ratio = trained / original;
    let original = (original as f64 * strength) as usize;
    check_steps(steps, original)?;
    let origin: Vec<usize> = (1..=original).rev().map(|i| i * ratio - 1).collect();
    let stride = original as f64 / steps as f64;
    Ok((0..steps).map(|i| origin[(i as f64 * stride).floor() as usize]).collect())
}

/// `count` points from `start` to `end`, both included; only `start` for one point.
pub fn linspace(start: f64, end: f64, count: usize) -> Vec<f64> {
    if count == 1 {
        return vec![start];
    }
    let step = (end - start) / (count - 1) as f64;
    (0..count).map(|i| if i == count - 1 { end } else { start + i as f64 * step }).collect()
}

/// Refuses a number of steps outside 1 to `allowed`.
pub fn check_steps(steps: usize, allowed: usize) -> Result<()> {
    if steps == 0 || steps > allowed {
        return Err(Error::Request(format!("{steps} steps: this sampler takes 1 to {allowed}")));
    }
    Ok(())
}

fn leading(steps: usize, ratio: usize, offset: usize) -> Vec<f64> {
    (0..steps).rev().map(|i| (i * ratio) as f64 + offset as f64).collect()
}

fn trailing(steps: usize, last: usize, trained: usize) -> Vec<f64> {
    let ratio = trained as f64 / steps as f64;
    (0..steps)
        .map(|i| last as f64 - i as f64 * ratio)
        .filter(|t| *t > 0.0)
        .map(|t| (t.round_ties_even() - 1.0).max(0.0))
        .collect()
}

fn check_end(timesteps: Vec<f64>, trained: usize) -> Result<Vec<f64>> {
    match timesteps.first() {
        Some(first) if *first < trained as f64 => Ok(timesteps),
        first => Err(Error::Request(format!(
            "{} steps begin at timestep {first:?}, the model knows 0 to {}: take fewer steps",
            timesteps.len(),
            trained - 1
        ))),
    }
}
