//! The networks' forward passes with sizes instead of numbers. Each function follows the one of the same name in `nn`
//! and `models`, buffer by buffer: sums and activations are done in place, attention never stores its scores, and a
//! layer's input is freed after the last layer that needs it.

use super::meter::{Map, Meter};
use crate::models::{
    AutoencoderKlConfig, AutoencoderTinyConfig, ClipTextConfig, MID_CROSS, UNet2DConditionConfig, Vae,
};
use crate::nn::feed_forward_stretch;

/// The text encoder for `rows` texts; every layer's output is kept.
pub fn text(meter: &Meter, config: &ClipTextConfig, rows: usize) {
    let mut x = meter.map("token embeddings", [rows, config.hidden_size, 1, config.max_position_embeddings]);
    let mut hidden_states = vec![x.clone()];
    for _ in 0..config.num_hidden_layers {
        let attended = attention(&x.like("normalised tokens"), x.channels(), None);
        let x_and = attended; // the sum is made in place
        let normal = x_and.like("normalised tokens");
        let inner = normal.with_channels("hidden features of the text encoder", config.intermediate_size);
        drop(normal);
        let back = inner.with_channels("features of tokens", config.hidden_size);
        x = back;
        hidden_states.push(x.clone());
    }
}

/// The UNet for `batch` latents of `height` x `width`, with `tokens` tokens of text.
pub fn unet(meter: &Meter, config: &UNet2DConditionConfig, [batch, height, width]: [usize; 3], tokens: usize) {
    let context = meter.map("the text's features", [batch, config.cross_attention_dim, 1, tokens]);
    let sample = meter.map("latents", [batch, config.in_channels, height, width]);
    let channels = &config.block_out_channels;
    let levels = channels.len();
    let mut x = sample.with_channels("features of the UNet", channels[0]);
    let mut skips = vec![x.clone()];
    for (i, &width) in channels.iter().enumerate() {
        for layer in 0..config.layers_per_block {
            x = resnet(x, width);
            if config.down_block_types[i] == "CrossAttnDownBlock2D" {
                x = transformer(x, config.down_depth(i, layer), &context);
            }
            skips.push(x.clone());
        }
        if i + 1 < levels {
            let [_, _, height, width] = x.shape;
            x = x.with_size("features of the UNet", [height.div_ceil(2), width.div_ceil(2)]);
            skips.push(x.clone());
        }
    }
    if let Some(kind) = &config.mid_block_type {
        x = resnet(x, channels[levels - 1]);
        if kind == MID_CROSS {
            x = transformer(x, config.mid_depth(), &context);
            x = resnet(x, channels[levels - 1]);
        }
    }
    for j in 0..levels {
        let i = levels - 1 - j;
        for layer in 0..=config.layers_per_block {
            let skip = skips.pop().expect("as many skips as residual blocks on the way up");
            let both = x.with_channels("joined features of the UNet", x.channels() + skip.channels());
            drop((x, skip));
            x = resnet(both, channels[i]);
            if config.up_block_types[j] == "CrossAttnUpBlock2D" {
                x = transformer(x, config.up_depth(j, layer), &context);
            }
        }
        if i > 0 {
            let [_, _, height, width] = skips.last().expect("a level above").shape;
            x = upsample(x, [height, width]);
        }
    }
    let normal = x.like("normalised features");
    drop(x);
    let _prediction = normal.with_channels("the prediction", config.out_channels);
}

/// A decoder for one picture's latents of `height` x `width`, or for tiles of that side.
pub fn decode(meter: &Meter, vae: &Vae, [height, width]: [usize; 2], tile: Option<usize>) {
    let part = |[height, width]: [usize; 2]| match vae {
        Vae::Kl(_, config) => decode_kl(meter, config, [height, width]),
        Vae::Tiny(_, config) => decode_tiny(meter, config, [height, width]),
    };
    let Some(side) = tile else { return part([height, width]) };
    // The finished tiles, and the picture that they are assembled to.
    let [_, channels] = vae.channels();
    let done = meter.map("the picture", [1, channels, height * vae.scale(), width * vae.scale()]);
    let _picture = done.like("the picture");
    part([side.min(height), side.min(width)]);
}

