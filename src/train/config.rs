//! The configuration of a training run: one JSON file with everything except the machine. A copy is saved beside the
//! weights.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::optim::OptimizerConfig;
use super::pictures::{Pictures, Source};
use crate::checked;
use crate::{Error, Result};

/// A run of `fourstep train`; see `recipes/train-*.json`. An unknown key is an error; no key has a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant)]
pub enum RunConfig {
    /// Trains an autoencoder: pictures to latents and back.
    Autoencoder(AutoencoderConfig),
    /// Trains a UNet and its text encoder: captions and noise to latents.
    Diffusion(DiffusionConfig),
    /// Trains a classifier of pictures, for the evaluation.
    Classifier(ClassifierConfig),
}

/// Settings of all kinds of runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Seed of every draw: initial weights, pictures, noise, timesteps.
    pub seed: u64,
    /// Samples in a micro-batch.
    pub batch: usize,
    /// A step uses the mean of their gradients; on the CPU they are computed in parallel.
    pub micro_batches: u64,
    /// Steps of the (first) stage.
    pub steps: u64,
    /// The optimizer's settings.
    pub optimizer: OptimizerConfig,
    /// The greatest decay of the moving average of the weights, at least 0 and below 1.
    pub ema_decay: f64,
    /// Steps between two reports of the loss (a line, and a row of `loss.csv`).
    pub report_every: u64,
    /// Steps between two checkpoints.
    pub checkpoint_every: u64,
    /// Steps between two sheets of samples.
    pub sheet_every: u64,
}

/// Training of an `AutoencoderTiny`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoencoderConfig {
    /// The source of the pictures.
    pub pictures: Pictures,
    /// Settings of the first stage, in which everything is trained.
    pub training: Training,
    /// Steps of the second stage, in which only the decoder is trained.
    pub decoder_steps: u64,
    /// Share of plain glyphs of the whole pack in each batch, 0 to 1.
    pub glyph_share: f32,
    /// Weights of the parts of the loss.
    pub loss: AutoencoderLoss,
    /// Standard deviation of the noise on the latents in the first stage.
    pub latent_noise: f64,
    /// The same in the second stage.
    pub decoder_latent_noise: f64,
    /// Number of training pictures over which the latents' mean and deviation are measured.
    pub statistics_pictures: usize,
    /// Pictures on a sheet.
    pub sheet_pictures: usize,
    /// `vae/config.json`.
    pub vae: Map<String, Value>,
}

/// Weights of the parts of the autoencoder's loss; errors are of pictures in [0, 1].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoencoderLoss {
    /// Mean absolute error.
    pub absolute: f64,
    /// Mean squared error.
    pub square: f64,
    /// Mean absolute error of the differences of neighbouring pixels, across and down.
    pub gradient: f64,
    /// Mean over the channels of mean² + (standard deviation - 1)² of the batch's latents.
    pub statistics: f64,
}

/// Training of a UNet and its text encoder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffusionConfig {
    /// The source of the pictures.
    pub pictures: Pictures,
    /// Steps, batch, optimizer.
    pub training: Training,
    /// How latents are made.
    pub latents: Latents,
    /// Share of the captions that are replaced by the empty text, for classifier-free guidance (Ho & Salimans, 2022).
    pub caption_dropout: f32,
    /// γ of min-SNR weighting (Hang et al., 2023); null for equal weights, which zero terminal SNR needs.
    pub min_snr_gamma: Option<f64>,
    /// A model in the diffusers layout whose UNet and text encoder the run starts from; null for random weights.
    /// `tokenizer` must then be its tokenizer.
    pub start_from: Option<PathBuf>,
    /// Folder of the trained autoencoder: `config.json` and weights.
    pub vae: PathBuf,
    /// The source of the vocabulary.
    pub tokenizer: TokenizerSource,
    /// Settings of the sheets.
    pub sheet: SheetConfig,
    /// `text_encoder/config.json` without `vocab_size`, `max_position_embeddings` and the ids of the special tokens,
    /// which come from the tokenizer.
    pub text_encoder: Map<String, Value>,
    /// `unet/config.json`.
    pub unet: Map<String, Value>,
    /// `scheduler/scheduler_config.json`: the noise schedule of training and the sampler of the sheets.
    pub scheduler: Map<String, Value>,
}

