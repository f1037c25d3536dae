//! CLIP's text encoder (Radford et al., 2021), as transformers' `CLIPTextModel` and `CLIPTextModelWithProjection`.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, module};
use serde::{Deserialize, Serialize};

use super::config::{check_sizes, invalid};
use crate::Result;
use crate::kernels::attend;
use crate::nn::{self, Activation, LayerNorm, Linear};

/// `text_encoder/config.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClipTextConfig {
    /// `CLIPTextModel`, or `CLIPTextModelWithProjection` for a projected pooled output.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Features of a token.
    pub hidden_size: usize,
    /// Features inside the MLP.
    pub intermediate_size: usize,
    /// Features of the projected pooled output.
    #[serde(default)]
    pub projection_dim: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Heads; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Longest text in tokens.
    pub max_position_embeddings: usize,
    /// Activation of the MLP.
    pub hidden_act: Activation,
    /// Epsilon of all norms.
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f64,
    /// The token at which the pooled output is taken. 2 in old configurations means "the largest id", as transformers
    /// reads it.
    #[serde(default = "default_eos")]
    pub eos_token_id: i64,
}

fn default_eps() -> f64 {
    1e-5
}

fn default_eos() -> i64 {
    2
}

impl ClipTextConfig {
    /// Checks that the configuration is supported.
    ///
    /// # Errors
    /// [`crate::Error::Config`] that names `file`, the key, its value and the supported values.
    pub fn check(&self, file: &str) -> Result<()> {
        let (width, heads) = (self.hidden_size, self.num_attention_heads);
        let widths: [(&str, &[usize]); 6] = [
            ("vocab_size", &[self.vocab_size]),
            ("hidden_size", &[width]),
            ("intermediate_size", &[self.intermediate_size]),
            ("projection_dim", &[self.projection_dim]),
            ("num_attention_heads", &[heads]),
            ("max_position_embeddings", &[self.max_position_embeddings]),
        ];
        check_sizes(file, &widths, &[("num_hidden_layers", &[self.num_hidden_layers])])?;
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(invalid(file, format!("num_attention_heads = {heads} does not divide hidden_size = {width}")));
        }
        Ok(())
    }
}

/// The features of a text.
pub struct ClipTextOutput {
    /// The embeddings, then the output of each layer: `num_hidden_layers + 1` times `[batch, tokens, hidden_size]`.
    pub hidden_states: Vec<Tensor<3>>,
    /// The last output after the final norm: the UNet's context.
    pub last_hidden_state: Tensor<3>,
    /// The features at the end-of-text token `[batch, hidden_size]`, projected to `projection_dim` if the model has a
    /// projection.
    pub pooled: Tensor<2>,
}

/// Encodes token ids to a sequence of features, with causal attention.
#[derive(Module, Debug)]
pub struct ClipTextModel {
    /// Everything except the projection, under the checkpoint's prefix.
    pub text_model: TextModel,
    /// The projection of `CLIPTextModelWithProjection`.
    pub text_projection: Option<Linear>,
    heads: usize,
    eos_token_id: i64,
}

impl ClipTextModel {
    /// The network without values. `file` names the configuration in errors.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for sizes that do not fit together.
    pub fn new(config: &ClipTextConfig, file: &str, device: &Device) -> Result<Self> {
        config.check(file)?;
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        let projected = config.architectures.iter().any(|name| name == "CLIPTextModelWithProjection");
        let embeddings = TextEmbeddings {
            token_embedding: Embedding::new(config.vocab_size, width, &table_home(device)),
            position_embedding: Embedding::new(config.max_position_embeddings, width, device),
        };
        let layers = (0..config.num_hidden_layers).map(|_| EncoderLayer::new(config, device)).collect();
        let final_layer_norm = LayerNorm::new(width, config.layer_norm_eps, device);
        Ok(Self {
            text_model: TextModel { embeddings, encoder: Encoder { layers }, final_layer_norm },
            text_projection: projected.then(|| Linear::without_bias(width, config.projection_dim, device)),
            heads,
            eos_token_id: config.eos_token_id,
        })
    }

    /// Features of a token.
    pub fn width(&self) -> usize {
        self.text_model.final_layer_norm.weight.lazy_shape()[0]
    }

    /// Puts the vectors `[n, features]` of learned words into the token table, from row `first`, which must not be beyond
    /// its end.
    pub fn set_tokens(&mut self, first: usize, vectors: &TensorData) {
        let weight = &mut self.text_model.embeddings.token_embedding.weight;
        let table = weight.val();
        let ([rows, _], n) = (table.dims(), vectors.shape()[0]);
        let new = Tensor::from_data(vectors.clone(), &table.device());
        let rest = (first + n < rows).then(|| table.clone().narrow(0, first + n, rows - first - n));
        let parts = [table.narrow(0, 0, first), new].into_iter().chain(rest).collect();
        *weight = Param::from_tensor(Tensor::cat(parts, 0));
    }

    /// Encodes `ids`, a batch of rows of the same length.
    pub fn forward(&self, ids: &[Vec<i64>], device: &Device) -> ClipTextOutput {
        let hidden_states = self.hidden_states(ids, device);
        let last = hidden_states.last().expect("at least the embeddings").clone();
        let last_hidden_state = self.final_layer_norm(last);
        let pooled = self.pool(ids, last_hidden_state.clone());
        ClipTextOutput { hidden_states, last_hidden_state, pooled }
    }

    /// Only [`ClipTextOutput::last_hidden_state`], for training.
    pub fn encode(&self, ids: &[Vec<i64>], device: &Device) -> Tensor<3> {
        let last = self.hidden_states(ids, device).pop().expect("at least the embeddings");
        self.final_layer_norm(last)
    }

