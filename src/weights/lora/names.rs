//! The names of an adapter's tensors: diffusers' and PEFT's (`unet.down_blocks.0.….to_q.lora_A.weight`), kohya's
//! (`lora_unet_down_blocks_0_…_to_q.lora_down.weight`), and kohya's for Stable Diffusion XL, which count the blocks of the
//! original code (`lora_unet_input_blocks_4_1_…`).

/// A network of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Part {
    Unet,
    TextEncoder,
    TextEncoder2,
}

impl Part {
    /// Its folder in the diffusers layout.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Unet => "unet",
            Self::TextEncoder => "text_encoder",
            Self::TextEncoder2 => "text_encoder_2",
        }
    }
}

/// What a tensor is to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `[rank, inputs, …]`.
    Down,
    /// `[outputs, rank, …]`.
    Up,
    /// One number.
    Alpha,
}

const PREFIXES: [(&str, Part); 7] = [
    ("unet.", Part::Unet),
    ("text_encoder.", Part::TextEncoder),
    ("text_encoder_2.", Part::TextEncoder2),
    ("lora_unet_", Part::Unet),
    ("lora_te_", Part::TextEncoder),
    ("lora_te1_", Part::TextEncoder),
    ("lora_te2_", Part::TextEncoder2),
];

const SUFFIXES: [(&str, Role); 10] = [
    (".lora_A.weight", Role::Down),
    (".lora_B.weight", Role::Up),
    (".lora_linear_layer.down.weight", Role::Down),
    (".lora_linear_layer.up.weight", Role::Up),
    (".lora.down.weight", Role::Down),
    (".lora.up.weight", Role::Up),
    (".lora_down.weight", Role::Down),
    (".lora_up.weight", Role::Up),
    // diffusers' first form: …attn1.processor.to_q_lora.down.weight
    ("_lora.down.weight", Role::Down),
    ("_lora.up.weight", Role::Up),
];

/// The network, the layer's path with `_` between its parts, and the role of an adapter's key; or what is wrong.
pub fn understood(key: &str) -> Result<(Part, String, Role), String> {
    let strange = |why: &str| format!("{key} is no tensor of a LoRA adapter: {why}");
    let prefix = PREFIXES.iter().find_map(|(prefix, part)| Some((key.strip_prefix(prefix)?, *part)));
    let (rest, part) = prefix.ok_or_else(|| {
        strange(
            "it begins with none of unet., text_encoder., text_encoder_2., lora_unet_, lora_te_, lora_te1_, lora_te2_",
        )
    })?;
    let suffix = SUFFIXES.iter().find_map(|(suffix, role)| Some((rest.strip_suffix(suffix)?, *role)));
    let alpha = || Some((rest.strip_suffix(".alpha")?, Role::Alpha));
    let (layer, role) = suffix.or_else(alpha).ok_or_else(|| {
        strange("its end is none of lora_A, lora_B, lora.down, lora.up, lora_down, lora_up (.weight) and alpha")
    })?;
    let layer = match layer.split_once(".processor.") {
        Some((attention, "to_out")) => format!("{attention}.to_out.0"),
        Some((attention, projection)) => format!("{attention}.{projection}"),
        None => layer.to_string(),
    };
    let layer = layer.replace('.', "_");
    Ok((part, from_original(&layer).unwrap_or(layer), role))
}

/// Residual blocks of a level on the way down in every Stable Diffusion family; one more on the way up.
const LAYERS: usize = 2;

