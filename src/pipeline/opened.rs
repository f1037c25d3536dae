//! A picture taken apart: where the network looked, token by token. This costs nothing unless it is requested.

use burn::tensor::Tensor;

use super::{Pipeline, Request, join};
use crate::models::AddedConditions;
use crate::nn::trace;
use crate::{Error, Result};

/// Where one layer looked for each token: the mean over its heads.
pub struct AttentionMap {
    /// Index of the cross-attention, in the order in which the network runs them.
    pub layer: usize,
    /// Rows and columns of positions.
    pub size: [usize; 2],
    /// The number of tokens, with the padding.
    pub tokens: usize,
    /// `[tokens, rows, columns]`, each 0 to 1: how much of the token this position takes. The sum over the tokens is 1.
    pub weights: Vec<f32>,
}

/// A token of a prompt; its index is that of its row of features.
pub struct PromptToken {
    /// Its id in the vocabulary.
    pub id: u32,
    /// The part of the prompt that it represents; empty for begin and end.
    pub text: String,
}

impl Pipeline {
    /// The tokens of `text` as the first text encoder reads them: begin, the tokens that fit, end. The rest is padding.
    ///
    /// # Errors
    /// As [`crate::text::Tokenizer::encode`].
    pub fn prompt_tokens(&self, text: &str) -> Result<Vec<PromptToken>> {
        let tokenizer = &self.components.text[0].tokenizer;
        let encoding = tokenizer.encode(text)?;
        let special = |id| PromptToken { id, text: String::new() };
        let of_text = |(&id, &(from, to)): (&u32, &(usize, usize))| PromptToken {
            id,
            text: text.get(from..to).unwrap_or_default().trim().to_owned(),
        };
        let mut tokens = vec![special(tokenizer.bos())];
        let room = tokenizer.model_max_length() - 2;
        tokens.extend(encoding.ids.iter().zip(&encoding.offsets).take(room).map(of_text));
        tokens.push(special(tokenizer.eos()));
        Ok(tokens)
    }

    /// The cross-attention of one step of `request`. It runs the network again with the event's `model_input` `[n or
    /// 2n, c, h, w]` at its `timestep`, so the numbers are the same as in the run. With classifier-free guidance it is
    /// the prompt's half.
    ///
    /// # Errors
    /// [`Error::Request`] for a start picture with an inpainting network, or more than one picture; those of reading
    /// the tensors back from the device.
    pub async fn attention_maps(
        &self,
        request: &Request,
        model_input: Tensor<4>,
        timestep: f32,
    ) -> Result<Vec<AttentionMap>> {
        let parts = if self.classifier_free(request) { 2 } else { 1 };
        if model_input.dims()[0] != parts {
            return Err(Error::Request("attention maps are those of one picture".into()));
        }
        let prompt = self.encode_prompt(request)?;
        let pooled = prompt.text_embeds.clone().map(|pooled| join(vec![pooled], parts));
        let nag = self.nag(request, std::slice::from_ref(&prompt));
        let conditions = AddedConditions { nag, ..self.conditions(request, 1, pooled) };
        let context = join(vec![prompt.encoder_hidden_states], parts);
        let run = || self.components.unet.forward(model_input, &[timestep], context, &conditions);
        let (_, kept) = trace::cross_attention(run);
        let mut maps = Vec::with_capacity(kept.len());
        for (layer, one) in kept.into_iter().enumerate() {
            let [batch, heads, places, tokens] = one.weights.dims();
            let mean = one.weights.narrow(0, batch - 1, 1).sum_dim(1) / heads as f32;
            let by_token: Tensor<2> = mean.reshape([places, tokens]).transpose();
            let data = by_token.into_data_async().await.map_err(|error| Error::Device(format!("{error:?}")))?;
            maps.push(AttentionMap { layer, size: one.size, tokens, weights: data.iter::<f32>().collect() });
        }
        Ok(maps)
    }
}
