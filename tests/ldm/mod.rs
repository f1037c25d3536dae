//! A diffusers folder's weights under the keys of the original code, in one file: the other way round than the reader under test goes, and
//! written apart from it, after the naming of CompVis' and Stability's repositories.

pub mod folder;

use std::collections::BTreeMap;

use fourstep::weights::{Checkpoint, Files};
use safetensors::Dtype;
use serde_json::{Map, Value, json};

/// A tensor; `bytes` may be empty where only shapes matter.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// How the text encoders' keys are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// CLIP's.
    One,
    /// OpenCLIP's.
    Two,
    /// Both.
    Xl,
}

/// The component's tensors under the folder's own names.
pub fn tensors(files: &dyn Files, path: &str) -> Vec<Tensor> {
    let checkpoint = Checkpoint::open(files, path).unwrap();
    let tensor = |name: &str| Tensor {
        name: name.to_string(),
        dtype: checkpoint.dtype(name).unwrap(),
        shape: checkpoint.shape(name).unwrap().to_vec(),
        bytes: checkpoint.bytes(name).unwrap().into_owned(),
    };
    checkpoint.keys().map(tensor).collect()
}

/// A whole folder as the tensors of one file.
pub fn original(files: &dyn Files, layout: Layout) -> Vec<Tensor> {
    const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
    let config: Value = serde_json::from_slice(&files.read("unet/config.json").unwrap()).unwrap();
    let mut all = unet(tensors(files, &format!("unet/{WEIGHTS}")), &config);
    all.extend(vae(tensors(files, &format!("vae/{WEIGHTS}"))));
    let first = tensors(files, "text_encoder/model.safetensors");
    match layout {
        Layout::One => all.extend(clip(first, "cond_stage_model.transformer.")),
        Layout::Two => all.extend(open_clip(first, "cond_stage_model.model.")),
        Layout::Xl => {
            all.extend(clip(first, "conditioner.embedders.0.transformer."));
            let second = tensors(files, "text_encoder_2/model.safetensors");
            all.extend(open_clip(second, "conditioner.embedders.1.model."));
        }
    }
    all
}

/// `unet/` of this configuration.
pub fn unet(tensors: Vec<Tensor>, config: &Value) -> Vec<Tensor> {
    let layers = config["layers_per_block"].as_u64().unwrap_or(2) as usize;
    let cross: Vec<bool> =
        config["up_block_types"].as_array().unwrap().iter().map(|name| name == "CrossAttnUpBlock2D").collect();
    let rename = |name: &str| -> String {
        let (head, rest) = name.split_once('.').unwrap();
        let embedding = || rest.replace("linear_1", "0").replace("linear_2", "2");
        match head {
            "conv_in" => format!("input_blocks.0.0.{rest}"),
            "time_embedding" => format!("time_embed.{}", embedding()),
            "add_embedding" => format!("label_emb.0.{}", embedding()),
            "conv_norm_out" => format!("out.0.{rest}"),
            "conv_out" => format!("out.2.{rest}"),
            "mid_block" => match rest.split('.').take(2).collect::<Vec<_>>()[..] {
                ["attentions", _] => format!("middle_block.1.{}", after(rest, 2)),
                [_, "0"] => format!("middle_block.0.{}", residual(after(rest, 2))),
                _ => format!("middle_block.2.{}", residual(after(rest, 2))),
            },
            _ => {
                let parts: Vec<&str> = rest.split('.').collect();
                let (level, layer): (usize, usize) = (parts[0].parse().unwrap(), parts[2].parse().unwrap());
                let inner = after(rest, 3);
                let block = (layers + 1) * level + layer;
                match (head, parts[1]) {
                    ("down_blocks", "resnets") => format!("input_blocks.{}.0.{}", block + 1, residual(inner)),
                    ("down_blocks", "attentions") => format!("input_blocks.{}.1.{inner}", block + 1),
                    ("down_blocks", _) => {
                        format!(
                            "input_blocks.{}.0.op.{}",
                            (layers + 1) * (level + 1),
                            inner.trim_start_matches("conv.")
                        )
                    }
                    (_, "resnets") => format!("output_blocks.{block}.0.{}", residual(inner)),
                    (_, "attentions") => format!("output_blocks.{block}.1.{inner}"),
                    _ => format!("output_blocks.{}.{}.{inner}", block + layers, 1 + usize::from(cross[level])),
                }
            }
        }
    };
    renamed(tensors, |name| format!("model.diffusion_model.{}", rename(name)))
}

