//! The UNet's configuration, `unet/config.json`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Result;
use crate::models::config::{MAX_LEVELS, PerBlock, check_groups, check_rest, check_sizes, invalid};

/// The greatest number of blocks; Stable Diffusion XL has about 150 by this count.
const MAX_BLOCKS: usize = 4096;

/// The settings of diffusers' `UNet2DConditionModel` that the Stable Diffusion families use. Keys without a field here
/// must have their neutral value.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UNet2DConditionConfig {
    /// Latent height and width that the model was trained at (a list of two in a few checkpoints).
    #[serde(default)]
    pub sample_size: Option<Value>,
    /// Channels of the latents.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Type of each level, from the highest resolution down.
    pub down_block_types: Vec<String>,
    /// Type of each level, from the lowest resolution up.
    pub up_block_types: Vec<String>,
    /// Channels of each level, from the highest resolution down.
    pub block_out_channels: Vec<usize>,
    /// Residual blocks in each level (one more on the way up).
    #[serde(default = "two")]
    pub layers_per_block: usize,
    /// Features of the text's tokens.
    pub cross_attention_dim: usize,
    /// The number of heads, despite its name, unless `num_attention_heads` is present.
    #[serde(default = "eight")]
    pub attention_head_dim: PerBlock,
    /// The number of heads.
    #[serde(default)]
    pub num_attention_heads: Option<PerBlock>,
    /// Transformer layers of a level, from the highest resolution down.
    #[serde(default)]
    pub transformer_layers_per_block: Depths,
    /// The same on the way up, from the lowest resolution, where they differ.
    #[serde(default)]
    pub reverse_transformer_layers_per_block: Option<Depths>,
    /// [`MID_CROSS`], [`MID_PLAIN`], or null where there is none.
    #[serde(default = "mid_cross")]
    pub mid_block_type: Option<String>,
    /// Whether the projections around them are linear instead of convolutional.
    #[serde(default)]
    pub use_linear_projection: bool,
    /// Groups of all norms.
    #[serde(default = "thirty_two")]
    pub norm_num_groups: usize,
    /// Epsilon of the norms outside the transformer blocks.
    #[serde(default = "norm_eps")]
    pub norm_eps: f64,
    /// Whether the cosines come first.
    #[serde(default = "yes")]
    pub flip_sin_to_cos: bool,
    /// Frequency shift of the sinusoids.
    #[serde(default)]
    pub freq_shift: f64,
    /// Width of the guidance scale's embedding.
    #[serde(default)]
    pub time_cond_proj_dim: Option<usize>,
    /// `text_time` for Stable Diffusion XL.
    #[serde(default)]
    pub addition_embed_type: Option<String>,
    /// Width of the embedding of each of its six numbers.
    #[serde(default)]
    pub addition_time_embed_dim: Option<usize>,
    /// Width of pooled text and number embeddings together.
    #[serde(default)]
    pub projection_class_embeddings_input_dim: Option<usize>,
    /// All other keys.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A residual block, a transformer and another residual block in the middle.
pub const MID_CROSS: &str = "UNetMidBlock2DCrossAttn";
/// One residual block in the middle, as in reduced networks (Gupta et al., 2024).
pub const MID_PLAIN: &str = "UNetMidBlock2D";

/// Transformer layers: the same everywhere, or for each level one number or one for each of its residual blocks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Depths {
    /// Everywhere.
    One(usize),
    /// For each level.
    Each(Vec<PerBlock>),
}

impl Default for Depths {
    fn default() -> Self {
        Self::One(1)
    }
}

impl Depths {
    /// After residual block `layer` of level `i`.
    fn get(&self, i: usize, layer: usize) -> usize {
        match self {
            Self::One(depth) => *depth,
            Self::Each(levels) => levels[i].get(layer),
        }
    }

    fn values(&self) -> Vec<usize> {
        match self {
            Self::One(depth) => vec![*depth],
            Self::Each(levels) => levels.iter().flat_map(|level| level.values().iter().copied()).collect(),
        }
    }

    /// Whether there is an entry for each of `levels`, and in those with lists one for each of `layers`.
    fn fits(&self, levels: usize, layers: usize) -> bool {
        match self {
            Self::One(_) => true,
            Self::Each(each) => each.len() == levels && each.iter().all(|level| level.fits(layers)),
        }
    }

