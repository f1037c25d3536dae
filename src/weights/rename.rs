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
    name
}

/// Buffers that old transformers versions saved beside the weights.
pub fn is_buffer(key: &str) -> bool {
    key.ends_with("embeddings.position_ids")
}