/// Training of the evaluation's classifier.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierConfig {
    /// The source of the pictures.
    pub pictures: Pictures,
    /// Steps, batch, optimizer.
    pub training: Training,
    /// Channels after each halving convolution, multiples of 8.
    pub widths: Vec<usize>,
    /// Number of features of a picture.
    pub features: usize,
    /// Greatest shift of a picture in pixels, in each direction.
    pub shift: usize,
    /// Greatest relative change of its contrast to white, 0 to 1.
    pub gain: f32,
    /// Pictures on a sheet.
    pub sheet_pictures: u64,
}

/// How the latents of a batch are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Latents {
    /// A new picture each time, encoded during the step.
    OnTheFly,
    /// This many pictures, encoded once when the run starts (or resumes) and sampled at random.
    Precomputed(usize),
}

/// The source of the vocabulary.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TokenizerSource {
    /// A folder with `vocab.json` and `merges.txt`.
    Folder(PathBuf),
    /// Learned from the training captions.
    Learned {
        /// Greatest number of tokens, 514 or more.
        size: usize,
        /// Number of captions to learn from.
        captions: u64,
        /// Length of a padded sequence.
        max_length: usize,
    },
}

/// Settings of a sheet of samples, which shows pictures of captions beside the true ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SheetConfig {
    /// Number of samples; every second one is of a combination that training never sees, if the recipe holds any out.
    pub samples: u64,
    /// Denoising steps.
    pub steps: usize,
    /// Guidance scale; no guidance at 1 and below.
    pub guidance_scale: f32,
}

impl Training {
    /// Samples in each step.
    pub fn samples(&self) -> u64 {
        self.batch as u64 * self.micro_batches
    }

    /// The number of a step's first micro-batch.
    pub fn first_batch(&self, step: u64) -> u64 {
        step * self.micro_batches
    }

    /// Checks that all values are valid; the error names the one that is not.
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        let least_one = [
            ("batch", self.batch as u64),
            ("micro_batches", self.micro_batches),
            ("steps", self.steps),
            ("report_every", self.report_every),
            ("checkpoint_every", self.checkpoint_every),
            ("sheet_every", self.sheet_every),
        ];
        if let Some((key, _)) = least_one.iter().find(|(_, value)| *value == 0) {
            return Err(format!("training.{key} = 0: must be at least 1"));
        }
        if !(0.0..1.0).contains(&self.ema_decay) {
            return Err(format!("training.ema_decay = {}: must be 0 to below 1", self.ema_decay));
        }
        self.optimizer.check().map_err(|reason| format!("training.optimizer.{reason}"))
    }
}

