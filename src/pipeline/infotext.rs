//! Converts a request to an [`Infotext`] and back, with A1111's names for the settings.

use serde::Serialize;

use super::{MAX_SIZE, Request};
use crate::infotext::{Infotext, LORA_HASHES};
use crate::schedulers::{self, NAMES, SchedulerConfig};

/// The method by which a picture was edited; A1111 has no such key.
pub const EDIT_METHOD: &str = "Edit method";
/// What the picture showed before it was edited; A1111 has no such key.
pub const EDIT_FROM: &str = "Edit from";

/// The ending of names for samplers with the Karras schedule, which A1111 names separately.
const KARRAS: &str = " Karras";

impl Request {
    /// The settings in A1111's format. `own` is the model's sampler, for a request that names none; `model` is the
    /// model's name.
    pub fn infotext(&self, own: &SchedulerConfig, model: &str) -> Infotext {
        let config = self.scheduler.as_ref().unwrap_or(own);
        let label = schedulers::name_of(config).ok().and_then(|name| NAMES.iter().find(|(known, _)| *known == name));
        let (sampler, schedule) = match label {
            Some((_, label)) => match label.strip_suffix(KARRAS) {
                Some(sampler) => (sampler.to_owned(), Some(KARRAS.trim().to_owned())),
                None => (label.to_string(), None),
            },
            None => (config.class().map_or_else(|_| "unknown".into(), |class| format!("{class:?}")), None),
        };
        let settings = [
            ("Steps", Some(self.num_inference_steps.to_string())),
            ("Sampler", Some(sampler)),
            ("Schedule type", schedule),
            ("CFG scale", Some(self.guidance_scale.to_string())),
            ("NAG scale", self.nag().map(|nag| nag.scale.to_string())),
            ("NAG tau", self.nag().map(|nag| nag.tau.to_string())),
            ("NAG alpha", self.nag().map(|nag| nag.alpha.to_string())),
            ("Seed", Some(self.seed.to_string())),
            ("Size", Some(format!("{}x{}", self.width, self.height))),
            ("Model", Some(model.to_owned())),
            ("Denoising strength", self.image.as_ref().map(|_| self.strength.to_string())),
            ("Eta", (self.eta != 0.0).then(|| self.eta.to_string())),
            ("Clip skip", self.clip_skip.map(|skip| (skip + 1).to_string())),
            ("RNG", Some("CPU".into())),
            // A mask is cut at one half, so its blur is 0; the line says that there was a mask.
            ("Mask blur", self.mask.as_ref().map(|_| "0".into())),
            ("Version", Some(concat!("Fourstep ", env!("CARGO_PKG_VERSION")).into())),
        ];
        let settings = settings.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        // As the web UI's extension for ControlNets.
        let controls = self.controls.iter().enumerate().map(|(i, control)| {
            let (weight, start) = (control.controlnet_conditioning_scale, control.control_guidance_start);
            let end = control.control_guidance_end;
            (format!("ControlNet {i}"), format!("Weight: {weight}, Guidance Start: {start}, Guidance End: {end}"))
        });
        let settings = settings.chain(controls).collect();
        Infotext { prompt: self.prompt.clone(), negative_prompt: self.negative_prompt.clone(), settings }
    }
}

/// The settings of an infotext that the page has. A setting that is not in the text is none.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Restored {
    /// The prompt.
    pub prompt: String,
    /// The negative prompt.
    pub negative_prompt: String,
    /// In decimal digits.
    pub seed: Option<String>,
    /// Number of denoising steps.
    pub steps: Option<usize>,
    /// Guidance scale; no guidance at 1 and below.
    pub guidance_scale: Option<f32>,
    /// A name of [`NAMES`].
    pub sampler: Option<&'static str>,
    /// Width in pixels.
    pub width: Option<usize>,
    /// Height in pixels.
    pub height: Option<usize>,
    /// How much of its start picture was redrawn; none where it began with noise, and where it was edited by words.
    pub strength: Option<f64>,
    /// The model's name in the text.
    pub model: Option<String>,
    /// Notes about settings that were not used, or that will give another picture.
    pub notes: Vec<String>,
}

