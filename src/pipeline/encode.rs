//! From a prompt to the UNet's conditioning: tokens, text encoders, weights of words, and the two halves of guidance.

use burn::tensor::{Device, Tensor, TensorData};

use super::{Family, Pipeline, Request};
use crate::models::ClipTextModel;
use crate::text::{Chunk, Chunks, Tokenizer};
use crate::weights::TextualInversion;
use crate::{Error, Result};

/// A tokenizer and its text encoder: Stable Diffusion XL has two pairs.
pub struct TextEncoder {
    /// Prompts to ids.
    pub tokenizer: Tokenizer,
    /// Ids to features.
    pub model: ClipTextModel,
    /// The device of the model.
    pub device: Device,
}

/// A prompt as the UNet reads it.
pub struct EncodedPrompt {
    /// With classifier-free guidance `[2n, tokens, features]`, negative half first; without `[n, ...]`; for a model
    /// that reads both together `[n, 2 tokens, features]`, with the negative prompt's tokens last. A prompt of several
    /// chunks has the tokens of all of them, one after the other.
    pub encoder_hidden_states: Tensor<3>,
    /// Features of the negative prompt `[n, tokens, features]`, for normalized attention guidance.
    pub nag_hidden_states: Option<Tensor<3>>,
    /// Stable Diffusion XL's pooled text, `[2n or n, projection_dim]`.
    pub text_embeds: Option<Tensor<2>>,
    /// Padded ids of the prompt for each text encoder.
    pub token_ids: Vec<Vec<i64>>,
    /// Padded ids of the negative prompt for each text encoder.
    pub negative_token_ids: Vec<Vec<i64>>,
    /// Warnings about text that was cut off.
    pub warnings: Vec<String>,
}

/// The chunks of a request's two texts, for each text encoder.
struct Tokens {
    prompt: Vec<Chunks>,
    negative: Vec<Chunks>,
    /// Whether the network sees the negative prompt.
    reads_negative: bool,
}

impl Tokens {
    /// The number of chunks of the longest text.
    fn chunks(&self) -> usize {
        let negative = self.negative.iter().filter(|_| self.reads_negative);
        self.prompt.iter().chain(negative).map(|text| text.chunks.len()).max().unwrap_or(1)
    }
}

impl Pipeline {
    /// Adds a learned word to the text encoders.
    ///
    /// # Errors
    /// [`Error::Request`] for vectors of another width or number of encoders, and for a word that the model has already.
    pub fn add_textual_inversion(&mut self, inversion: &TextualInversion) -> Result<()> {
        let widths: Vec<usize> = self.components.text.iter().map(|text| text.model.width()).collect();
        let given: Vec<usize> = inversion.vectors.iter().map(|vectors| vectors.shape()[1]).collect();
        if widths != given {
            let reason =
                format!("the word {:?} has vectors of {given:?} numbers, this model's text encoders", inversion.token);
            return Err(Error::Request(format!("{reason} {widths:?}: it was learned for another model")));
        }
        for (text, vectors) in self.components.text.iter_mut().zip(&inversion.vectors) {
            let ids = text.tokenizer.add_learned(&inversion.words())?;
            text.model.set_tokens(ids[0] as usize, vectors);
        }
        Ok(())
    }

    /// Tokenizes and encodes the prompts of a request.
    ///
    /// A model distilled with guidance and negative prompt as inputs (`negative_prompt_in_context`) reads the padded
    /// ids of the prompt and then those of the negative prompt as one text. The second half has its own positions, with
    /// their own position embeddings.
    ///
    /// # Errors
    /// [`Error::Request`] for a clip skip that leaves no layer.
    pub fn encode_prompt(&self, request: &Request) -> Result<EncodedPrompt> {
        let tokens = self.tokenize(request)?;
        let chunks = tokens.chunks();
        self.encode_tokens(request, tokens, chunks)
    }

    /// As [`Self::encode_prompt`], for several requests, whose features are padded to the longest one.
    ///
    /// # Errors
    /// As [`Self::encode_prompt`].
    pub(super) fn encode_prompts(&self, requests: &[Request]) -> Result<Vec<EncodedPrompt>> {
        let tokens = requests.iter().map(|request| self.tokenize(request)).collect::<Result<Vec<_>>>()?;
        let chunks = tokens.iter().map(Tokens::chunks).max().unwrap_or(1);
        requests.iter().zip(tokens).map(|(request, tokens)| self.encode_tokens(request, tokens, chunks)).collect()
    }

