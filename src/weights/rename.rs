//! The few checkpoint keys whose names changed over the years, and tensors that carry no weight.

/// The present name of a key.
pub fn present_name(key: &str) -> String {
    let mut name = key.to_string();
    // The KL autoencoder's attention before diffusers 0.18.
    if name.contains("mid_block.attentions.") {
        for (old, new) in
            [(".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."), (".proj_attn.", ".to_out.0.")]
        {
            name = name.replace(old, new);
        }
    }
    // A text encoder's prefix, which transformers leaves out since version 5.
    let in_layer = |part| name.starts_with("encoder.layers.") && name.contains(part);
    let bare = ["embeddings.token_embedding.", "embeddings.position_embedding.", "final_layer_norm."];
    if bare.iter().any(|start| name.starts_with(start))
        || [".self_attn.", ".mlp.", ".layer_norm"].into_iter().any(in_layer)
    {
        name.insert_str(0, "text_model.");
    }
    name
}

/// Buffers that old transformers versions saved beside the weights.
pub fn is_buffer(key: &str) -> bool {
    key.ends_with("embeddings.position_ids")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_encoders_get_their_prefix_back() {
        for key in ["embeddings.token_embedding.weight", "encoder.layers.0.mlp.fc1.bias", "final_layer_norm.bias"] {
            assert_eq!(present_name(key), format!("text_model.{key}"));
        }
        for key in ["text_model.encoder.layers.0.mlp.fc1.bias", "encoder.layers.0.weight", "text_projection.weight"] {
            assert_eq!(present_name(key), key);
        }
    }
}