impl Restored {
    /// Takes the settings that it understands, and notes the others.
    pub fn from_infotext(info: &Infotext) -> Self {
        let mut restored = Self {
            prompt: info.prompt.clone(),
            negative_prompt: info.negative_prompt.clone(),
            model: info.get("Model").map(str::to_owned),
            ..Self::default()
        };
        let mut notes = Vec::new();
        restored.steps = number(info, "Steps", &mut notes);
        restored.guidance_scale = number(info, "CFG scale", &mut notes);
        restored.seed = number::<u64>(info, "Seed", &mut notes).map(|seed| seed.to_string());
        if let Some(size) = info.get("Size") {
            match size_of(size) {
                Some((width, height)) => (restored.width, restored.height) = (Some(width), Some(height)),
                None => notes.push(format!("Size “{size}” cannot be used.")),
            }
        }
        if let Some(sampler) = info.get("Sampler") {
            restored.sampler = sampler_of(sampler, info.get("Schedule type"));
            if restored.sampler.is_none() {
                notes.push(format!("Sampler “{sampler}” is not known here."));
            }
        }
        // The second pass at a larger size also has a strength, but no picture of the user's.
        if !info.settings.iter().any(|(key, _)| key.starts_with("Hires ")) {
            let strength = number::<f64>(info, "Denoising strength", &mut notes);
            restored.strength = strength.filter(|strength| (0.0..=1.0).contains(strength));
        }
        if info.get(EDIT_METHOD).is_some() {
            restored.strength = None;
            let from = info.get(EDIT_FROM).map(|from| format!(" (“{from}”)")).unwrap_or_default();
            notes.push(format!("It was edited by words from another picture{from}, which this file does not carry."));
        }
        if restored.strength.is_some() {
            let mask = if info.get("Mask blur").is_some() { " and a mask" } else { "" };
            notes.push(format!("It began with another picture{mask}, which this file does not carry."));
        }
        if info.settings.iter().any(|(key, _)| key.starts_with("ControlNet ")) {
            notes.push("It followed other pictures through ControlNets, which this file does not carry.".into());
        }
        if info.get("NAG scale").is_some() {
            notes.push(
                "It was drawn with normalized attention guidance (NAG), which the page does not offer yet.".into(),
            );
        }
        if let Some(adapters) = info.get(LORA_HASHES) {
            notes.push(format!("It was drawn with an adapter ({adapters}), which this file does not carry."));
        }
        // A1111 omits its default, which draws the noise on the graphics card.
        if restored.seed.is_some() && info.get("RNG") != Some("CPU") {
            notes.push("Its noise was not drawn by a CPU, so the same seed draws another picture here.".into());
        }
        restored.notes = notes;
        restored
    }
}

fn number<T: std::str::FromStr>(info: &Infotext, key: &str, notes: &mut Vec<String>) -> Option<T> {
    let text = info.get(key)?;
    let value = text.parse().ok();
    if value.is_none() {
        notes.push(format!("{key} “{text}” cannot be used."));
    }
    value
}

fn size_of(text: &str) -> Option<(usize, usize)> {
    let (width, height) = text.split_once('x')?;
    let side = |text: &str| text.parse().ok().filter(|side| (1..=MAX_SIZE).contains(side));
    Some((side(width)?, side(height)?))
}