/// `vae/`: the attention's matrices are convolutions of one pixel there, and the decoder's levels are counted the other way.
pub fn vae(tensors: Vec<Tensor>) -> Vec<Tensor> {
    let level = |name: &str| name.strip_prefix("decoder.up_blocks.")?.split('.').next()?.parse::<usize>().ok();
    let levels = tensors.iter().filter_map(|tensor| level(&tensor.name)).max().unwrap() + 1;
    let rename = |name: &str| {
        let mut name = name.to_string();
        if let Some(of) = level(&name) {
            name = name.replace(&format!("up_blocks.{of}."), &format!("up.{}.", levels - 1 - of));
        }
        for (from, to) in [
            ("down_blocks.", "down."),
            (".resnets.", ".block."),
            (".downsamplers.0.", ".downsample."),
            (".upsamplers.0.", ".upsample."),
            ("mid_block.block.0.", "mid.block_1."),
            ("mid_block.block.1.", "mid.block_2."),
            ("mid_block.attentions.0.group_norm", "mid.attn_1.norm"),
            ("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"),
            ("mid_block.attentions.0.to_", "mid.attn_1."),
            ("conv_norm_out", "norm_out"),
            ("conv_shortcut", "nin_shortcut"),
        ] {
            name = name.replace(from, to);
        }
        format!("first_stage_model.{name}")
    };
    let mut all = renamed(tensors, rename);
    for tensor in all.iter_mut().filter(|tensor| tensor.name.contains("attn_1") && tensor.shape.len() == 2) {
        tensor.shape.extend([1, 1]);
    }
    all
}

/// A text encoder with CLIP's own keys.
pub fn clip(tensors: Vec<Tensor>, prefix: &str) -> Vec<Tensor> {
    renamed(tensors, |name| format!("{prefix}{name}"))
}

/// A text encoder with OpenCLIP's keys: query, key and value in one, the projection turned.
pub fn open_clip(tensors: Vec<Tensor>, prefix: &str) -> Vec<Tensor> {
    let (mut all, mut fused) = (Vec::new(), BTreeMap::<(String, String), [Option<Tensor>; 3]>::new());
    for mut tensor in tensors {
        let name = tensor.name.trim_start_matches("text_model.").to_string();
        let layer = name.strip_prefix("encoder.layers.").map(|rest| rest.split_once('.').unwrap());
        let projection = |rest: &str| {
            ["self_attn.q_proj.", "self_attn.k_proj.", "self_attn.v_proj."].iter().position(|p| rest.starts_with(p))
        };
        if let Some((number, rest)) = layer
            && let Some(place) = projection(rest)
        {
            let kind = rest.rsplit('.').next().unwrap();
            fused.entry((number.to_string(), kind.to_string())).or_default()[place] = Some(tensor);
            continue;
        }
        tensor.name = match (layer, name.as_str()) {
            (Some((number, rest)), _) => {
                let mut rest = rest.to_string();
                for (from, to) in [
                    ("layer_norm1", "ln_1"),
                    ("layer_norm2", "ln_2"),
                    ("mlp.fc1", "mlp.c_fc"),
                    ("mlp.fc2", "mlp.c_proj"),
                    ("self_attn.out_proj", "attn.out_proj"),
                ] {
                    rest = rest.replace(from, to);
                }
                format!("transformer.resblocks.{number}.{rest}")
            }
            (_, "embeddings.token_embedding.weight") => "token_embedding.weight".to_string(),
            (_, "embeddings.position_embedding.weight") => "positional_embedding".to_string(),
            (_, "text_projection.weight") => {
                tensor.bytes = turned(&tensor);
                tensor.shape.reverse();
                "text_projection".to_string()
            }
            _ => name.replace("final_layer_norm", "ln_final"),
        };
        tensor.name.insert_str(0, prefix);
        all.push(tensor);
    }
    for ((number, kind), parts) in fused {
        let parts = parts.map(Option::unwrap);
        let mut shape = parts[0].shape.clone();
        shape[0] *= 3;
        let name = format!("{prefix}transformer.resblocks.{number}.attn.in_proj_{kind}");
        let bytes = parts.iter().flat_map(|part| part.bytes.clone()).collect();
        all.push(Tensor { name, dtype: parts[0].dtype, shape, bytes });
    }
    all
}

