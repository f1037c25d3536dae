//! The samplers' names for users.

use super::config::{AlgorithmType, SchedulerClass, SchedulerConfig};
use crate::error::{Error, Result};

/// The names that [`named`] accepts besides the class names, each with its label in AUTOMATIC1111's web UI.
pub const NAMES: &[(&str, &str)] = &{
    let mut names = [("", ""); PRESETS.len()];
    let mut i = 0;
    while i < PRESETS.len() {
        names[i] = (PRESETS[i].name, PRESETS[i].label);
        i += 1;
    }
    names
};

/// Converts a model's configuration to the named sampler as diffusers' `from_config` does: keys of the file stay, and
/// missing ones get the new class's default. Unlike in diffusers, every class respects `rescale_betas_zero_snr`. A
/// short name that exists with and without `_karras` also sets `use_karras_sigmas`; a class name of diffusers changes
/// nothing else.
///
/// # Errors
/// [`Error::Request`] for an unknown name, with the known ones, and for a conversion between rectified flows and
/// diffusion.
pub fn named(name: &str, base: &SchedulerConfig) -> Result<SchedulerConfig> {
    let mut config = base.clone();
    let class = match PRESETS.iter().find(|preset| preset.name == name) {
        Some(preset) => {
            preset.apply(&mut config);
            preset.class
        }
        None => serde_json::from_value(name.into()).map_err(|_| {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            Error::Request(format!("sampler {name} is unknown, known are {}", known.join(", ")))
        })?,
    };
    let flow = |class| class == SchedulerClass::FlowMatchEuler;
    let own = base.class()?;
    if flow(own) != flow(class) {
        return Err(Error::Request(format!("sampler {name} does not fit a model made for {own:?}")));
    }
    config.class_name = Some(class);
    Ok(config)
}

/// The short name of a configuration's sampler; [`named`] converts it back to the same sampler.
///
/// # Errors
/// [`Error::Config`] without a class; [`Error::Unsupported`] for a sampler without a short name.
pub fn name_of(config: &SchedulerConfig) -> Result<&'static str> {
    let class = config.class()?;
    let karras = config.use_karras_sigmas.unwrap_or(false);
    let fits = |preset: &&Preset| preset.class == class && preset.karras.is_none_or(|on| on == karras);
    let preset = PRESETS.iter().find(fits);
    preset.map(|preset| preset.name).ok_or_else(|| Error::Unsupported(format!("a short name for {class:?}")))
}

struct Preset {
    name: &'static str,
    label: &'static str,
    class: SchedulerClass,
    karras: Option<bool>,
    solver: Option<(AlgorithmType, usize)>,
}

impl Preset {
    const fn new(name: &'static str, label: &'static str, class: SchedulerClass) -> Self {
        Self { name, label, class, karras: None, solver: None }
    }

    const fn karras(self, on: bool) -> Self {
        Self { karras: Some(on), ..self }
    }

    const fn solver(self, algorithm: AlgorithmType, order: usize) -> Self {
        Self { solver: Some((algorithm, order)), ..self }
    }

    fn apply(&self, config: &mut SchedulerConfig) {
        if let Some(karras) = self.karras {
            config.use_karras_sigmas = Some(karras);
            config.use_exponential_sigmas = None;
            config.use_beta_sigmas = None;
            config.use_lu_lambdas = None;
        }
        if let Some((algorithm, order)) = self.solver {
            config.algorithm_type = Some(algorithm);
            config.solver_order = Some(order);
        }
    }
}

