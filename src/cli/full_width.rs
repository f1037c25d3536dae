//! `fourstep full-width`: makes a model with random weights in the full size of a real family, to measure its memory
//! without a checkpoint. It draws noise, but takes the memory and time of the real model.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use half::f16;
use safetensors::Dtype;
use serde_json::{Value, json};

use crate::models::{AutoencoderKl, ClipTextModel, UNet2DConditionModel};
use crate::random::{Generator, stream};
use crate::weights::{self, Planned, Wanted, write_sharded};

/// Makes a full-size model with random weights, to measure memory
#[derive(clap::Args)]
pub struct FullWidth {
    /// Family of models
    #[arg(value_enum)]
    family: FamilyName,
    /// A new folder: 2.1 GB for Stable Diffusion 1.5, 6.9 GB for XL
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Folder with CLIP's vocabulary
    #[arg(long, value_name = "DIR", default_value = "tests/golden/reference/tokenizer")]
    tokenizer: PathBuf,
    /// Seed of the random weights
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FamilyName {
    Sd15,
    SdxlTurbo,
}

pub fn run(args: &FullWidth) -> Result<()> {
    let out = &args.out;
    let xl = matches!(args.family, FamilyName::SdxlTurbo);
    let mut tokenizers = vec!["tokenizer"];
    let mut texts = vec![("text_encoder", clip_large())];
    if xl {
        tokenizers.push("tokenizer_2");
        texts.push(("text_encoder_2", clip_big()));
    }
    for tokenizer in tokenizers {
        copy(&args.tokenizer, &out.join(tokenizer))?;
    }
    let device = Device::flex();
    for (folder, config) in texts {
        let module = ClipTextModel::new(&serde_json::from_value(config.clone())?, folder, &device)?;
        write(args, folder, "model.safetensors", &module, &config)?;
    }
    let config = if xl { unet_xl() } else { unet_15() };
    let module = UNet2DConditionModel::new(&serde_json::from_value(config.clone())?, "unet", &device)?;
    write(args, "unet", "diffusion_pytorch_model.safetensors", &module, &config)?;
    let config = vae(if xl { 0.13025 } else { 0.18215 });
    let module = AutoencoderKl::new(&serde_json::from_value(config.clone())?, "vae", &device)?;
    write(args, "vae", "diffusion_pytorch_model.safetensors", &module, &config)?;
    write_json(&out.join("scheduler/scheduler_config.json"), &scheduler(xl))?;
    write_json(&out.join("model_index.json"), &index(xl))?;
    println!("{}", out.display());
    Ok(())
}

fn write<M: Module>(args: &FullWidth, folder: &str, file: &str, module: &M, config: &Value) -> Result<()> {
    let path = args.out.join(folder);
    write_json(&path.join("config.json"), config)?;
    let planned = |wanted: Wanted| Planned { name: wanted.name, dtype: Dtype::F16, shape: wanted.shape };
    let tensors: Vec<Planned> = weights::wanted(module).into_iter().map(planned).collect();
    write_sharded(&path, file, &tensors, u64::MAX, &mut |tensor| Ok(Cow::Owned(values(tensor, args.seed))))?;
    println!("{folder}: {} tensors", tensors.len());
    Ok(())
}

/// Random values that keep activations at their size: norms with scale 1, biases 0, and weights scaled by their inputs.
fn values(tensor: &Planned, seed: u64) -> Vec<u8> {
    let numbers: usize = tensor.shape.iter().product();
    if let [_] = tensor.shape.as_slice() {
        let value = if tensor.name.ends_with(".bias") { 0.0 } else { 1.0 };
        return f16::from_f32(value).to_le_bytes().repeat(numbers);
    }
    let inputs: usize = tensor.shape[1..].iter().product();
    let most = if tensor.name.contains("embedding") { 0.02 } else { (3.0 / inputs as f32).sqrt() };
    let mut state =
        stream(seed, &tensor.name, 0).rand(2).iter().fold(1u64, |state, x| (state << 32) ^ u64::from(x.to_bits()));
    let mut next = || {
        // xorshift64 (Marsaglia, 2003), which is fast: these billions of numbers only have to look like weights.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..numbers).flat_map(|_| f16::from_f32(next() * most).to_le_bytes()).collect()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for name in ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"] {
        let from = from.join(name);
        std::fs::copy(&from, to.join(name)).with_context(|| from.display().to_string())?;
    }
    Ok(())
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    std::fs::create_dir_all(path.parent().expect("a file in a folder")).with_context(|| path.display().to_string())?;
    std::fs::write(path, serde_json::to_string_pretty(value)? + "\n").with_context(|| path.display().to_string())
}

fn index(xl: bool) -> Value {
    let mut index = json!({
        "_class_name": if xl { "StableDiffusionXLPipeline" } else { "StableDiffusionPipeline" },
        "scheduler": ["diffusers", if xl { "EulerAncestralDiscreteScheduler" } else { "DDIMScheduler" }],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    });
    if xl {
        index["text_encoder_2"] = json!(["transformers", "CLIPTextModelWithProjection"]);
        index["tokenizer_2"] = json!(["transformers", "CLIPTokenizer"]);
    }
    index
}

fn scheduler(xl: bool) -> Value {
    let mut config = json!({
        "_class_name": "DDIMScheduler", "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
        "beta_schedule": "scaled_linear", "clip_sample": false, "set_alpha_to_one": false, "steps_offset": 1,
        "prediction_type": "epsilon",
    });
    if xl {
        config["_class_name"] = "EulerAncestralDiscreteScheduler".into();
        config["timestep_spacing"] = "trailing".into();
        for key in ["clip_sample", "set_alpha_to_one"] {
            config.as_object_mut().expect("an object").remove(key);
        }
    }
    config
}

fn clip(hidden: usize, layers: usize, heads: usize, activation: &str, class: &str) -> Value {
    json!({
        "architectures": [class], "vocab_size": 49408, "hidden_size": hidden, "intermediate_size": 4 * hidden,
        "projection_dim": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "max_position_embeddings": 77, "hidden_act": activation, "layer_norm_eps": 1e-5,
    })
}

fn clip_large() -> Value {
    clip(768, 12, 12, "quick_gelu", "CLIPTextModel")
}

fn clip_big() -> Value {
    clip(1280, 32, 20, "gelu", "CLIPTextModelWithProjection")
}

fn unet_15() -> Value {
    json!({
        "_class_name": "UNet2DConditionModel", "sample_size": 64, "in_channels": 4, "out_channels": 4,
        "block_out_channels": [320, 640, 1280, 1280], "layers_per_block": 2, "cross_attention_dim": 768,
        "attention_head_dim": 8, "norm_num_groups": 32,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    })
}

fn unet_xl() -> Value {
    json!({
        "_class_name": "UNet2DConditionModel", "sample_size": 64, "in_channels": 4, "out_channels": 4,
        "block_out_channels": [320, 640, 1280], "layers_per_block": 2, "cross_attention_dim": 2048,
        "attention_head_dim": [5, 10, 20], "transformer_layers_per_block": [1, 2, 10], "use_linear_projection": true,
        "norm_num_groups": 32, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    })
}

fn vae(scaling_factor: f64) -> Value {
    let (down, up) = (["DownEncoderBlock2D"; 4], ["UpDecoderBlock2D"; 4]);
    json!({
        "_class_name": "AutoencoderKL", "in_channels": 3, "out_channels": 3, "latent_channels": 4,
        "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "norm_num_groups": 32,
        "down_block_types": down, "up_block_types": up, "scaling_factor": scaling_factor,
    })
}
