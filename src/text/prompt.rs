//! Prompts as chunks of tokens with weights: plain as diffusers reads them, or in the syntax of AUTOMATIC1111's web UI.

use serde::Deserialize;

use super::Tokenizer;
use super::weighting::{Piece, pieces};
use crate::Result;

/// How a prompt is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptSyntax {
    /// As in diffusers: brackets are text, and what exceeds the text encoder's sequence is cut off, with a warning.
    #[default]
    Plain,
    /// As in AUTOMATIC1111's web UI: `(word)` counts 1.1 times, `(word:1.3)` 1.3 times, `[word]` 1 / 1.1 times, `\(` is
    /// a bracket, `BREAK` begins a new chunk; a long prompt is read completely, in chunks.
    Weighted,
}

/// One sequence of the text encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Begin, tokens, end, and padding up to `model_max_length`.
    pub ids: Vec<i64>,
    /// The factor for each token's features.
    pub weights: Vec<f32>,
}

/// A whole prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunks {
    /// At least one.
    pub chunks: Vec<Chunk>,
    /// The end of the text that did not fit, for a warning; none in the weighted syntax.
    pub truncated: Option<String>,
}

impl Tokenizer {
    /// The chunks of a prompt.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn chunks(&self, text: &str, syntax: PromptSyntax) -> Result<Chunks> {
        if syntax == PromptSyntax::Plain {
            let padded = self.encode_padded(text)?;
            let weights = vec![1.0; padded.ids.len()];
            return Ok(Chunks { chunks: vec![Chunk { ids: padded.ids, weights }], truncated: padded.truncated });
        }
        let (mut chunks, mut open) = (Vec::new(), Vec::new());
        for piece in pieces(text) {
            match piece {
                Piece::Break => chunks.push(self.chunk(&std::mem::take(&mut open))),
                Piece::Text(text, weight) => {
                    for id in self.encode(&text)?.ids {
                        if open.len() == self.model_max_length() - 2 {
                            chunks.push(self.chunk(&std::mem::take(&mut open)));
                        }
                        open.push((id, weight));
                    }
                }
            }
        }
        if !open.is_empty() || chunks.is_empty() {
            chunks.push(self.chunk(&open));
        }
        Ok(Chunks { chunks, truncated: None })
    }

    /// The chunk of an empty text, which pads a shorter prompt.
    pub fn empty_chunk(&self) -> Chunk {
        self.chunk(&[])
    }

    fn chunk(&self, tokens: &[(u32, f32)]) -> Chunk {
        let (mut ids, mut weights) = (vec![i64::from(self.bos())], vec![1.0]);
        for (id, weight) in tokens {
            ids.push(i64::from(*id));
            weights.push(*weight);
        }
        ids.push(self.eos().into());
        ids.resize(self.model_max_length(), self.pad().into());
        weights.resize(self.model_max_length(), 1.0);
        Chunk { ids, weights }
    }
}
