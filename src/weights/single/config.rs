//! The JSON files of a diffusers folder, for a model that comes without: sizes from the shapes of its weights, everything else as the
//! published models have it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::family::{Family, Generation, Prediction, context_width};
use super::hints;
use super::layout::Layout;
use super::original::Original;
use crate::{Error, Result};

/// Groups of every norm in every published model.
const GROUPS: usize = 32;
/// Channels of an attention head, in all text encoders and in the UNets after the first generation.
const HEAD: usize = 64;

/// What the configurations are made from.
pub(super) struct Inferred<'o> {
    pub file: &'o str,
    pub original: &'o Original,
    pub layout: &'o Layout,
    pub family: Family,
}

/// Blocks of a level of the UNet: channels, and transformer layers after each residual block.
#[derive(Debug, Default)]
struct Level {
    channels: usize,
    depths: Vec<usize>,
}

impl Inferred<'_> {
    /// `model_index.json`.
    pub fn index(&self) -> Value {
        let text = |class: &str| json!(["transformers", class]);
        let class = match (self.family.generation, self.family.guided, self.family.inpainting) {
            (Generation::Xl, _, false) => "StableDiffusionXLPipeline",
            (Generation::Xl, _, true) => "StableDiffusionXLInpaintPipeline",
            (_, true, _) => "LatentConsistencyModelPipeline",
            (_, false, true) => "StableDiffusionInpaintPipeline",
            (_, false, false) => "StableDiffusionPipeline",
        };
        let mut index = json!({
            "_class_name": class,
            "scheduler": ["diffusers", self.scheduler()["_class_name"]],
            "text_encoder": text("CLIPTextModel"),
            "tokenizer": text("CLIPTokenizer"),
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        });
        if self.family.generation == Generation::Xl {
            index["text_encoder_2"] = text("CLIPTextModelWithProjection");
            index["tokenizer_2"] = text("CLIPTokenizer");
            index["force_zeros_for_empty_prompt"] = json!(true);
        }
        index
    }

    /// `scheduler/scheduler_config.json`: that of the repository that diffusers takes it from.
    pub fn scheduler(&self) -> Value {
        let class = match (self.family.generation, self.family.guided, self.family.prediction) {
            (_, true, _) => "LCMScheduler",
            (Generation::Xl, ..) => "EulerDiscreteScheduler",
            (Generation::Two, _, Prediction::Velocity) => "DDIMScheduler",
            _ => "PNDMScheduler",
        };
        let mut scheduler = json!({
            "_class_name": class,
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "beta_schedule": "scaled_linear",
            "num_train_timesteps": 1000,
            "prediction_type": self.family.prediction.name(),
            "clip_sample": false,
            "set_alpha_to_one": false,
            "skip_prk_steps": true,
            "steps_offset": 1,
            "timestep_spacing": "leading",
        });
        if self.family.guided {
            scheduler["original_inference_steps"] = json!(50);
            scheduler["set_alpha_to_one"] = json!(true);
            scheduler["steps_offset"] = json!(0);
        }
        if self.family.zero_snr {
            scheduler["rescale_betas_zero_snr"] = json!(true);
            scheduler["timestep_spacing"] = json!("trailing");
        }
        scheduler
    }

    /// `unet/config.json`.
    ///
    /// # Errors
    /// [`Error::BadFile`] for a network whose blocks or heads cannot be told from the file.
    pub fn unet(&self) -> Result<Value> {
        let down = self.levels("input_blocks", self.layout.walk.down().filter(|(block, _)| *block > 0))?;
        let up = self.levels("output_blocks", self.layout.walk.up())?;
        let layers = down.first().map_or(0, |level| level.depths.len());
        let channels: Vec<usize> = down.iter().map(|level| level.channels).collect();
        let depths = self.depths(&down, &up, layers)?;
        self.check_widths(&channels)?;
        let types = |levels: &[Level], cross: &str, plain: &str| -> Vec<String> {
            levels.iter().map(|level| if level.depths[0] > 0 { cross } else { plain }.to_string()).collect()
        };
        let mut config = json!({
            "_class_name": "UNet2DConditionModel",
            "sample_size": self.size() / 8,
            "in_channels": self.unet_shape("input_blocks.0.0.weight").and_then(|shape| shape.get(1).copied()),
            "out_channels": self.unet_shape("out.2.weight").and_then(|shape| shape.first().copied()),
            "block_out_channels": channels,
            "down_block_types": types(&down, "CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": types(&up, "CrossAttnUpBlock2D", "UpBlock2D"),
            "layers_per_block": layers,
            "cross_attention_dim": context_width(self.original, self.layout),
            "use_linear_projection": self.linear(),
        });
        let object = config.as_object_mut().expect("made as one");
        object.extend(depths);
        config["attention_head_dim"] = match self.family.generation {
            Generation::One => json!(8),
            _ => channels.iter().map(|channels| channels / HEAD).collect(),
        };
        if let Some(width) = self.unet_shape("label_emb.0.0.weight").and_then(|shape| shape.last().copied()) {
            config["addition_embed_type"] = json!("text_time");
            config["addition_time_embed_dim"] = json!(256);
            config["projection_class_embeddings_input_dim"] = json!(width);
        }
        let guided = ["time_embed.cond_proj.weight", "time_embedding.cond_proj.weight"];
        if let Some(width) = guided.iter().find_map(|key| self.unet_shape(key)?.last()) {
            config["time_cond_proj_dim"] = json!(width);
        }
        Ok(config)
    }

    /// `transformer_layers_per_block` with what goes with it: one number a level, or lists where reduced networks differ within a level
    /// or on the way up.
    fn depths(&self, down: &[Level], up: &[Level], layers: usize) -> Result<Map<String, Value>> {
        let middle = self.depth("middle_block.1");
        let last = down.len() - 1;
        let even = |level: &Level, layers| {
            level.depths.len() == layers && (level.depths.contains(&0) == level.depths.iter().all(|depth| *depth == 0))
        };
        let fits = up.len() == down.len()
            && down.iter().all(|level| even(level, layers))
            && up.iter().all(|level| even(level, layers + 1));
        // A level without transformers says nothing, but the lowest one's number is the middle's too.
        let told = |level: &Level, otherwise: usize| match level.depths[0] {
            0 => vec![otherwise.max(1); level.depths.len()],
            _ => level.depths.clone(),
        };
        let ways = fits.then(|| {
            let middles = |i: usize| if i == last { middle } else { 1 };
            let down: Vec<Vec<usize>> = down.iter().enumerate().map(|(i, level)| told(level, middles(i))).collect();
            (down, up.iter().map(|level| told(level, 0)).collect::<Vec<_>>())
        });
        let Some((ways_down, ways_up)) = ways.filter(|(down, _)| middle == 0 || down[last][0] == middle) else {
            let reason = format!(
                "the blocks of its UNet ({layers} a level, {} levels, {middle} transformer layers in the middle) are laid out as in no \
                 network that is known",
                down.len()
            );
            return Err(self.give_config(&reason));
        };
        let mut depths = Map::new();
        let mirrored = up.iter().zip(&ways_up).zip(ways_down.iter().rev());
        let mut mirrored = mirrored.map(|((level, up), down)| level.depths[0] == 0 || up[0] == down[0]);
        if ways_down.iter().chain(&ways_up).all(|depths| uniform(depths)) && mirrored.all(|same| same) {
            let each: Vec<usize> = ways_down.iter().map(|depths| depths[0]).collect();
            depths.insert("transformer_layers_per_block".to_string(), json!(each));
        } else {
            depths.insert("transformer_layers_per_block".to_string(), json!(ways_down));
            depths.insert("reverse_transformer_layers_per_block".to_string(), json!(ways_up));
        }
        if middle == 0 {
            let plain = self.unet_shape("middle_block.0.in_layers.2.weight").map(|_| "UNetMidBlock2D");
            depths.insert("mid_block_type".to_string(), json!(plain));
        }
        Ok(depths)
    }

    /// `vae/config.json`.
    ///
    /// # Errors
    /// As [`Self::unet`].
    pub fn vae(&self) -> Result<Value> {
        let keys = Layout::keys(&self.layout.vae);
        let shape = |name: &str| keys.get(name).and_then(|key| self.original.shape(key));
        let first = |name: &str| shape(name).and_then(|shape| shape.first().copied());
        let of_level = |i: usize| first(&format!("encoder.down_blocks.{i}.resnets.0.conv1.weight"));
        let channels: Vec<usize> = (0..).map_while(of_level).collect();
        let in_level = |i: &usize| first(&format!("encoder.down_blocks.0.resnets.{i}.conv1.weight")).is_some();
        self.check_widths(&channels)?;
        Ok(json!({
            "_class_name": "AutoencoderKL",
            "in_channels": shape("encoder.conv_in.weight").and_then(|shape| shape.get(1).copied()).unwrap_or(3),
            "out_channels": first("decoder.conv_out.weight").unwrap_or(3),
            "latent_channels": shape("decoder.conv_in.weight").and_then(|shape| shape.get(1).copied()).unwrap_or(4),
            "layers_per_block": (0..).take_while(in_level).count(),
            "down_block_types": vec!["DownEncoderBlock2D"; channels.len()],
            "up_block_types": vec!["UpDecoderBlock2D"; channels.len()],
            "block_out_channels": channels,
            "scaling_factor": if self.family.generation == Generation::Xl { 0.13025 } else { 0.18215 },
            "sample_size": self.size(),
        }))
    }

    /// `text_encoder/config.json`, or that of the second one.
    ///
    /// # Errors
    /// As [`Self::unet`].
    pub fn text(&self, which: usize) -> Result<Value> {
        let keys = Layout::keys(&self.layout.text[which]);
        let shape = |name: &str| keys.get(name).and_then(|key| self.original.shape(key)).unwrap_or(&[]);
        let table = shape("text_model.embeddings.token_embedding.weight");
        let &[tokens, width] = table else {
            return Err(self.give_config("its text encoder lacks the table of tokens"));
        };
        if !width.is_multiple_of(HEAD) || width == 0 {
            return Err(self.give_config(&format!("a text encoder of {width} features is none of a published model's")));
        }
        let class = if which == 1 { "CLIPTextModelWithProjection" } else { "CLIPTextModel" };
        let inner = shape("text_model.encoder.layers.0.mlp.fc1.weight").first();
        let projected = keys.get("text_projection.weight").and_then(|key| self.original.shape(key)?.last());
        Ok(json!({
            "architectures": [class],
            "vocab_size": tokens,
            "hidden_size": width,
            "intermediate_size": inner.copied().unwrap_or(4 * width),
            "projection_dim": projected.copied().unwrap_or(width),
            "num_hidden_layers": self.text_layers(which),
            "num_attention_heads": width / HEAD,
            "max_position_embeddings": shape("text_model.embeddings.position_embedding.weight").first().copied().unwrap_or(77),
            // OpenAI's has 768 features; OpenCLIP's have more, and the exact function.
            "hidden_act": if width == 768 { "quick_gelu" } else { "gelu" },
        }))
    }

    /// Layers that are read: of OpenCLIP's 24 in generation two all but the last.
    pub fn text_layers(&self, which: usize) -> usize {
        match (self.family.generation, self.layout.text_layers(which)) {
            (Generation::Two, 24) => 23,
            (_, layers) => layers,
        }
    }

    /// `tokenizer/tokenizer_config.json`, or that of the second one: OpenCLIP's pads with `!`, whose id is 0.
    pub fn tokenizer(&self, which: usize) -> Value {
        let padded = self.family.generation == Generation::Two || which == 1;
        json!({
            "tokenizer_class": "CLIPTokenizer",
            "bos_token": "<|startoftext|>",
            "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
            "pad_token": if padded { "!" } else { "<|endoftext|>" },
            "do_lower_case": true,
            "model_max_length": 77,
        })
    }

    /// Width and height that the model was trained at.
    pub fn size(&self) -> usize {
        match (self.family.generation, self.family.prediction) {
            (Generation::Xl, _) => 1024,
            (Generation::Two, Prediction::Velocity) => 768,
            _ => 512,
        }
    }

    fn unet_shape(&self, key: &str) -> Option<&[usize]> {
        self.original.shape(&format!("{}{key}", self.layout.unet_prefix))
    }

    /// The levels of one way.
    fn levels(&self, side: &str, blocks: impl Iterator<Item = (usize, super::unet::Place)>) -> Result<Vec<Level>> {
        let mut levels = BTreeMap::<usize, Level>::new();
        for (block, place) in blocks {
            let level = levels.entry(place.level).or_default();
            let channels = self.unet_shape(&format!("{side}.{block}.0.out_layers.3.weight"));
            if let Some(channels) = channels.and_then(|shape| shape.first()) {
                level.channels = *channels;
                level.depths.push(self.depth(&format!("{side}.{block}.1")));
            }
        }
        match levels.values().find(|level| level.depths.is_empty()) {
            Some(_) => Err(self.give_config(&format!("a level of its UNet's {side} has no residual block"))),
            None if levels.is_empty() => Err(self.give_config(&format!("its UNet has no {side}"))),
            None => Ok(levels.into_values().collect()),
        }
    }

    /// Transformer layers of a block.
    fn depth(&self, block: &str) -> usize {
        let there = |i: &usize| self.unet_shape(&format!("{block}.transformer_blocks.{i}.norm1.weight")).is_some();
        (0..).take_while(there).count()
    }

    /// Whether projections around transformers are matrices.
    fn linear(&self) -> bool {
        let mut blocks = self.layout.walk.down().map(|(block, _)| format!("input_blocks.{block}.1.proj_in.weight"));
        blocks.find_map(|key| self.unet_shape(&key)).is_some_and(|shape| shape.len() == 2)
    }

    fn check_widths(&self, channels: &[usize]) -> Result<()> {
        match channels.iter().find(|channels| !channels.is_multiple_of(GROUPS) || **channels == 0) {
            Some(channels) => {
                let shown = format!(
                    "{channels} channels are none of a published model's: groups and heads cannot be told from the file"
                );
                Err(self.give_config(&shown))
            }
            None if channels.is_empty() => Err(self.give_config("its autoencoder has no levels")),
            None => Ok(()),
        }
    }

    fn give_config(&self, why: &str) -> Error {
        let reason = format!("{why}; {}", hints::CONFIGURATIONS);
        Error::BadFile { file: self.file.to_string(), reason }
    }
}

fn uniform(depths: &[usize]) -> bool {
    depths.windows(2).all(|pair| pair[0] == pair[1])
}
