//! The UNet's keys: blocks that the original code numbers in one row become diffusers' levels.

use std::collections::BTreeMap;

/// The levels of a network, read off its keys, so that any number of blocks a level fits: on the way down a level ends with a
/// downsampler, on the way up with an upsampler.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Place of each of `input_blocks` but the first, and of each of `output_blocks`.
    down: BTreeMap<usize, Place>,
    up: BTreeMap<usize, Place>,
}

/// Level, and layer in the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub level: usize,
    pub layer: usize,
}

/// What a block of the original code holds.
#[derive(Clone, Copy, Default)]
struct Block {
    residual: bool,
    sampler: bool,
}

impl Walk {
    /// From the keys without their prefix.
    pub fn new<'k>(keys: impl Iterator<Item = &'k str>) -> Self {
        let (mut down, mut up) = (BTreeMap::new(), BTreeMap::new());
        for key in keys {
            let Some((way, block, part, rest)) = parted(key) else { continue };
            let blocks: &mut BTreeMap<usize, Block> = if way == Way::Down { &mut down } else { &mut up };
            if way == Way::Down && block == 0 {
                continue;
            }
            let found = blocks.entry(block).or_default();
            found.residual |= part == 0 && residual(rest).is_some();
            found.sampler |= rest.starts_with("op.") || rest.starts_with("conv.");
        }
        Self { down: places(down), up: places(up) }
    }

    /// diffusers' name of a key without its prefix; none for a key that is none of the network's.
    pub fn name(&self, key: &str) -> Option<String> {
        for (from, to) in FIXED {
            if let Some(rest) = key.strip_prefix(from) {
                return Some(format!("{to}{rest}"));
            }
        }
        if let Some(rest) = key.strip_prefix("middle_block.") {
            let (part, rest) = rest.split_once('.')?;
            return match part {
                "0" => Some(format!("mid_block.resnets.0.{}", residual(rest)?)),
                "1" => Some(format!("mid_block.attentions.0.{rest}")),
                "2" => Some(format!("mid_block.resnets.1.{}", residual(rest)?)),
                _ => None,
            };
        }
        let (way, block, part, rest) = parted(key)?;
        let (side, places) = if way == Way::Down { ("down", &self.down) } else { ("up", &self.up) };
        let Place { level, layer } = places.get(&block)?;
        let start = format!("{side}_blocks.{level}");
        if let Some(rest) = rest.strip_prefix("op.").filter(|_| way == Way::Down) {
            return Some(format!("{start}.downsamplers.0.conv.{rest}"));
        }
        if rest.starts_with("conv.") && way == Way::Up {
            return Some(format!("{start}.upsamplers.0.{rest}"));
        }
        match part {
            0 => Some(format!("{start}.resnets.{layer}.{}", residual(rest)?)),
            1 => Some(format!("{start}.attentions.{layer}.{rest}")),
            _ => None,
        }
    }

    /// The blocks with their places on the way down, in order; samplers too.
    pub fn down(&self) -> impl Iterator<Item = (usize, Place)> {
        self.down.iter().map(|(block, place)| (*block, *place))
    }

    /// See [`Self::down`].
    pub fn up(&self) -> impl Iterator<Item = (usize, Place)> {
        self.up.iter().map(|(block, place)| (*block, *place))
    }
}

/// What stands outside the levels.
const FIXED: [(&str, &str); 11] = [
    ("input_blocks.0.0.", "conv_in."),
    ("time_embed.0.", "time_embedding.linear_1."),
    ("time_embed.2.", "time_embedding.linear_2."),
    ("time_embed.cond_proj.", "time_embedding.cond_proj."),
    ("time_embedding.cond_proj.", "time_embedding.cond_proj."),
    ("label_emb.0.0.", "add_embedding.linear_1."),
    ("label_emb.0.2.", "add_embedding.linear_2."),
    ("out.0.", "conv_norm_out."),
    ("out.2.", "conv_out."),
    ("conv_norm_out.", "conv_norm_out."),
    ("conv_out.", "conv_out."),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Down,
    Up,
}

/// `input_blocks.4.1.proj_in.weight` to the way, 4, 1 and the rest.
fn parted(key: &str) -> Option<(Way, usize, usize, &str)> {
    let (way, rest) = match (key.strip_prefix("input_blocks."), key.strip_prefix("output_blocks.")) {
        (Some(rest), _) => (Way::Down, rest),
        (_, Some(rest)) => (Way::Up, rest),
        _ => return None,
    };
    let (block, rest) = rest.split_once('.')?;
    let (part, rest) = rest.split_once('.')?;
    Some((way, block.parse().ok()?, part.parse().ok()?, rest))
}