/// The decoder of the KL autoencoder for one picture's latents of `height` x `width`.
fn decode_kl(meter: &Meter, config: &AutoencoderKlConfig, [height, width]: [usize; 2]) {
    let channels = &config.block_out_channels;
    let last = channels[channels.len() - 1];
    let latents = meter.map("latents", [1, config.latent_channels, height, width]);
    let mut x = resnet(latents.with_channels("features of the decoder", last), last);
    let normal = x.like("normalised features");
    let attended = attention(&normal, last, None);
    drop(normal);
    x = resnet(attended, last);
    for i in (0..channels.len()).rev() {
        for _ in 0..=config.layers_per_block {
            x = resnet(x, channels[i]);
        }
        if i > 0 {
            let [_, _, height, width] = x.shape;
            x = upsample(x, [2 * height, 2 * width]);
        }
    }
    let normal = x.like("normalised features");
    drop(x);
    let _picture = normal.with_channels("the picture", config.out_channels);
}

/// The decoder of the tiny autoencoder for one picture's latents of `height` x `width`.
fn decode_tiny(meter: &Meter, config: &AutoencoderTinyConfig, [height, width]: [usize; 2]) {
    let channels = config.decoder_block_out_channels[0];
    let latents = meter.map("latents", [1, config.latent_channels, height, width]);
    let mut x = latents.with_channels("features of the decoder", channels);
    let levels = config.num_decoder_blocks.len();
    for (level, blocks) in config.num_decoder_blocks.iter().enumerate() {
        for _ in 0..*blocks {
            let first = x.like("features of the decoder");
            let second = first.like("features of the decoder");
            drop(first);
            x = second.like("features of the decoder"); // the sum with the input is made in place
        }
        if level + 1 < levels {
            let [_, _, height, width] = x.shape;
            let factor = config.upsampling_scaling_factor;
            x = upsample(x, [factor * height, factor * width]);
        }
    }
    let _picture = x.with_channels("the picture", config.out_channels);
}

fn resnet(x: Map, channels: usize) -> Map {
    let normal = x.like("normalised features");
    let h = normal.with_channels("features", channels);
    drop(normal);
    let normal = h.like("normalised features");
    drop(h);
    let h = normal.with_channels("features", channels);
    drop(normal);
    let _shortcut = if x.channels() == channels { x } else { x.with_channels("features", channels) };
    h
}

fn upsample(x: Map, size: [usize; 2]) -> Map {
    let enlarged = x.with_size("enlarged features", size);
    drop(x);
    enlarged.like("features")
}

fn transformer(x: Map, layers: usize, context: &Map) -> Map {
    let normal = x.like("normalised features");
    let rows = normal.like("features as tokens");
    drop(normal);
    let mut tokens = rows.like("tokens");
    drop(rows);
    let channels = tokens.channels();
    for _ in 0..layers {
        let normal = tokens.like("normalised tokens");
        tokens = attention(&normal, channels, None);
        drop(normal);
        let normal = tokens.like("normalised tokens");
        tokens = attention(&normal, channels, Some(context));
        drop(normal);
        tokens = feed_forward(&tokens);
    }
    let out = tokens.like("tokens");
    drop(tokens);
    let _residual = x;
    out.like("features")
}

/// In several parts of the tokens, if there are many.
fn feed_forward(tokens: &Map) -> Map {
    let [batch, channels, height, width] = tokens.shape;
    let stretch = feed_forward_stretch(batch, height * width, channels);
    let normal = tokens.like("normalised tokens");
    if stretch >= height * width {
        return gated(normal, channels);
    }
    let done = tokens.like("tokens");
    drop(gated(normal.with_size("normalised tokens", [1, stretch]), channels));
    drop(normal);
    done.like("tokens")
}

fn gated(normal: Map, channels: usize) -> Map {
    let both = normal.with_channels("both halves of a feed-forward layer", 8 * channels);
    drop(normal);
    let half = || both.with_channels("hidden features of a feed-forward layer", 4 * channels);
    let (value, gate) = (half(), half());
    drop(both);
    drop(gate);
    value.with_channels("tokens", channels)
}