const PRESETS: &[Preset] = {
    use AlgorithmType::{DpmSolverPlusPlus as Ode, SdeDpmSolverPlusPlus as Sde};
    use SchedulerClass::{Ddim, Ddpm, DpmSolverMultistep, Euler, EulerAncestral, Heun, Lcm, Lms, Pndm, Tcd, UniPc};
    &[
        Preset::new("ddim", "DDIM", Ddim),
        Preset::new("ddpm", "DDPM", Ddpm),
        Preset::new("euler", "Euler", Euler).karras(false),
        Preset::new("euler_karras", "Euler Karras", Euler).karras(true),
        Preset::new("euler_a", "Euler a", EulerAncestral),
        Preset::new("lms", "LMS", Lms).karras(false),
        Preset::new("lms_karras", "LMS Karras", Lms).karras(true),
        Preset::new("heun", "Heun", Heun).karras(false),
        Preset::new("heun_karras", "Heun Karras", Heun).karras(true),
        Preset::new("dpmpp_2m", "DPM++ 2M", DpmSolverMultistep).solver(Ode, 2).karras(false),
        Preset::new("dpmpp_2m_karras", "DPM++ 2M Karras", DpmSolverMultistep).solver(Ode, 2).karras(true),
        Preset::new("dpmpp_2m_sde", "DPM++ 2M SDE", DpmSolverMultistep).solver(Sde, 2).karras(false),
        Preset::new("dpmpp_2m_sde_karras", "DPM++ 2M SDE Karras", DpmSolverMultistep).solver(Sde, 2).karras(true),
        Preset::new("dpmpp_3m_sde", "DPM++ 3M SDE", DpmSolverMultistep).solver(Sde, 3).karras(false),
        Preset::new("dpmpp_3m_sde_karras", "DPM++ 3M SDE Karras", DpmSolverMultistep).solver(Sde, 3).karras(true),
        Preset::new("pndm", "PLMS", Pndm),
        Preset::new("unipc", "UniPC", UniPc),
        Preset::new("lcm", "LCM", Lcm),
        Preset::new("tcd", "TCD", Tcd),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedulers::config::TimestepSpacing;
    use crate::schedulers::from_config;

    fn pndm() -> SchedulerConfig {
        let text = r#"{"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", "beta_schedule": "scaled_linear",
            "skip_prk_steps": true, "steps_offset": 1, "clip_sample": false, "lambda_min_clipped": -Infinity}"#;
        SchedulerConfig::parse("scheduler/scheduler_config.json", text).unwrap()
    }

    #[test]
    fn every_name_builds_a_scheduler_that_counts_its_steps() {
        for (name, _) in NAMES {
            let mut scheduler = from_config(&named(name, &pndm()).unwrap()).unwrap();
            assert!(scheduler.set_timesteps(0).is_err(), "{name} takes 0 steps");
            assert!(scheduler.set_timesteps(1001).is_err(), "{name} takes 1001 steps");
            scheduler.set_timesteps(8).unwrap();
            assert!(scheduler.timesteps().len() >= 8, "{name}");
            assert!(scheduler.timesteps().is_sorted_by(|a, b| a >= b), "{name}");
        }
    }

    #[test]
    fn what_the_file_says_stays_and_the_rest_takes_the_new_class_default() {
        let euler = named("EulerDiscreteScheduler", &pndm()).unwrap();
        assert_eq!(euler.steps_offset(), 1);
        assert_eq!(euler.timestep_spacing(), TimestepSpacing::Linspace);
        assert_eq!(pndm().timestep_spacing(), TimestepSpacing::Leading);
        assert_eq!(named("ddim", &pndm()).unwrap().clip_range(), None);
    }

    #[test]
    fn the_name_of_a_named_sampler_is_its_name() {
        for name in ["ddim", "euler", "euler_karras", "lms", "dpmpp_2m", "dpmpp_2m_karras", "unipc"] {
            assert_eq!(name_of(&named(name, &pndm()).unwrap()).unwrap(), name);
        }
    }

    #[test]
    fn unknown_things_are_named() {
        let message = named("eulr", &pndm()).unwrap_err().to_string();
        assert!(message.contains("eulr") && message.contains("euler_a"), "{message}");
        let parse = |text| SchedulerConfig::parse("s.json", text).unwrap_err().to_string();
        let message = parse(r#"{"_class_name": "DDIMScheduler", "beta_schedule": "wavy"}"#);
        for part in ["s.json", "beta_schedule", "wavy", "scaled_linear"] {
            assert!(message.contains(part), "{message}");
        }
        let message = parse(r#"{"_class_name": "MagicScheduler"}"#);
        assert!(message.contains("MagicScheduler") && message.contains("DDIMScheduler"), "{message}");
        assert!(parse("{}").contains("_class_name"));
        assert!(parse("[").contains("s.json"));
    }
}