    fn hidden_states(&self, ids: &[Vec<i64>], device: &Device) -> Vec<Tensor<3>> {
        let mut x = self.text_model.embeddings.forward(ids, device);
        let mut hidden_states = vec![x.clone()];
        for layer in &self.text_model.encoder.layers {
            x = layer.forward(x, self.heads);
            hidden_states.push(x.clone());
        }
        hidden_states
    }

    /// The final norm, applied to an earlier layer's output (clip skip).
    pub fn final_layer_norm(&self, hidden_state: Tensor<3>) -> Tensor<3> {
        self.text_model.final_layer_norm.forward(hidden_state)
    }

    fn pool(&self, ids: &[Vec<i64>], last: Tensor<3>) -> Tensor<2> {
        let width = last.dims()[2];
        let rows = ids.iter().enumerate().map(|(row, ids)| {
            let place = self.end_of_text(ids);
            last.clone().slice([row..row + 1, place..place + 1, 0..width]).reshape([1, width])
        });
        let pooled = Tensor::cat(rows.collect(), 0);
        match &self.text_projection {
            Some(projection) => projection.forward(pooled),
            None => pooled,
        }
    }

    fn end_of_text(&self, ids: &[i64]) -> usize {
        let end = match self.eos_token_id {
            2 => ids.iter().copied().max().unwrap_or_default(),
            id => id,
        };
        ids.iter().position(|id| *id == end).unwrap_or(0)
    }
}

/// The checkpoint's `text_model`.
#[derive(Module, Debug)]
pub struct TextModel {
    /// Embeddings of tokens and positions.
    pub embeddings: TextEmbeddings,
    /// The layers.
    pub encoder: Encoder,
    /// After the last layer.
    pub final_layer_norm: LayerNorm,
}

/// The sum of a token's and a position's vector.
#[derive(Module, Debug)]
pub struct TextEmbeddings {
    /// `[vocab_size, hidden_size]`.
    pub token_embedding: Embedding,
    /// `[max_position_embeddings, hidden_size]`.
    pub position_embedding: Embedding,
}

impl TextEmbeddings {
    fn forward(&self, ids: &[Vec<i64>], device: &Device) -> Tensor<3> {
        let (batch, tokens) = (ids.len(), ids[0].len());
        let flat: Vec<i64> = ids.iter().flatten().copied().collect();
        let table = self.token_embedding.weight.val();
        let home = table.device();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(flat, [batch, tokens]), &home);
        let places = self.position_embedding.weight.val().narrow(0, 0, tokens);
        let found = module::embedding(table, ids);
        let found = if home == *device { found } else { Tensor::from_data(found.into_data(), device) };
        found + places.unsqueeze()
    }
}

/// The device of the token table: main memory, unless the device keeps gradients. A text reads 77 of its 49,408 rows,
/// and the whole table is larger than a buffer that WebGPU guarantees.
fn table_home(device: &Device) -> Device {
    if device.is_autodiff() { device.clone() } else { Device::flex() }
}

/// A table of vectors.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[rows, features]`.
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    fn new(rows: usize, features: usize, device: &Device) -> Self {
        Self { weight: nn::parameter([rows, features], device) }
    }
}

/// The checkpoint's `encoder`.
#[derive(Module, Debug)]
pub struct Encoder {
    /// The layers in order.
    pub layers: Vec<EncoderLayer>,
}

/// Self-attention and an MLP, each after a norm and added to its input.
#[derive(Module, Debug)]
pub struct EncoderLayer {
    /// Before `self_attn`.
    pub layer_norm1: LayerNorm,
    /// Attention to this and earlier tokens.
    pub self_attn: ClipAttention,
    /// Before `mlp`.
    pub layer_norm2: LayerNorm,
    /// Applied to each token separately.
    pub mlp: Mlp,
}

impl EncoderLayer {
    fn new(config: &ClipTextConfig, device: &Device) -> Self {
        let width = config.hidden_size;
        let linear = || Linear::new(width, width, device);
        Self {
            layer_norm1: LayerNorm::new(width, config.layer_norm_eps, device),
            self_attn: ClipAttention { q_proj: linear(), k_proj: linear(), v_proj: linear(), out_proj: linear() },
            layer_norm2: LayerNorm::new(width, config.layer_norm_eps, device),
            mlp: Mlp {
                fc1: Linear::new(width, config.intermediate_size, device),
                fc2: Linear::new(config.intermediate_size, width, device),
                activation: config.hidden_act,
            },
        }
    }

    fn forward(&self, x: Tensor<3>, heads: usize) -> Tensor<3> {
        let x = x.clone() + self.self_attn.forward(self.layer_norm1.forward(x), heads);
        x.clone() + self.mlp.forward(self.layer_norm2.forward(x))
    }
}

/// Causal multi-head attention with CLIP's names.
#[derive(Module, Debug)]
pub struct ClipAttention {
    /// Projection to queries.
    pub q_proj: Linear,
    /// Projection to keys.
    pub k_proj: Linear,
    /// Projection to values.
    pub v_proj: Linear,
    /// Output projection.
    pub out_proj: Linear,
}

impl ClipAttention {
    fn forward(&self, x: Tensor<3>, heads: usize) -> Tensor<3> {
        let (q, k) = (self.q_proj.forward(x.clone()), self.k_proj.forward(x.clone()));
        self.out_proj.forward(attend(q, k, self.v_proj.forward(x), heads, true))
    }
}

/// Two linear layers with an activation between.
#[derive(Module, Debug)]
pub struct Mlp {
    /// Expands to the intermediate width.
    pub fc1: Linear,
    /// Reduces to the features.
    pub fc2: Linear,
    #[module(skip)]
    activation: Activation,
}

impl Mlp {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.fc2.forward(self.activation.forward(self.fc1.forward(x)))
    }
}
