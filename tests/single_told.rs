//! What is told of a model in one file from its keys, shapes and markers: the configurations of published sizes, which fit every weight,
//! and the relatives that are not built.

#[allow(dead_code)]
mod ldm;

use std::borrow::Cow;

use burn::module::Module;
use burn::tensor::Device;
use fourstep::models::{AutoencoderKl, ClipTextModel, UNet2DConditionModel, parse};
use fourstep::pipeline::{Plan, PlanOptions};
use fourstep::weights::{self, Checkpoint, Files, SingleFile};
use ldm::folder::{PARTS, weights_of};
use ldm::{Layout, Tensor, extra};
use safetensors::Dtype;
use serde_json::{Value, json};

/// A file of full size: its header, and zeros that take no memory.
struct Sparse {
    header: Vec<u8>,
    size: u64,
}

impl Files for Sparse {
    fn place(&self) -> String {
        "nowhere".to_string()
    }

    fn get(&self, _: &str) -> fourstep::Result<Option<Cow<'_, [u8]>>> {
        Ok(None)
    }

    fn size(&self, path: &str) -> fourstep::Result<Option<u64>> {
        Ok((path == "x.safetensors").then_some(self.size))
    }

    fn range(&self, _: &str, offset: u64, length: usize) -> fourstep::Result<Cow<'_, [u8]>> {
        let mut bytes = vec![0; length];
        let from = (offset as usize).min(self.header.len());
        let held = &self.header[from..self.header.len().min(from + length)];
        bytes[..held.len()].copy_from_slice(held);
        Ok(bytes.into())
    }
}

fn shapes<M: Module>(module: &M) -> Vec<Tensor> {
    let tensor = |(name, shape)| Tensor { name, dtype: Dtype::F16, shape, bytes: Vec::new() };
    weights::paths(module).into_iter().map(tensor).collect()
}

/// A published model by its configurations.
struct Published {
    unet: Value,
    text: Vec<Value>,
    layout: Layout,
    extras: Vec<Tensor>,
    notes: &'static [(&'static str, &'static str)],
}

fn module<M>(config: &Value, make: impl Fn(&[u8]) -> fourstep::Result<M>) -> M {
    make(config.to_string().as_bytes()).unwrap()
}

impl Published {
    fn open(&self) -> fourstep::Result<SingleFile> {
        let device = Device::flex();
        let unet = module(&self.unet, |config| UNet2DConditionModel::new(&parse("unet", config)?, "unet", &device));
        let vae = module(&vae(), |config| AutoencoderKl::new(&parse("vae", config)?, "vae", &device));
        let mut tensors = ldm::unet(shapes(&unet), &self.unet);
        tensors.extend(ldm::vae(shapes(&vae)));
        for (which, text) in self.text.iter().enumerate() {
            let text = shapes(&module(text, |config| ClipTextModel::new(&parse("text", config)?, "text", &device)));
            tensors.extend(match (self.layout, which) {
                (Layout::One, _) => ldm::clip(text, "cond_stage_model.transformer."),
                (Layout::Two, _) => ldm::open_clip(text, "cond_stage_model.model."),
                (Layout::Xl, 0) => ldm::clip(text, "conditioner.embedders.0.transformer."),
                (Layout::Xl, _) => ldm::open_clip(text, "conditioner.embedders.1.model."),
            });
        }
        tensors.extend(self.extras.clone());
        let (header, size) = ldm::header(&tensors, self.notes);
        SingleFile::open(Box::new(Sparse { header, size }), "x.safetensors", None)
    }
}

