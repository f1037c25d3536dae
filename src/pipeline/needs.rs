//! What a model needs of a machine, said in its manifest, so that a page can say no before it downloads anything.

use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::Pipeline;
use crate::models::Vae;
use crate::weights;

/// All layers compute in 32-bit floats.
const FLOAT: usize = 4;
/// How many results of the largest layer are there at once: its input, its output, and what lies between.
const AT_ONCE: usize = 4;

/// Bytes of memory, for one picture of the model's own size, with guidance where the model is guided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// All weights, widened as they are in memory.
    pub weights: u64,
    /// The largest single buffer: a weight, or what one layer hands to the next.
    pub largest_buffer: u64,
    /// About what the layers hold at once beside the weights.
    pub activations: u64,
}

impl Pipeline {
    /// What the model takes of a machine's memory: counted for the weights, estimated from the configurations for
    /// the rest.
    pub fn needs(&self) -> Needs {
        let vae = match &self.vae {
            Vae::Kl(module, _) => counted(module),
            Vae::Tiny(module, _) => counted(module),
        };
        let text = self.text.iter().flat_map(|text| counted(&text.model));
        let sizes: Vec<usize> = counted(&self.unet).into_iter().chain(text).chain(vae).collect();
        let largest_result = self.results().into_iter().max().unwrap_or(0);
        let activations = self.skips() + AT_ONCE * largest_result;
        let bytes = |numbers: usize| (numbers * FLOAT) as u64;
        Needs {
            weights: bytes(sizes.iter().sum()),
            largest_buffer: bytes(sizes.into_iter().max().unwrap_or(0).max(largest_result)),
            activations: bytes(activations),
        }
    }

    /// Pictures that the UNet sees at once, for one that is drawn.
    fn halves(&self) -> usize {
        let guided = self.defaults.guidance_scale > 1.0 && self.unet_config.time_cond_proj_dim.is_none();
        if guided { 2 } else { 1 }
    }

    /// Latents of one picture at level `i` of the UNet.
    fn places(&self, i: usize) -> usize {
        let Self { defaults, vae, .. } = self;
        (defaults.width / vae.scale() >> i).max(1) * (defaults.height / vae.scale() >> i).max(1)
    }

    /// Numbers that the UNet keeps from its way down for its way up.
    fn skips(&self) -> usize {
        let config = &self.unet_config;
        let levels = config.block_out_channels.iter().enumerate();
        let kept = levels.map(|(i, channels)| (config.layers_per_block + 1) * channels * self.places(i));
        self.halves() * kept.sum::<usize>()
    }

    /// Numbers in the layers' largest results: joined channels, gated features and attention scores of each level of the
    /// UNet; the picture within the decoder, and its attention.
    fn results(&self) -> Vec<usize> {
        let config = &self.unet_config;
        let channels = &config.block_out_channels;
        let attends = |i: usize| i + 1 == channels.len() || config.down_block_types[i].contains("CrossAttn");
        let mut results = Vec::new();
        for (i, of_level) in channels.iter().enumerate() {
            let (places, below) = (self.places(i), channels[(i + 1).min(channels.len() - 1)]);
            results.push(self.halves() * (of_level + below) * places);
            if attends(i) {
                results.push(self.halves() * 8 * of_level * places);
                results.push(self.halves() * config.heads(i) * places * places);
            }
        }
        let pixels = self.defaults.width * self.defaults.height;
        match &self.vae {
            Vae::Kl(_, config) => {
                let widths = &config.block_out_channels;
                results.push(widths[1.min(widths.len() - 1)] * pixels);
                results.push(self.places(0) * self.places(0));
            }
            Vae::Tiny(_, config) => {
                results.push(config.decoder_block_out_channels.iter().copied().max().unwrap_or(0) * pixels);
            }
        }
        results
    }
}

/// How many numbers each weight has.
fn counted<M: Module>(module: &M) -> Vec<usize> {
    weights::paths(module).into_iter().map(|(_, shape)| shape.iter().product()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use super::*;

    #[test]
    fn weights_are_counted_as_the_files_hold_them() {
        let needs = golden("sd15").needs();
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reference/pipelines/sd15");
        let parts = ["text_encoder/model", "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model"];
        let sizes: Vec<usize> =
            parts.iter().flat_map(|part| sizes(&folder.join(format!("{part}.safetensors")))).collect();
        assert_eq!(needs.weights, (sizes.iter().sum::<usize>() * FLOAT) as u64);
        assert!(needs.largest_buffer >= (sizes.iter().max().unwrap() * FLOAT) as u64);
        assert!(needs.activations >= needs.largest_buffer && needs.activations < 1 << 30, "{needs:?}");
    }

    #[test]
    fn a_picture_twice_as_wide_needs_more() {
        let mut pipeline = golden("sd15");
        let before = pipeline.needs();
        pipeline.defaults.width *= 2;
        let after = pipeline.needs();
        assert_eq!(after.weights, before.weights);
        assert!(after.activations >= 2 * before.activations, "{before:?} {after:?}");
    }

    /// How many floats each tensor of a safetensors file holds.
    fn sizes(path: &std::path::Path) -> Vec<usize> {
        let bytes = std::fs::read(path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let floats = file.tensors().into_iter().filter(|(_, view)| view.dtype() != safetensors::Dtype::I64);
        floats.map(|(_, view)| view.shape().iter().product()).collect()
    }
}