/// diffusers' path of a block of the original code (`input_blocks_4_1_proj_in` to `down_blocks_1_attentions_0_proj_in`);
/// none for a path that is diffusers' already.
fn from_original(layer: &str) -> Option<String> {
    for (name, to) in [("time_embed_0", "time_embedding_linear_1"), ("time_embed_2", "time_embedding_linear_2")] {
        if layer == name {
            return Some(to.to_string());
        }
    }
    if let Some(rest) = layer.strip_prefix("middle_block_") {
        let (place, rest) = rest.split_once('_')?;
        return match place {
            "0" => Some(format!("mid_block_resnets_0_{}", resnet(rest)?)),
            "1" => Some(format!("mid_block_attentions_0_{rest}")),
            "2" => Some(format!("mid_block_resnets_1_{}", resnet(rest)?)),
            _ => None,
        };
    }
    let (down, rest) = match (layer.strip_prefix("input_blocks_"), layer.strip_prefix("output_blocks_")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        (None, None) => return None,
    };
    let (block, rest) = rest.split_once('_')?;
    let (place, rest) = rest.split_once('_')?;
    let block: usize = block.parse().ok()?;
    if down && block == 0 {
        return Some("conv_in".to_string());
    }
    // The first block of the way down is the first convolution; each level then has its blocks and a downsampler.
    let (index, way) = if down { (block - 1, "down") } else { (block, "up") };
    let (level, within) = (index / (LAYERS + 1), index % (LAYERS + 1));
    match (place, rest) {
        ("0", "op") => Some(format!("{way}_blocks_{level}_downsamplers_0_conv")),
        (_, "conv") => Some(format!("{way}_blocks_{level}_upsamplers_0_conv")),
        ("0", rest) => Some(format!("{way}_blocks_{level}_resnets_{within}_{}", resnet(rest)?)),
        ("1", rest) => Some(format!("{way}_blocks_{level}_attentions_{within}_{rest}")),
        _ => None,
    }
}

fn resnet(layer: &str) -> Option<&'static str> {
    Some(match layer {
        "in_layers_2" => "conv1",
        "emb_layers_1" => "time_emb_proj",
        "out_layers_3" => "conv2",
        "skip_connection" => "conv_shortcut",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(key: &str) -> String {
        understood(key).unwrap().1
    }

    #[test]
    fn every_form_names_its_layer() {
        for key in [
            "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight",
            "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora.down.weight",
            "unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight",
            "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight",
            "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q.lora_down.weight",
        ] {
            let expected = "mid_block_attentions_0_transformer_blocks_0_attn1_to_q".to_string();
            assert_eq!(understood(key), Ok((Part::Unet, expected, Role::Down)), "{key}");
        }
        let key = "lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha";
        let expected = "text_model_encoder_layers_0_mlp_fc1".to_string();
        assert_eq!(understood(key), Ok((Part::TextEncoder2, expected, Role::Alpha)));
        assert_eq!(layer("unet.a.attn2.processor.to_out_lora.up.weight"), "a_attn2_to_out_0");
    }

    /// Blocks of Stable Diffusion XL: three levels of two, the numbers read off its checkpoint's conversion table.
    #[test]
    fn blocks_of_the_original_code_become_levels() {
        let of = |name: &str| layer(&format!("lora_unet_{name}.lora_up.weight"));
        assert_eq!(of("input_blocks_0_0"), "input_blocks_0_0");
        assert_eq!(of("input_blocks_1_0_in_layers_2"), "down_blocks_0_resnets_0_conv1");
        assert_eq!(of("input_blocks_3_0_op"), "down_blocks_0_downsamplers_0_conv");
        assert_eq!(of("input_blocks_4_1_proj_in"), "down_blocks_1_attentions_0_proj_in");
        assert_eq!(of("input_blocks_8_1_proj_out"), "down_blocks_2_attentions_1_proj_out");
        assert_eq!(of("middle_block_2_out_layers_3"), "mid_block_resnets_1_conv2");
        assert_eq!(of("output_blocks_2_1_proj_in"), "up_blocks_0_attentions_2_proj_in");
        assert_eq!(of("output_blocks_2_2_conv"), "up_blocks_0_upsamplers_0_conv");
        assert_eq!(of("output_blocks_8_0_skip_connection"), "up_blocks_2_resnets_2_conv_shortcut");
    }

    #[test]
    fn other_keys_are_refused_by_name() {
        for key in ["conv_in.weight", "unet.conv_in.hada_w1_a", "lora_unet_conv_in.dora_scale"] {
            assert!(understood(key).unwrap_err().starts_with(key), "{key}");
        }
    }
}