    fn is_nested(&self) -> bool {
        matches!(self, Self::Each(levels) if levels.iter().any(|level| matches!(level, PerBlock::Each(_))))
    }
}

impl UNet2DConditionConfig {
    /// Transformer layers after residual block `layer` of level `i`, counted from the highest resolution down.
    pub fn down_depth(&self, i: usize, layer: usize) -> usize {
        self.transformer_layers_per_block.get(i, layer)
    }

    /// Transformer layers in the middle.
    pub fn mid_depth(&self) -> usize {
        self.transformer_layers_per_block.get(self.block_out_channels.len() - 1, 0)
    }

    /// Transformer layers after residual block `layer` of the `j`-th level on the way up.
    pub fn up_depth(&self, j: usize, layer: usize) -> usize {
        match &self.reverse_transformer_layers_per_block {
            Some(depths) => depths.get(j, layer),
            None => self.transformer_layers_per_block.get(self.block_out_channels.len() - 1 - j, layer),
        }
    }

    /// Heads of level `i`, counted from the highest resolution down.
    pub fn heads(&self, i: usize) -> usize {
        self.num_attention_heads.as_ref().unwrap_or(&self.attention_head_dim).get(i)
    }

    /// `sample_size`, if it is one number.
    pub fn sample_size(&self) -> Option<usize> {
        self.sample_size.as_ref().and_then(Value::as_u64).map(|size| size as usize)
    }

    /// Checks that the configuration is supported.
    ///
    /// # Errors
    /// [`crate::Error::Config`] that names `file`, the key, its value and the supported values.
    pub fn check(&self, file: &str) -> Result<()> {
        self.check_sizes(file)?;
        let levels = self.block_out_channels.len();
        let lengths =
            [("down_block_types", self.down_block_types.len()), ("up_block_types", self.up_block_types.len())];
        for (key, len) in lengths {
            if len != levels || levels == 0 {
                return Err(invalid(file, format!("{key} has {len} entries, block_out_channels has {levels}")));
            }
        }
        for (key, values) in [
            ("attention_head_dim", Some(&self.attention_head_dim)),
            ("num_attention_heads", self.num_attention_heads.as_ref()),
        ] {
            if values.is_some_and(|values| !values.fits(levels)) {
                return Err(invalid(file, format!("{key} needs one entry or {levels}")));
            }
        }
        self.check_depths(file)?;
        for level in 0..levels {
            let (heads, channels) = (self.heads(level), self.block_out_channels[level]);
            if heads == 0 || !channels.is_multiple_of(heads) {
                return Err(invalid(file, format!("{heads} attention heads do not divide {channels} channels")));
            }
        }
        check_groups(file, self.norm_num_groups, &self.block_out_channels)?;
        self.check_block_types(file)?;
        match self.addition_embed_type.as_deref() {
            None | Some("text_time") => {}
            Some(other) => return Err(invalid(file, format!("addition_embed_type = {other:?} is not supported"))),
        }
        check_rest(file, &self.rest, &neutral_values(), &["sample_size", "addition_embed_type_num_heads"])
    }

    fn check_depths(&self, file: &str) -> Result<()> {
        let (levels, layers, down) =
            (self.block_out_channels.len(), self.layers_per_block, &self.transformer_layers_per_block);
        if !down.fits(levels, layers) {
            let reason = format!("transformer_layers_per_block needs one entry or {levels}, lists in it {layers}");
            return Err(invalid(file, reason));
        }
        let key = "reverse_transformer_layers_per_block";
        match &self.reverse_transformer_layers_per_block {
            Some(up) if !up.fits(levels, layers + 1) => {
                Err(invalid(file, format!("{key} needs one entry or {levels}, lists in it {}", layers + 1)))
            }
            None if down.is_nested() => {
                Err(invalid(file, format!("{key} is missing, which lists in transformer_layers_per_block need")))
            }
            _ => Ok(()),
        }
    }