    /// # Errors
    /// [`Error::Request`] for texts of a second encoder that the model lacks.
    fn tokenize(&self, request: &Request) -> Result<Tokens> {
        if self.components.text.len() < 2 && (request.prompt_2.is_some() || request.negative_prompt_2.is_some()) {
            return Err(Error::Request("a second prompt: this model has one text encoder".into()));
        }
        let texts = |first: &str, second: &Option<String>| -> Result<Vec<Chunks>> {
            let second = second.as_deref().filter(|text| !text.is_empty()).unwrap_or(first);
            let words = [first, second].into_iter();
            self.components
                .text
                .iter()
                .zip(words)
                .map(|(text, words)| text.tokenizer.chunks(words, request.prompt_syntax))
                .collect()
        };
        Ok(Tokens {
            prompt: texts(&request.prompt, &request.prompt_2)?,
            negative: texts(&request.negative_prompt, &request.negative_prompt_2)?,
            reads_negative: self.classifier_free(request)
                || request.nag().is_some()
                || self.components.negative_prompt_in_context,
        })
    }

    /// The shorter text is padded with empty chunks.
    fn encode_tokens(&self, request: &Request, tokens: Tokens, chunks: usize) -> Result<EncodedPrompt> {
        let n = request.num_images_per_prompt;
        let apart = self.classifier_free(request);
        let (prompt, negative) = (&tokens.prompt, &tokens.negative);
        let (mut halves, mut nag_hidden_states) = (Vec::new(), None);
        if self.components.negative_prompt_in_context {
            halves.push(self.encode_text(&self.stretches(prompt, negative, chunks), request.clip_skip)?);
        } else {
            let positive = self.encode_text(&self.filled(prompt, chunks), request.clip_skip)?;
            if apart || request.nag().is_some() {
                let negative = match self.forces_zeros(request) {
                    true => (positive.0.zeros_like(), positive.1.as_ref().map(Tensor::zeros_like)),
                    false => self.encode_text(&self.filled(negative, chunks), None)?,
                };
                nag_hidden_states = request.nag().map(|_| negative.0.clone().repeat_dim(0, n));
                halves.extend(apart.then_some(negative));
            }
            halves.push(positive);
        }
        let (states, pooled): (Vec<_>, Vec<_>) = halves.into_iter().unzip();
        let states = states.into_iter().map(|states| states.repeat_dim(0, n)).collect();
        let pooled: Option<Vec<Tensor<2>>> =
            pooled.into_iter().map(|pooled| pooled.map(|pooled| pooled.repeat_dim(0, n))).collect();
        let first = |texts: &[Chunks]| texts.iter().map(|text| text.chunks[0].ids.clone()).collect();
        Ok(EncodedPrompt {
            encoder_hidden_states: Tensor::cat(states, 0),
            nag_hidden_states,
            text_embeds: pooled.filter(|_| self.is_xl()).map(|pooled| Tensor::cat(pooled, 0)),
            token_ids: first(prompt),
            negative_token_ids: first(negative),
            warnings: self.warnings(&tokens),
        })
    }

    /// Warnings about what was cut off of the texts that the network reads.
    fn warnings(&self, tokens: &Tokens) -> Vec<String> {
        let negative = tokens.reads_negative.then_some(("negative prompt", &tokens.negative[0]));
        let texts = negative.into_iter().chain([("prompt", &tokens.prompt[0])]);
        let cut = texts.filter_map(|(name, text)| Some((name, text.truncated.as_ref()?)));
        cut.map(|(name, cut)| truncation(name, cut, &self.components.text[0].tokenizer)).collect()
    }

    /// Whether an empty negative prompt becomes zeros: for Stable Diffusion XL, if its model says so. An empty text
    /// here means `None` in Python.
    fn forces_zeros(&self, request: &Request) -> bool {
        let empty = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
        let forced = self.components.family == Family::StableDiffusionXl { force_zeros_for_empty_prompt: true };
        forced && request.negative_prompt.is_empty() && empty(&request.negative_prompt_2)
    }

    fn filled(&self, texts: &[Chunks], chunks: usize) -> Vec<Vec<Chunk>> {
        let fill = |(text, encoder): (&Chunks, &TextEncoder)| {
            let mut filled = text.chunks.clone();
            filled.resize_with(chunks, || encoder.tokenizer.empty_chunk());
            filled
        };
        texts.iter().zip(&self.components.text).map(fill).collect()
    }