fn places(blocks: BTreeMap<usize, Block>) -> BTreeMap<usize, Place> {
    let (mut level, mut layer) = (0, 0);
    let mut places = BTreeMap::new();
    for (number, block) in blocks {
        places.insert(number, Place { level, layer });
        layer += usize::from(block.residual);
        if block.sampler {
            (level, layer) = (level + 1, 0);
        }
    }
    places
}

/// diffusers' name within a residual block.
fn residual(rest: &str) -> Option<String> {
    const NAMES: [(&str, &str); 6] = [
        ("in_layers.0.", "norm1."),
        ("in_layers.2.", "conv1."),
        ("emb_layers.1.", "time_emb_proj."),
        ("out_layers.0.", "norm2."),
        ("out_layers.3.", "conv2."),
        ("skip_connection.", "conv_shortcut."),
    ];
    NAMES.iter().find_map(|(from, to)| Some(format!("{to}{}", rest.strip_prefix(from)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys of a network of so many residual blocks a level; `step` blocks are numbered a level, whatever is there.
    fn keys(levels: usize, layers: usize, step: usize) -> Vec<String> {
        let mut keys = vec!["input_blocks.0.0.weight".to_string()];
        for level in 0..levels {
            for layer in 0..layers {
                keys.push(format!("input_blocks.{}.0.in_layers.0.weight", level * step + layer + 1));
                keys.push(format!("input_blocks.{}.1.proj_in.weight", level * step + layer + 1));
            }
            if level + 1 < levels {
                keys.push(format!("input_blocks.{}.0.op.weight", (level + 1) * step));
                keys.push(format!("output_blocks.{}.2.conv.weight", level * step + step - 1));
            }
            for layer in 0..=layers {
                keys.push(format!("output_blocks.{}.0.in_layers.2.weight", level * step + layer));
            }
        }
        keys
    }

    #[test]
    fn levels_end_with_their_samplers() {
        let all = keys(4, 2, 3);
        let walk = Walk::new(all.iter().map(String::as_str));
        for (key, name) in [
            ("input_blocks.0.0.weight", "conv_in.weight"),
            ("input_blocks.1.0.in_layers.0.weight", "down_blocks.0.resnets.0.norm1.weight"),
            ("input_blocks.5.1.proj_in.weight", "down_blocks.1.attentions.1.proj_in.weight"),
            ("input_blocks.9.0.op.weight", "down_blocks.2.downsamplers.0.conv.weight"),
            ("input_blocks.11.0.in_layers.0.weight", "down_blocks.3.resnets.1.norm1.weight"),
            ("output_blocks.2.2.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
            ("output_blocks.3.0.in_layers.2.weight", "up_blocks.1.resnets.0.conv1.weight"),
            ("output_blocks.11.0.in_layers.2.weight", "up_blocks.3.resnets.2.conv1.weight"),
            ("middle_block.2.emb_layers.1.bias", "mid_block.resnets.1.time_emb_proj.bias"),
            ("label_emb.0.2.bias", "add_embedding.linear_2.bias"),
        ] {
            assert_eq!(walk.name(key).as_deref(), Some(name), "{key}");
        }
        assert_eq!(walk.name("input_blocks.40.0.in_layers.0.weight"), None);
    }

    /// Reduced networks keep the numbers of the whole one, with gaps, in the files that diffusers' scripts write.
    #[test]
    fn gaps_in_the_numbers_do_no_harm() {
        let all = keys(3, 1, 3);
        let walk = Walk::new(all.iter().map(String::as_str));
        assert_eq!(walk.name("input_blocks.7.1.norm.bias").as_deref(), Some("down_blocks.2.attentions.0.norm.bias"));
        assert_eq!(
            walk.name("output_blocks.4.0.in_layers.2.bias").as_deref(),
            Some("up_blocks.1.resnets.1.conv1.bias")
        );
        assert_eq!(walk.name("output_blocks.5.2.conv.bias").as_deref(), Some("up_blocks.1.upsamplers.0.conv.bias"));
        assert_eq!(
            walk.name("output_blocks.6.0.in_layers.2.bias").as_deref(),
            Some("up_blocks.2.resnets.0.conv1.bias")
        );
    }
}