impl RunConfig {
    /// The same run with the pictures of a folder instead of a pack's. An autoencoder's batches then have no plain
    /// glyphs.
    ///
    /// # Errors
    /// [`Error::Request`] for a classifier, because it needs to know what each picture shows.
    pub fn with_folder(mut self, folder: &Path) -> Result<Self> {
        let pictures = match &mut self {
            Self::Autoencoder(config) => {
                config.glyph_share = 0.0;
                &mut config.pictures
            }
            Self::Diffusion(config) => &mut config.pictures,
            Self::Classifier(_) => {
                let reason = "a classifier learns what a program put into each picture, which captions do not say";
                return Err(Error::Request(format!("--pictures: {reason}")));
            }
        };
        *pictures = Pictures { pack: None, recipe: None, folder: Some(folder.to_owned()), size: pictures.size };
        Ok(self)
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Config`] that names the file and the key.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        Self::from_json(&text, &path.display().to_string())
    }

    /// As [`Self::read`], from memory; `file` is for messages.
    pub fn from_json(text: &str, file: &str) -> Result<Self> {
        checked::from_json(text, file, Self::check)
    }

    /// The kind's name in the file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Autoencoder(_) => "autoencoder",
            Self::Diffusion(_) => "diffusion",
            Self::Classifier(_) => "classifier",
        }
    }

    /// The pictures of the run.
    pub fn pictures(&self) -> &Pictures {
        match self {
            Self::Autoencoder(config) => &config.pictures,
            Self::Diffusion(config) => &config.pictures,
            Self::Classifier(config) => &config.pictures,
        }
    }

    /// The settings that all kinds share.
    pub fn training(&self) -> &Training {
        match self {
            Self::Autoencoder(config) => &config.training,
            Self::Diffusion(config) => &config.training,
            Self::Classifier(config) => &config.training,
        }
    }

    fn check(&self) -> std::result::Result<(), String> {
        self.training().check()?;
        let source = self.pictures().source().map_err(|error| error.to_string())?;
        let share = |key: &str, value: f32| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(format!("{key} = {value}: must be 0 to 1")),
        };
        match self {
            Self::Autoencoder(config) if config.statistics_pictures < 2 => {
                Err("statistics_pictures: must be at least 2".into())
            }
            Self::Autoencoder(config) if matches!(source, Source::Folder(_)) && config.glyph_share != 0.0 => {
                Err(format!("glyph_share = {}: a folder of pictures has no plain glyphs, use 0", config.glyph_share))
            }
            Self::Autoencoder(config) => share("glyph_share", config.glyph_share),
            Self::Diffusion(config) if config.latents == Latents::Precomputed(0) => {
                Err("latents.precomputed = 0: must be at least 1".into())
            }
            Self::Diffusion(config) if config.min_snr_gamma.is_some_and(|gamma| gamma <= 0.0) => {
                Err("min_snr_gamma: must be above 0, or null".into())
            }
            Self::Diffusion(config) => share("caption_dropout", config.caption_dropout),
            Self::Classifier(config) if config.features == 0 => Err("features = 0: must be at least 1".into()),
            Self::Classifier(config) => share("gain", config.gain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(name: &str) -> String {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(name)).unwrap()
    }

    #[test]
    fn the_committed_recipes_are_read() {
        let kinds = [
            ("autoencoder", "autoencoder"),
            ("autoencoder-tiny", "autoencoder"),
            ("diffusion", "diffusion"),
            ("diffusion-tiny", "diffusion"),
            ("classifier", "classifier"),
        ];
        for (name, kind) in kinds {
            let name = format!("train-{name}.json");
            assert_eq!(RunConfig::from_json(&recipe(&name), &name).unwrap().kind(), kind);
        }
    }

    #[test]
    fn unknown_missing_and_impossible_values_are_named() {
        let text = recipe("train-diffusion-tiny.json");
        let message = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            RunConfig::from_json(&text.replacen(from, to, 1), "run.json").unwrap_err().to_string()
        };
        assert!(message("\"caption_dropout\"", "\"caption_drop\"").contains("caption_drop"));
        assert!(message("\"ema_decay\": 0.", "\"ema_decay\": 1.").contains("training.ema_decay"));
        assert!(message("\"kind\": \"diffusion\"", "\"kind\": \"gan\"").contains("gan"));
        assert!(message("\"caption_dropout\": 0.", "\"caption_dropout\": 2.").contains("caption_dropout = 2"));
        let message = message("\"recipe\"", "\"folder\"");
        assert!(message.contains("pictures: name either pack and recipe, or folder"), "{message}");
    }

    #[test]
    fn a_folder_takes_the_place_of_the_pack() {
        let read = |name: &str| RunConfig::from_json(&recipe(name), name).unwrap().with_folder(Path::new("mine"));
        for name in ["train-autoencoder-tiny.json", "train-diffusion-tiny.json"] {
            let config = read(name).unwrap();
            assert!(matches!(config.pictures().source().unwrap(), Source::Folder(_)), "{name}");
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(RunConfig::from_json(&text, name).unwrap().pictures().size, 32, "{text}");
        }
        let message = read("train-classifier.json").unwrap_err().to_string();
        assert!(message.starts_with("--pictures: a classifier learns"), "{message}");
        let glyphs = recipe("train-autoencoder-tiny.json")
            .replace("\"pack\": \"stickers.pack\",", "\"folder\": \"mine\",")
            .replace("\"recipe\": \"recipes/stickers-v0.json\",", "");
        let message = RunConfig::from_json(&glyphs, "run.json").unwrap_err().to_string();
        assert!(message.contains("glyph_share = 0.5: a folder of pictures has no plain glyphs"), "{message}");
    }
}
