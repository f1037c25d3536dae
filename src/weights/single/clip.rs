//! The text encoders' keys: CLIP's, in transformers' names already, and OpenCLIP's, whose three projections are one.

/// What a key of the file becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// A tensor of this name.
    Whole(String),
    /// Its columns are rows there.
    Turned(String),
    /// Query, key and value, one below the other, for `layer.{q,k,v}_proj.kind`.
    Fused {
        /// The attention's path.
        layer: String,
        /// `weight` or `bias`.
        kind: String,
    },
    /// Nothing that a text encoder reads.
    Nothing,
}

/// From a key without the encoder's prefix: `transformer.text_model.…` or `model.…`. `projected` is for an encoder whose pooled output is
/// projected; None for a key that is none of a text encoder's.
pub(super) fn name(key: &str, projected: bool) -> Option<Text> {
    if matches!(key, "logit_scale" | "text_projection" | "text_projection.weight") {
        return Some(Text::Nothing);
    }
    if let Some(rest) = key.strip_prefix("transformer.") {
        return transformers(rest, projected);
    }
    open_clip(key.strip_prefix("model.")?, projected)
}

/// The layer of a renamed tensor.
pub(super) fn layer(name: &str) -> Option<usize> {
    name.strip_prefix("text_model.encoder.layers.")?.split('.').next()?.parse().ok()
}

fn transformers(key: &str, projected: bool) -> Option<Text> {
    let rest = key.strip_prefix("text_model.").unwrap_or(key);
    Some(match rest {
        "logit_scale" | "embeddings.position_ids" => Text::Nothing,
        // stable-diffusion.cpp keeps OpenCLIP's order of rows and columns under this name.
        "text_projection" if projected => Text::Turned("text_projection.weight".to_string()),
        "text_projection.weight" if projected => Text::Whole("text_projection.weight".to_string()),
        "text_projection" | "text_projection.weight" => Text::Nothing,
        _ => match rest.strip_prefix("encoder.layers.").and_then(fused) {
            Some((number, kind)) => attention(number, kind),
            None if ["embeddings.", "encoder.layers.", "final_layer_norm."].iter().any(|s| rest.starts_with(s)) => {
                Text::Whole(format!("text_model.{rest}"))
            }
            None => return None,
        },
    })
}

fn open_clip(key: &str, projected: bool) -> Option<Text> {
    let whole = |name: &str| Some(Text::Whole(format!("text_model.{name}")));
    match key {
        "positional_embedding" => return whole("embeddings.position_embedding.weight"),
        "token_embedding.weight" => return whole(&format!("embeddings.{key}")),
        "text_projection" if projected => return Some(Text::Turned("text_projection.weight".to_string())),
        "text_projection" | "logit_scale" | "attn_mask" => return Some(Text::Nothing),
        _ => {}
    }
    if let Some(kind) = key.strip_prefix("ln_final.") {
        return whole(&format!("final_layer_norm.{kind}"));
    }
    let rest = key.strip_prefix("transformer.resblocks.")?;
    if let Some((number, kind)) = fused(rest) {
        return Some(attention(number, kind));
    }
    let (number, rest) = rest.split_once('.')?;
    const NAMES: [(&str, &str); 5] = [
        ("ln_1.", "layer_norm1."),
        ("ln_2.", "layer_norm2."),
        ("mlp.c_fc.", "mlp.fc1."),
        ("mlp.c_proj.", "mlp.fc2."),
        ("attn.out_proj.", "self_attn.out_proj."),
    ];
    let inner = NAMES.iter().find_map(|(from, to)| Some(format!("{to}{}", rest.strip_prefix(from)?)))?;
    whole(&format!("encoder.layers.{number}.{inner}"))
}

/// Layer and kind of `3.attn.in_proj_weight`, or of stable-diffusion.cpp's `3.self_attn.in_proj.weight`.
fn fused(rest: &str) -> Option<(&str, &str)> {
    let (number, rest) = rest.split_once('.')?;
    let kind = rest.strip_prefix("attn.in_proj_").or_else(|| rest.strip_prefix("self_attn.in_proj."))?;
    matches!(kind, "weight" | "bias").then_some((number, kind))
}

fn attention(number: &str, kind: &str) -> Text {
    Text::Fused { layer: format!("text_model.encoder.layers.{number}.self_attn"), kind: kind.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_libraries_keys_become_transformers() {
        let whole = |name: &str| Some(Text::Whole(name.to_string()));
        let turned = Some(Text::Turned("text_projection.weight".to_string()));
        let fused = |kind: &str| {
            Some(Text::Fused { layer: "text_model.encoder.layers.7.self_attn".into(), kind: kind.to_string() })
        };
        for (key, expected) in [
            ("transformer.text_model.final_layer_norm.bias", whole("text_model.final_layer_norm.bias")),
            ("transformer.encoder.layers.0.mlp.fc1.bias", whole("text_model.encoder.layers.0.mlp.fc1.bias")),
            ("transformer.text_model.embeddings.position_ids", Some(Text::Nothing)),
            ("transformer.text_model.text_projection", turned.clone()),
            ("transformer.text_model.encoder.layers.7.self_attn.in_proj.bias", fused("bias")),
            ("model.positional_embedding", whole("text_model.embeddings.position_embedding.weight")),
            ("model.transformer.resblocks.7.attn.in_proj_weight", fused("weight")),
            ("model.transformer.resblocks.3.mlp.c_proj.bias", whole("text_model.encoder.layers.3.mlp.fc2.bias")),
            ("model.ln_final.weight", whole("text_model.final_layer_norm.weight")),
            ("model.text_projection", turned),
            ("model.logit_scale", Some(Text::Nothing)),
            ("logit_scale", Some(Text::Nothing)),
            ("model.visual.proj", None),
            ("transformer.vision_model.x", None),
        ] {
            assert_eq!(name(key, true), expected, "{key}");
        }
        assert_eq!(name("model.text_projection", false), Some(Text::Nothing));
        assert_eq!(layer("text_model.encoder.layers.11.mlp.fc1.bias"), Some(11));
    }
}