    fn check_sizes(&self, file: &str) -> Result<()> {
        let optional = |value: &Option<usize>| [value.unwrap_or(0)];
        let heads = self.num_attention_heads.as_ref().map_or(&[][..], PerBlock::values);
        let widths: [(&str, &[usize]); 9] = [
            ("in_channels", &[self.in_channels]),
            ("out_channels", &[self.out_channels]),
            ("block_out_channels", &self.block_out_channels),
            ("cross_attention_dim", &[self.cross_attention_dim]),
            ("time_cond_proj_dim", &optional(&self.time_cond_proj_dim)),
            ("addition_time_embed_dim", &optional(&self.addition_time_embed_dim)),
            ("projection_class_embeddings_input_dim", &optional(&self.projection_class_embeddings_input_dim)),
            ("attention_head_dim", self.attention_head_dim.values()),
            ("num_attention_heads", heads),
        ];
        let layers = self.transformer_layers_per_block.values();
        let reverse = self.reverse_transformer_layers_per_block.as_ref().map(Depths::values).unwrap_or_default();
        let depths: [(&str, &[usize]); 3] = [
            ("layers_per_block", &[self.layers_per_block]),
            ("transformer_layers_per_block", &layers),
            ("reverse_transformer_layers_per_block", &reverse),
        ];
        check_sizes(file, &widths, &depths)?;
        let levels = self.block_out_channels.len();
        let blocks =
            levels * (2 * self.layers_per_block + 1) * layers.iter().chain(&reverse).copied().max().unwrap_or(1).max(1);
        if levels > MAX_LEVELS || blocks > MAX_BLOCKS {
            let reason = format!("{levels} levels with up to {blocks} blocks: at most {MAX_LEVELS} with {MAX_BLOCKS}");
            return Err(invalid(file, reason));
        }
        Ok(())
    }

    fn check_block_types(&self, file: &str) -> Result<()> {
        const KNOWN: [&str; 4] = ["CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"];
        let middle = self.mid_block_type.as_deref();
        if !matches!(middle, None | Some(MID_CROSS | MID_PLAIN)) {
            let reason = format!("mid_block_type = {middle:?} is not known, only {MID_CROSS}, {MID_PLAIN} and null");
            return Err(invalid(file, reason));
        }
        let types = self.down_block_types.iter().chain(&self.up_block_types);
        match types.into_iter().find(|name| !KNOWN.contains(&name.as_str())) {
            Some(name) => Err(invalid(file, format!("block type {name:?} is not known, only {}", KNOWN.join(", ")))),
            None => Ok(()),
        }
    }
}

/// The neutral values, which do not change the arithmetic, by key.
fn neutral_values() -> Vec<(&'static str, Vec<Value>)> {
    let null = || vec![Value::Null];
    let no = || vec![json!(false)];
    vec![
        ("act_fn", vec![json!("silu"), json!("swish")]),
        ("attention_type", vec![json!("default")]),
        ("center_input_sample", no()),
        ("class_embed_type", null()),
        ("class_embeddings_concat", no()),
        ("conv_in_kernel", vec![json!(3)]),
        ("conv_out_kernel", vec![json!(3)]),
        ("cross_attention_norm", null()),
        ("downsample_padding", vec![json!(1)]),
        ("dropout", vec![json!(0.0), json!(0)]),
        ("dual_cross_attention", no()),
        ("encoder_hid_dim", null()),
        ("encoder_hid_dim_type", null()),
        ("mid_block_only_cross_attention", vec![Value::Null, json!(false)]),
        ("mid_block_scale_factor", vec![json!(1), json!(1.0)]),
        ("num_class_embeds", null()),
        ("only_cross_attention", no()),
        ("resnet_out_scale_factor", vec![json!(1.0), json!(1)]),
        ("resnet_skip_time_act", no()),
        ("resnet_time_scale_shift", vec![json!("default")]),
        ("time_embedding_act_fn", null()),
        ("time_embedding_dim", null()),
        ("time_embedding_type", vec![json!("positional")]),
        ("timestep_post_act", null()),
        ("upcast_attention", vec![json!(false), json!(true), Value::Null]),
    ]
}

fn two() -> usize {
    2
}

fn eight() -> PerBlock {
    PerBlock::One(8)
}

fn mid_cross() -> Option<String> {
    Some(MID_CROSS.to_string())
}

fn thirty_two() -> usize {
    32
}

fn norm_eps() -> f64 {
    1e-5
}

fn yes() -> bool {
    true
}
