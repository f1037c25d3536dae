//! The autoencoder's keys.

/// diffusers' name of a key without its prefix, and whether its weight, a convolution of one pixel, is a matrix there; `levels` are the
/// decoder's. None for a key that is none of the network's.
pub(super) fn name(key: &str, levels: usize) -> Option<(String, bool)> {
    if let Some(rest) = key.strip_prefix("quant_conv.").or_else(|| key.strip_prefix("post_quant_conv.")) {
        return Some((format!("{}{rest}", &key[..key.len() - rest.len()]), false));
    }
    let (side, rest) = key.split_once('.')?;
    if !matches!(side, "encoder" | "decoder") {
        return None;
    }
    if let Some(rest) = rest.strip_prefix("mid.attn_1.") {
        let (layer, kind) = rest.rsplit_once('.')?;
        let (layer, matrix) = match layer {
            "norm" | "group_norm" => ("group_norm", false),
            "q" | "to_q" => ("to_q", true),
            "k" | "to_k" => ("to_k", true),
            "v" | "to_v" => ("to_v", true),
            "proj_out" | "to_out.0" => ("to_out.0", true),
            _ => return None,
        };
        return Some((format!("{side}.mid_block.attentions.0.{layer}.{kind}"), matrix && kind == "weight"));
    }
    let inner = match rest.split_once('.')? {
        ("conv_in" | "conv_out", _) => rest.to_string(),
        ("norm_out", kind) => format!("conv_norm_out.{kind}"),
        ("mid", rest) => match rest.split_once('.')? {
            ("block_1", rest) => format!("mid_block.resnets.0.{}", residual(rest)),
            ("block_2", rest) => format!("mid_block.resnets.1.{}", residual(rest)),
            _ => return None,
        },
        ("down", rest) => level(rest, "down_blocks", Some)?,
        // The original code counts the decoder's levels from the highest resolution.
        ("up", rest) => level(rest, "up_blocks", |level| levels.checked_sub(level + 1))?,
        _ => return None,
    };
    Some((format!("{side}.{inner}"), false))
}

/// `1.block.0.conv1.weight` or `1.downsample.conv.weight`.
fn level(rest: &str, blocks: &str, number: impl Fn(usize) -> Option<usize>) -> Option<String> {
    let (level, rest) = rest.split_once('.')?;
    let level = number(level.parse().ok()?)?;
    let inner = match rest.split_once('.')? {
        ("block", rest) => {
            let (layer, rest) = rest.split_once('.')?;
            format!("resnets.{layer}.{}", residual(rest))
        }
        ("downsample", rest) => format!("downsamplers.0.{rest}"),
        ("upsample", rest) => format!("upsamplers.0.{rest}"),
        _ => return None,
    };
    Some(format!("{blocks}.{level}.{inner}"))
}

fn residual(rest: &str) -> String {
    match rest.strip_prefix("nin_shortcut.") {
        Some(kind) => format!("conv_shortcut.{kind}"),
        None => rest.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoders_levels_turn_round() {
        for (key, expected, matrix) in [
            ("encoder.down.0.block.1.norm1.bias", "encoder.down_blocks.0.resnets.1.norm1.bias", false),
            ("encoder.down.2.downsample.conv.bias", "encoder.down_blocks.2.downsamplers.0.conv.bias", false),
            ("decoder.up.3.block.0.nin_shortcut.weight", "decoder.up_blocks.0.resnets.0.conv_shortcut.weight", false),
            ("decoder.up.1.upsample.conv.weight", "decoder.up_blocks.2.upsamplers.0.conv.weight", false),
            ("decoder.mid.attn_1.q.weight", "decoder.mid_block.attentions.0.to_q.weight", true),
            ("decoder.mid.attn_1.proj_out.bias", "decoder.mid_block.attentions.0.to_out.0.bias", false),
            ("encoder.mid.block_2.conv1.weight", "encoder.mid_block.resnets.1.conv1.weight", false),
            ("encoder.norm_out.weight", "encoder.conv_norm_out.weight", false),
            ("post_quant_conv.weight", "post_quant_conv.weight", false),
        ] {
            assert_eq!(name(key, 4), Some((expected.to_string(), matrix)), "{key}");
        }
        for key in ["loss.logvar", "decoder.up.4.block.0.conv1.weight", "encoder.mid.attn_1.x.weight"] {
            assert_eq!(name(key, 4), None, "{key}");
        }
    }
}