    /// Each chunk of the prompt, followed by the same chunk of the negative prompt.
    fn stretches(&self, prompt: &[Chunks], negative: &[Chunks], chunks: usize) -> Vec<Vec<Chunk>> {
        let pair = |(prompt, negative): (Chunk, Chunk)| Chunk {
            ids: [prompt.ids, negative.ids].concat(),
            weights: [prompt.weights, negative.weights].concat(),
        };
        let texts = self.filled(prompt, chunks).into_iter().zip(self.filled(negative, chunks));
        texts.map(|(prompt, negative)| prompt.into_iter().zip(negative).map(pair).collect()).collect()
    }

    /// The features of a text `[1, tokens, features]`, with those of all text encoders side by side, and the last
    /// encoder's pooled output for the first chunk `[1, projection_dim]`.
    fn encode_text(&self, texts: &[Vec<Chunk>], clip_skip: Option<usize>) -> Result<(Tensor<3>, Option<Tensor<2>>)> {
        let (mut states, mut summary) = (Vec::new(), None);
        for (text, chunks) in self.components.text.iter().zip(texts) {
            let ids: Vec<Vec<i64>> = chunks.iter().map(|chunk| chunk.ids.clone()).collect();
            let output = text.model.forward(&ids, &text.device);
            summary = Some(moved(output.pooled.narrow(0, 0, 1), &self.device));
            // Stable Diffusion XL reads the second-to-last layer, without the final norm.
            let skipped = clip_skip.unwrap_or(0) + usize::from(self.is_xl());
            let state = match skipped {
                0 if clip_skip.is_none() => output.last_hidden_state,
                skipped => {
                    let state = layer(output.hidden_states, skipped)?;
                    if self.is_xl() { state } else { text.model.final_layer_norm(state) }
                }
            };
            let state = weighted(state, chunks);
            let [count, tokens, features] = state.dims();
            states.push(moved(state.reshape([1, count * tokens, features]), &self.device));
        }
        Ok((Tensor::cat(states, 2), summary))
    }
}

/// Moves a tensor from main memory, if it is there, to a device.
fn moved<const D: usize>(x: Tensor<D>, device: &Device) -> Tensor<D> {
    if x.device() == *device { x } else { Tensor::from_data(x.into_data(), device) }
}

/// The output of the layer `skipped` before the last.
fn layer(mut states: Vec<Tensor<3>>, skipped: usize) -> Result<Tensor<3>> {
    match skipped + 1 < states.len() {
        true => Ok(states.swap_remove(states.len() - 1 - skipped)),
        false => {
            let layers = states.len() - 1;
            Err(Error::Request(format!("clip skip leaves no layer of the text encoder, which has {layers}")))
        }
    }
}

/// Multiplies features by the weights of their tokens, then rescales them so that the mean of each chunk is unchanged:
/// the web UI's rule. Text without weights stays exactly as it is.
fn weighted(states: Tensor<3>, chunks: &[Chunk]) -> Tensor<3> {
    if chunks.iter().all(|chunk| chunk.weights.iter().all(|weight| *weight == 1.0)) {
        return states;
    }
    let [count, tokens, _] = states.dims();
    let mean = |states: Tensor<3>| -> Tensor<3> {
        let flat: Tensor<2> = states.flatten(1, 2);
        flat.mean_dim(1).reshape([count, 1, 1])
    };
    let weights: Vec<f32> = chunks.iter().flat_map(|chunk| chunk.weights.iter().copied()).collect();
    let weights = Tensor::<3>::from_data(TensorData::new(weights, [count, tokens, 1]), &states.device());
    let scaled = states.clone() * weights;
    scaled.clone() * (mean(states) / mean(scaled))
}

fn truncation(name: &str, cut: &str, tokenizer: &Tokenizer) -> String {
    const SHOWN: usize = 60;
    let limit = tokenizer.model_max_length() - 2;
    let words = cut.split_whitespace().collect::<Vec<_>>().join(" ");
    let start: String = words.chars().take(SHOWN).collect();
    let more = if start.len() < words.len() { "…" } else { "" };
    format!("the {name} is longer than this model reads ({limit} tokens); left out: “{start}{more}”")
}