fn vae() -> Value {
    json!({ "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2 })
}

fn text(width: usize, layers: usize, class: &str) -> Value {
    json!({
        "architectures": [class], "vocab_size": 49408, "hidden_size": width, "intermediate_size": 4 * width, "projection_dim": width,
        "num_hidden_layers": layers, "num_attention_heads": width / 64, "max_position_embeddings": 77,
        "hidden_act": if width == 768 { "quick_gelu" } else { "gelu" },
    })
}

/// Four levels, of which the lowest is plain, as in generations one and two.
fn unet(context: usize, heads: Value) -> Value {
    json!({
        "sample_size": 64, "in_channels": 4, "out_channels": 4, "block_out_channels": [320, 640, 1280, 1280], "layers_per_block": 2,
        "cross_attention_dim": context, "attention_head_dim": heads, "use_linear_projection": context != 768,
        "transformer_layers_per_block": [1, 1, 1, 1],
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    })
}

fn unet_xl() -> Value {
    json!({
        "sample_size": 128, "in_channels": 4, "out_channels": 4, "block_out_channels": [320, 640, 1280], "layers_per_block": 2,
        "cross_attention_dim": 2048, "attention_head_dim": [5, 10, 20], "transformer_layers_per_block": [1, 2, 10],
        "use_linear_projection": true, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    })
}

fn one() -> Published {
    let (unet, text) = (unet(768, json!(8)), vec![text(768, 12, "CLIPTextModel")]);
    Published { unet, text, layout: Layout::One, extras: Vec::new(), notes: &[] }
}

fn two() -> Published {
    let (unet, text) = (unet(1024, json!([5, 10, 20, 20])), vec![text(1024, 24, "CLIPTextModel")]);
    Published { unet, text, layout: Layout::Two, extras: Vec::new(), notes: &[] }
}

fn xl() -> Published {
    let text = vec![text(768, 12, "CLIPTextModel"), text(1280, 32, "CLIPTextModelWithProjection")];
    Published { unet: unet_xl(), text, layout: Layout::Xl, extras: Vec::new(), notes: &[] }
}

/// What is inferred of a published model is its configuration, the file has every weight that it asks for and no other, and the plan of the
/// whole can be made.
fn assert_inferred(name: &str, published: &Published, words: &str, scheduler: Value) {
    let single = published.open().unwrap();
    assert!(single.summary().starts_with(words), "{name}: {}", single.summary());
    let read = |path: &str| -> Value { serde_json::from_slice(&single.read(path).unwrap()).unwrap() };
    let assert_holds = |path: &str, expected: &Value| {
        let found = read(path);
        for (key, value) in expected.as_object().unwrap().iter().filter(|(key, _)| *key != "sample_size") {
            assert_eq!(&found[key], value, "{name}: {path}, {key}");
        }
    };
    assert_holds("unet/config.json", &published.unet);
    assert_holds("vae/config.json", &vae());
    assert_holds("scheduler/scheduler_config.json", &scheduler);
    for (which, text) in published.text.iter().enumerate() {
        let mut expected = text.clone();
        if published.layout == Layout::Two {
            expected["num_hidden_layers"] = json!(23);
        }
        assert_holds(["text_encoder/config.json", "text_encoder_2/config.json"][which], &expected);
    }
    let device = Device::flex();
    let checkpoint = |part: &str| Checkpoint::open(&single, &weights_of(part)).unwrap();
    let unet = module(&read("unet/config.json"), |c| UNet2DConditionModel::new(&parse("unet", c)?, "unet", &device));
    weights::check(&unet, &checkpoint("unet")).unwrap();
    let vae = module(&read("vae/config.json"), |c| AutoencoderKl::new(&parse("vae", c)?, "vae", &device));
    weights::check(&vae, &checkpoint("vae")).unwrap();
    for part in PARTS.into_iter().skip(2).take(published.text.len()) {
        let config = read(&format!("{part}/config.json"));
        let text = module(&config, |c| ClipTextModel::new(&parse("text", c)?, "text", &device));
        weights::check(&text, &checkpoint(part)).unwrap();
    }
    let plan = Plan::read(&single, &PlanOptions::default()).unwrap();
    println!(
        "{name}: {}; {} x {}, {:.1} MB of weights",
        single.summary(),
        plan.width,
        plan.height,
        plan.download as f64 / 1e6
    );
}

#[test]
fn published_models_are_told_from_keys_and_shapes() {
    let epsilon = |class: &str| json!({ "_class_name": class, "prediction_type": "epsilon" });
    let velocity = |class: &str| json!({ "_class_name": class, "prediction_type": "v_prediction" });
    assert_inferred("1.5", &one(), "Stable Diffusion 1.x, predicts the noise", epsilon("PNDMScheduler"));
    let mut inpainting = one();
    inpainting.unet["in_channels"] = json!(9);
    assert_inferred("inpainting", &inpainting, "Stable Diffusion 1.x for inpainting", epsilon("PNDMScheduler"));
    let mut lcm = one();
    lcm.unet["time_cond_proj_dim"] = json!(256);
    assert_inferred("LCM", &lcm, "a latent consistency model", epsilon("LCMScheduler"));
    let mut reduced = one();
    reduced.unet["layers_per_block"] = json!(1);
    assert_inferred("BK-SDM-Base", &reduced, "Stable Diffusion 1.x,", epsilon("PNDMScheduler"));

    // Without a middle, and with three levels only.
    let (down, up) = (["CrossAttnDownBlock2D"; 3], ["CrossAttnUpBlock2D"; 3]);
    for (key, value) in [
        ("mid_block_type", Value::Null),
        ("block_out_channels", json!([320, 640, 1280])),
        ("transformer_layers_per_block", json!([1, 1, 1])),
        ("down_block_types", json!(down)),
        ("up_block_types", json!(up)),
    ] {
        reduced.unet[key] = value;
    }
    assert_inferred("BK-SDM-Tiny", &reduced, "Stable Diffusion 1.x,", epsilon("PNDMScheduler"));

    // Without a marker, the spread of a bias in the weights tells: zeros have none.
    assert_inferred("2 base", &two(), "Stable Diffusion 2.x, predicts the noise", epsilon("PNDMScheduler"));
    let marked = Published { extras: vec![extra("v_pred", &[0])], ..two() };
    assert_inferred("2, 768", &marked, "Stable Diffusion 2.x, predicts the velocity", velocity("DDIMScheduler"));
    let noted = Published { notes: &[("modelspec.prediction_type", "v")], ..two() };
    assert_inferred("2, noted", &noted, "Stable Diffusion 2.x, predicts the velocity", velocity("DDIMScheduler"));

    assert_inferred("XL", &xl(), "Stable Diffusion XL, predicts the noise", epsilon("EulerDiscreteScheduler"));
    let marked = Published { extras: vec![extra("v_pred", &[]), extra("ztsnr", &[])], ..xl() };
    let mut zero_snr = velocity("EulerDiscreteScheduler");
    (zero_snr["rescale_betas_zero_snr"], zero_snr["timestep_spacing"]) = (json!(true), json!("trailing"));
    assert_inferred("XL, v", &marked, "Stable Diffusion XL, predicts the velocity", zero_snr);
    let mut reduced = xl();
    for (key, value) in [
        ("mid_block_type", json!("UNetMidBlock2D")),
        ("transformer_layers_per_block", json!([[1, 1], [2, 2], [4, 4]])),
        ("reverse_transformer_layers_per_block", json!([[4, 4, 10], [2, 1, 1], [1, 1, 1]])),
    ] {
        reduced.unet[key] = value;
    }
    assert_inferred("SSD-1B", &reduced, "Stable Diffusion XL, predicts the noise", epsilon("EulerDiscreteScheduler"));
}

#[test]
fn relatives_that_are_not_built_are_named() {
    let mut depth = two();
    depth.unet["in_channels"] = json!(5);
    let mut pictures = one();
    pictures.unet["in_channels"] = json!(8);
    let playground = Published { extras: vec![extra("edm_mean", &[4])], ..xl() };
    for (published, words) in [(depth, "depth"), (pictures, "InstructPix2Pix"), (playground, "Playground")] {
        let error = published.open().err().unwrap().to_string();
        assert!(error.contains(words) && error.contains("x.safetensors"), "{error}");
    }
}