/// Queries, keys, values and the result, in tiles.
fn attention(x: &Map, channels: usize, context: Option<&Map>) -> Map {
    let of = context.unwrap_or(x);
    let q = x.with_channels("queries", channels);
    let k = of.with_channels("keys", channels);
    let v = of.with_channels("values", channels);
    let attended = q.like("attended tokens");
    drop((q, k, v));
    attended.with_channels("tokens", channels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(run: impl FnOnce(&Meter)) -> (u64, u64, &'static str) {
        let meter = Meter::default();
        run(&meter);
        let counts = meter.counts();
        (counts.peak / 4, counts.largest / 4, counts.largest_is)
    }

    #[test]
    fn a_residual_block_holds_its_input_and_two_more() {
        // 100 in, 100 normalised, 200 out; then 200 normalised beside 200 out and 100 in; then the shortcut of 200.
        let (peak, ..) = most(|meter| drop(resnet(meter.map("x", [1, 1, 10, 10]), 2)));
        assert_eq!(peak, 100 + 200 + 200);
        let (peak, ..) = most(|meter| drop(resnet(meter.map("x", [1, 1, 10, 10]), 1)));
        assert_eq!(peak, 300);
    }

    #[test]
    fn a_feed_forward_layer_is_the_largest_of_a_transformer() {
        let (peak, largest, what) = most(|meter| {
            let context = meter.map("context", [1, 1, 1, 1]);
            drop(transformer(meter.map("x", [1, 2, 8, 8]), 1, &context));
        });
        // Of 128 numbers: the input, the tokens, eight times their width and its halves; and one of the context.
        assert_eq!((peak, largest, what), (128 * (1 + 1 + 8 + 8) + 1, 1024, "both halves of a feed-forward layer"));
    }

    #[test]
    fn many_tokens_pass_a_feed_forward_layer_in_stretches() {
        let (batch, channels, side) = (2, 320, 64);
        let (peak, largest, _) = most(|meter| drop(feed_forward(&meter.map("x", [batch, channels, side, side]))));
        let stretch = feed_forward_stretch(batch, side * side, channels);
        assert!(stretch < side * side, "{stretch}");
        // The tokens, their normalised copy and the finished ones; a part eight times as wide, whole and in halves.
        let (all, part) = (batch * channels * side * side, batch * channels * stretch);
        assert_eq!((peak, largest), ((3 * all + 16 * part) as u64, (8 * part) as u64));
    }

    #[test]
    fn a_tiny_unet_by_hand() {
        let config: UNet2DConditionConfig = serde_json::from_str(
            r#"{ "in_channels": 1, "out_channels": 1, "block_out_channels": [2], "layers_per_block": 1, "cross_attention_dim": 1,
                 "attention_head_dim": 1, "norm_num_groups": 1,
                 "down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"] }"#,
        )
        .unwrap();
        let (peak, largest, _) = most(|meter| unet(meter, &config, [1, 4, 4], 3));
        // Text 3, latents 16; skips 32 (the first convolution), 32 (the block); in the middle's transformer: its input, the tokens,
        // a feed-forward of 8 times 32, whole and in halves.
        assert_eq!(peak, 3 + 16 + 32 + 32 + 32 + 32 + 8 * 32 + 8 * 32);
        assert_eq!(largest, 8 * 32);
    }

    #[test]
    fn a_tiny_decoder_by_hand() {
        let config: AutoencoderKlConfig = serde_json::from_str(
            r#"{ "in_channels": 3, "out_channels": 3, "block_out_channels": [1, 2], "layers_per_block": 1, "latent_channels": 1,
                 "norm_num_groups": 1 }"#,
        )
        .unwrap();
        let (peak, largest, _) = most(|meter| decode_kl(meter, &config, [2, 2]));
        // Latents 4. The first residual block above has two channels of 4 x 4 as its input (32), a normalised copy (32), then one
        // channel of 16; before it the enlarged features are 32 beside the convolution's 32.
        assert_eq!(peak, 4 + 32 + 32 + 16);
        assert_eq!(largest, 48);
    }
}