/// A small tensor beside the weights, such as a marker.
pub fn extra(name: &str, shape: &[usize]) -> Tensor {
    let numbers: usize = shape.iter().product();
    Tensor { name: name.to_string(), dtype: Dtype::F32, shape: shape.to_vec(), bytes: vec![0; 4 * numbers] }
}

/// The header of a safetensors file of these tensors, and the length of the whole.
pub fn header(tensors: &[Tensor], notes: &[(&str, &str)]) -> (Vec<u8>, u64) {
    let notes: Map<String, Value> = notes.iter().map(|(key, value)| (key.to_string(), json!(value))).collect();
    let (mut entries, mut end) = (Map::new(), 0);
    entries.insert("__metadata__".to_string(), Value::Object(notes));
    for tensor in tensors {
        let begin = end;
        end += tensor.shape.iter().product::<usize>() * tensor.dtype.bitsize() / 8;
        let entry = json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [begin, end] });
        assert!(entries.insert(tensor.name.clone(), entry).is_none(), "{} twice", tensor.name);
    }
    let text = Value::Object(entries).to_string().into_bytes();
    let header = [&(text.len() as u64).to_le_bytes(), text.as_slice()].concat();
    let size = (header.len() + end) as u64;
    (header, size)
}

/// The whole file.
pub fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let data = tensors.iter().flat_map(|tensor| tensor.bytes.iter().copied());
    header(tensors, &[]).0.into_iter().chain(data).collect()
}

/// A GGUF file: for each tensor its code in ggml and the bytes of its blocks.
pub fn gguf(tensors: &[(Tensor, u32)]) -> Vec<u8> {
    gguf_with_shapes(tensors, &[])
}

/// The same with ComfyUI-GGUF's notes of the shapes that tensors had before they were flattened.
pub fn gguf_with_shapes(tensors: &[(Tensor, u32)], shapes: &[(String, Vec<usize>)]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let mut file = [b"GGUF".as_slice(), &3u32.to_le_bytes()].concat();
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((1 + shapes.len() as u64).to_le_bytes());
    file.extend([text("general.architecture"), 8u32.to_le_bytes().to_vec(), text("sd1")].concat());
    for (name, shape) in shapes {
        file.extend(
            [text(&format!("comfy.gguf.orig_shape.{name}")), [9u32, 5].map(u32::to_le_bytes).concat()].concat(),
        );
        file.extend((shape.len() as u64).to_le_bytes());
        shape.iter().for_each(|length| file.extend((*length as i32).to_le_bytes()));
    }
    let mut data = Vec::new();
    for (tensor, code) in tensors {
        file.extend(text(&tensor.name));
        file.extend((tensor.shape.len() as u32).to_le_bytes());
        tensor.shape.iter().rev().for_each(|length| file.extend((*length as u64).to_le_bytes()));
        file.extend(code.to_le_bytes());
        file.extend((data.len() as u64).to_le_bytes());
        data.extend(&tensor.bytes);
        data.resize(data.len().next_multiple_of(32), 0);
    }
    file.resize(file.len().next_multiple_of(32), 0);
    file.extend(data);
    file
}

fn renamed(mut tensors: Vec<Tensor>, rename: impl Fn(&str) -> String) -> Vec<Tensor> {
    tensors.iter_mut().for_each(|tensor| tensor.name = rename(&tensor.name));
    tensors
}

/// What follows so many parts of a path.
fn after(path: &str, parts: usize) -> &str {
    path.splitn(parts + 1, '.').last().unwrap()
}

fn residual(inner: &str) -> String {
    const NAMES: [(&str, &str); 6] = [
        ("norm1", "in_layers.0"),
        ("conv1", "in_layers.2"),
        ("time_emb_proj", "emb_layers.1"),
        ("norm2", "out_layers.0"),
        ("conv2", "out_layers.3"),
        ("conv_shortcut", "skip_connection"),
    ];
    let (layer, kind) = inner.split_once('.').unwrap();
    format!("{}.{kind}", NAMES.iter().find(|(name, _)| *name == layer).unwrap().1)
}

fn turned(tensor: &Tensor) -> Vec<u8> {
    let (rows, columns, width) = (tensor.shape[0], tensor.shape[1], tensor.dtype.bitsize() / 8);
    let at = |row: usize, column: usize| &tensor.bytes[(row * columns + column) * width..][..width];
    match tensor.bytes.is_empty() {
        true => Vec::new(),
        false => (0..columns).flat_map(|column| (0..rows).flat_map(move |row| at(row, column))).copied().collect(),
    }
}
