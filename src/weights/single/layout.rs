//! Which tensor of the one file belongs to which part of a model, and under which name.

use std::collections::BTreeMap;

use super::clip::{self, Text};
use super::made::Renamed;
use super::original::Original;
use super::unet::Walk;
use super::vae;
use crate::{Error, Result};

/// Prefixes of the UNet's keys; ComfyUI's files of a UNet alone have none.
const UNETS: [&str; 2] = ["model.diffusion_model.", ""];
/// Prefix of the autoencoder's keys.
pub(super) const VAE: &str = "first_stage_model.";
/// Prefixes of the text encoders' keys, as Stability's code and stable-diffusion.cpp have them; the second's first, because one of
/// the first's is a part of it.
const ENCODERS: [(usize, &str); 4] = [
    (1, "conditioner.embedders.1."),
    (1, "cond_stage_model.1."),
    (0, "conditioner.embedders.0."),
    (0, "cond_stage_model."),
];
/// Beginnings of keys that carry no weight: schedules, running averages, and what training leaves behind.
const UNREAD: [&str; 19] = [
    "model_ema.",
    "betas",
    "alphas_cumprod",
    "sqrt_",
    "log_one_minus_",
    "posterior_",
    "logvar",
    "scale_factor",
    "global_step",
    "v_pred",
    "ztsnr",
    "denoiser.",
    "embedding_manager.",
    "first_stage_model.loss.",
    "first_stage_model.model_ema.",
    "sampler.",
    "loss.",
    "lvlb_weights",
    "discriminator.",
];

/// A key of the file, and what it is in its component.
pub(super) type Placed = (String, Renamed);

/// The parts of the file.
pub(super) struct Layout {
    pub unet: Vec<Placed>,
    pub vae: Vec<Placed>,
    /// First and second.
    pub text: [Vec<Placed>; 2],
    /// The UNet's blocks.
    pub walk: Walk,
    /// What comes before the UNet's keys.
    pub unet_prefix: &'static str,
    /// Running averages of the weights that are left out.
    pub averages: usize,
    /// Keys that are not known.
    pub strange: Vec<String>,
}

impl Layout {
    /// Sorts the keys of `file`.
    ///
    /// # Errors
    /// [`Error::BadFile`] for a file without a UNet, which says what it is instead.
    pub fn of(file: &str, original: &Original) -> Result<Self> {
        let first = |prefix: &&&str| original.shape(&format!("{prefix}input_blocks.0.0.weight")).is_some();
        let Some(prefix) = UNETS.iter().find(first) else {
            let keys = original.tensors.keys().map(String::as_str);
            let found = || format!("its keys begin with {}", Original::shown(keys));
            let why = original.other().map_or_else(found, str::to_string);
            let reason = format!("no checkpoint of Stable Diffusion in one file: {why}");
            return Err(Error::BadFile { file: file.to_string(), reason });
        };
        let walk = Walk::new(original.tensors.keys().filter_map(|key| key.strip_prefix(prefix)));
        let levels = levels(original);
        let mut this = Self {
            unet: Vec::new(),
            vae: Vec::new(),
            text: [Vec::new(), Vec::new()],
            walk,
            unet_prefix: prefix,
            averages: 0,
            strange: Vec::new(),
        };
        for key in original.tensors.keys() {
            this.place(key, levels);
        }
        Ok(this)
    }

    fn place(&mut self, key: &str, levels: usize) {
        if let Some(start) = UNREAD.iter().find(|start| key.starts_with(**start)) {
            self.averages += usize::from(*start == "model_ema.");
            return;
        }
        // A tensor that a part has no place for keeps its name, so that the loader names it.
        if let Some(rest) = key.strip_prefix(VAE) {
            let (name, matrix) = vae::name(rest, levels).unwrap_or_else(|| (key.to_string(), false));
            self.vae.push((key.to_string(), Renamed { matrix, ..Renamed::whole(name) }));
        } else if let Some((which, prefix)) = ENCODERS.iter().find(|(_, prefix)| key.starts_with(prefix)) {
            self.place_text(key, &key[prefix.len()..], *which);
        } else if let Some(rest) = key.strip_prefix(self.unet_prefix) {
            match (self.walk.name(rest), self.unet_prefix) {
                (Some(name), _) => self.unet.push((key.to_string(), Renamed::whole(name))),
                (None, "") => self.strange.push(key.to_string()),
                (None, _) => self.unet.push((key.to_string(), Renamed::whole(key))),
            }
        } else {
            self.strange.push(key.to_string());
        }
    }

    fn place_text(&mut self, key: &str, rest: &str, which: usize) {
        let (text, strange) = (&mut self.text[which], &mut self.strange);
        let mut push = |renamed| text.push((key.to_string(), renamed));
        match clip::name(rest, which == 1) {
            Some(Text::Whole(name)) => push(Renamed::whole(name)),
            Some(Text::Turned(name)) => push(Renamed { turned: true, ..Renamed::whole(name) }),
            Some(Text::Fused { layer, kind }) => {
                for (third, projection) in ["q_proj", "k_proj", "v_proj"].into_iter().enumerate() {
                    let renamed = Renamed::whole(format!("{layer}.{projection}.{kind}"));
                    push(Renamed { third: Some(third), ..renamed });
                }
            }
            Some(Text::Nothing) => {}
            // Such as OpenCLIP's half for pictures.
            None => strange.push(key.to_string()),
        }
    }

    /// Layers of a text encoder in the file.
    pub fn text_layers(&self, which: usize) -> usize {
        let layers = self.text[which].iter().filter_map(|(_, renamed)| clip::layer(&renamed.name));
        layers.max().map_or(0, |last| last.saturating_add(1))
    }

    /// Leaves out what comes after so many layers of the first text encoder: Stable Diffusion 2 takes the last but one's output, and
    /// diffusers' text encoder ends there.
    pub fn cut_text(&mut self, layers: usize) {
        self.text[0].retain(|(_, renamed)| clip::layer(&renamed.name).is_none_or(|layer| layer < layers));
    }

    /// The key of the file for a renamed tensor of a part.
    pub fn keys(part: &[Placed]) -> BTreeMap<&str, &str> {
        part.iter().map(|(key, renamed)| (renamed.name.as_str(), key.as_str())).collect()
    }
}

/// Levels of the autoencoder's decoder.
fn levels(original: &Original) -> usize {
    let start = format!("{VAE}decoder.up.");
    let after = original.tensors.range(start.clone()..).take_while(|(key, _)| key.starts_with(&start));
    let level = |key: &str| key[start.len()..].split('.').next().and_then(|level| level.parse::<usize>().ok());
    after.filter_map(|(key, _)| level(key)).max().map_or(0, |last| last.saturating_add(1))
}