/// The sampler with this A1111 label. A1111's versions before 1.9 wrote the schedule into the label.
fn sampler_of(label: &str, schedule: Option<&str>) -> Option<&'static str> {
    let karras = schedule.is_some_and(|schedule| schedule == KARRAS.trim());
    let full = if karras && !label.ends_with(KARRAS) { format!("{label}{KARRAS}") } else { label.to_owned() };
    let find = |label: &str| NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(label)).map(|(name, _)| *name);
    find(&full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Picture;
    use crate::pipeline::{Control, MicroConditioning};
    use crate::schedulers::named;
    use crate::text::PromptSyntax;

    fn own() -> SchedulerConfig {
        SchedulerConfig::parse("s.json", r#"{"_class_name": "DDIMScheduler"}"#).unwrap()
    }

    fn request(scheduler: Option<&str>) -> Request {
        Request {
            prompt: "a \"green\" fox:\nred, teal".into(),
            negative_prompt: "a dog".into(),
            seed: u64::MAX,
            num_inference_steps: 4,
            guidance_scale: 2.5,
            guidance_rescale: 0.0,
            nag_scale: 1.0,
            nag_tau: 2.5,
            nag_alpha: 0.5,
            width: 64,
            height: 96,
            large: false,
            num_images_per_prompt: 1,
            clip_skip: None,
            eta: 0.0,
            scheduler: scheduler.map(|name| named(name, &own()).unwrap()),
            image: None,
            strength: 0.8,
            mask: None,
            prompt_syntax: PromptSyntax::Plain,
            prompt_2: None,
            negative_prompt_2: None,
            micro_conditioning: MicroConditioning::default(),
            controls: Vec::new(),
        }
    }

    #[test]
    fn a_request_goes_to_text_and_back() {
        let names = NAMES.iter().map(|(name, _)| *name);
        // These have the same samplers as others under another name.
        for name in names.filter(|name| !name.starts_with("dpmpp_2m_sde") && !name.starts_with("dpmpp_3m")) {
            let text = request(Some(name)).infotext(&own(), "Stickers").to_string();
            let restored = Restored::from_infotext(&Infotext::parse(&text));
            assert_eq!((restored.sampler, restored.notes.as_slice()), (Some(name), &[][..]), "{text}");
            assert_eq!(restored.prompt, "a \"green\" fox:\nred, teal");
            assert_eq!(restored.negative_prompt, "a dog");
            assert_eq!(restored.seed, Some(u64::MAX.to_string()));
            assert_eq!((restored.steps, restored.guidance_scale), (Some(4), Some(2.5)));
            assert_eq!((restored.width, restored.height), (Some(64), Some(96)));
        }
        let text = request(None).infotext(&own(), "Stickers").to_string();
        assert_eq!(Restored::from_infotext(&Infotext::parse(&text)).strength, None);
        let wanted = concat!(
            "Steps: 4, Sampler: DDIM, CFG scale: 2.5, Seed: 18446744073709551615, Size: 64x96, Model: Stickers, ",
            "RNG: CPU, Version: Fourstep ",
            env!("CARGO_PKG_VERSION")
        );
        assert!(text.ends_with(wanted), "{text}");
    }

    #[test]
    fn a_start_picture_leaves_its_strength_and_a_word_of_its_mask() {
        let image = Some(Picture::filled(64, 96, [1, 2, 3]));
        let redrawn = Request { strength: 0.35, mask: image.clone(), image, ..request(None) };
        let text = redrawn.infotext(&own(), "Stickers").to_string();
        assert!(text.contains("Model: Stickers, Denoising strength: 0.35, RNG: CPU, Mask blur: 0, Version"), "{text}");
        let restored = Restored::from_infotext(&Infotext::parse(&text));
        assert_eq!(restored.strength, Some(0.35));
        assert!(restored.notes[0].contains("another picture and a mask"), "{:?}", restored.notes);
        let hires =
            "x\nSteps: 20, Sampler: DDIM, CFG scale: 7, Seed: 5, RNG: CPU, Denoising strength: 0.7, Hires upscale: 2";
        assert_eq!(Restored::from_infotext(&Infotext::parse(hires)).strength, None);
    }

    #[test]
    fn an_edit_is_no_start_picture() {
        let edit = "x\nSteps: 4, CFG scale: 2, Seed: 5, Denoising strength: 0.75, Edit method: FlowEdit, \
            Edit from: \"a fox, green\", RNG: CPU";
        let restored = Restored::from_infotext(&Infotext::parse(edit));
        assert_eq!((restored.strength, restored.notes.len()), (None, 1));
        assert!(restored.notes[0].contains("from another picture (“a fox, green”), which"), "{:?}", restored.notes);
    }

    #[test]
    fn what_the_page_cannot_do_again_is_said() {
        let control = Control::new(Picture::filled(64, 96, [1, 2, 3]));
        let text =
            Request { nag_scale: 3.0, controls: vec![control], ..request(None) }.infotext(&own(), "x").to_string();
        assert!(text.contains("NAG scale: 3, NAG tau: 2.5, NAG alpha: 0.5, Seed"), "{text}");
        assert!(text.contains("ControlNet 0: \"Weight: 1, Guidance Start: 0, Guidance End: 1\""), "{text}");
        let notes = Restored::from_infotext(&Infotext::parse(&text)).notes;
        assert!(notes.len() == 2 && notes[0].contains("ControlNets") && notes[1].contains("NAG"), "{notes:?}");
    }

    #[test]
    fn an_adapter_is_told_but_not_in_the_file() {
        let info = request(None).infotext(&own(), "Stickers").with_adapters(&["zib: 0123456789ab".into()]);
        let text = info.to_string();
        assert!(text.contains(", RNG: CPU, Lora hashes: \"zib: 0123456789ab\", Version: "), "{text}");
        let notes = Restored::from_infotext(&Infotext::parse(&text)).notes;
        assert_eq!(notes, ["It was drawn with an adapter (zib: 0123456789ab), which this file does not carry."]);
    }

    #[test]
    fn a1111_says_it_in_two_ways_and_some_things_are_unknown() {
        let restored = |line: &str| Restored::from_infotext(&Infotext::parse(line));
        let old = restored("x\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 5, RNG: CPU");
        let new = restored("x\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 5, RNG: CPU");
        assert_eq!((old.sampler, new.sampler), (Some("dpmpp_2m_karras"), Some("dpmpp_2m_karras")));
        let odd = restored("x\nSteps: many, Sampler: Restart, CFG scale: 7, Seed: -1, Size: 64x");
        assert_eq!((odd.steps, odd.sampler, odd.seed.as_deref(), odd.width), (None, None, None, None));
        assert_eq!(odd.notes.len(), 4, "{:?}", odd.notes);
        assert!(restored("x\nSteps: 20, Sampler: DDIM, CFG scale: 7, Seed: 5").notes[0].contains("CPU"));
    }
}
