//! Models in one file: golden pipelines written in the original layout and as GGUF are read back with weights equal to the last bit,
//! and draw what their folders draw; configurations of the published sizes are told from keys and shapes alone.
//!
//! `FOURSTEP_REFERENCE=DIR cargo test --release --test single -- --ignored` compares the files in DIR/single with the folders in DIR/pipelines.

mod ldm;

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::module::Module;
use burn::tensor::Device;
use fourstep::kernels::{BlockFormat, Blocks};
use fourstep::models::{AutoencoderKl, ClipTextModel, UNet2DConditionModel, parse};
use fourstep::picture::Picture;
use fourstep::pipeline::{Pipeline, Plan, PlanOptions, StepEvent};
use fourstep::weights::{self, Checkpoint, DirFiles, Files, MemoryFiles, SingleFile};
use ldm::{Layout, Tensor, extra};
use safetensors::Dtype;
use serde_json::{Value, json};

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";
const PARTS: [&str; 4] = ["unet", "vae", "text_encoder", "text_encoder_2"];

/// A golden pipeline's folder with the vocabulary that its set shares.
struct Golden {
    pipeline: DirFiles,
    tokenizer: DirFiles,
}

fn golden(set: &str, name: &str) -> Golden {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(set);
    at(&root, name)
}

fn at(root: &Path, name: &str) -> Golden {
    let pipeline = DirFiles::new(root.join("pipelines").join(name));
    Golden { pipeline, tokenizer: DirFiles::new(root.join("tokenizer")) }
}

impl Golden {
    fn home<'p>(&self, path: &'p str) -> fourstep::Result<(&DirFiles, &'p str)> {
        let shared = ["vocab.json", "merges.txt"].into_iter().find(|name| path.ends_with(name));
        Ok(match (self.pipeline.size(path)?, shared) {
            (None, Some(name)) => (&self.tokenizer, name),
            _ => (&self.pipeline, path),
        })
    }
}

impl Files for Golden {
    fn place(&self) -> String {
        self.pipeline.place()
    }

    fn get(&self, path: &str) -> fourstep::Result<Option<Cow<'_, [u8]>>> {
        let (folder, path) = self.home(path)?;
        folder.get(path)
    }

    fn size(&self, path: &str) -> fourstep::Result<Option<u64>> {
        let (folder, path) = self.home(path)?;
        folder.size(path)
    }

    fn range(&self, path: &str, offset: u64, length: usize) -> fourstep::Result<Cow<'_, [u8]>> {
        let (folder, path) = self.home(path)?;
        folder.range(path, offset, length)
    }
}

/// The configurations of a folder, and nothing of its weights.
fn configurations(files: &impl Files) -> MemoryFiles {
    let mut small = MemoryFiles::default();
    let names = ["config.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"];
    let in_folders = [&PARTS[..], &["tokenizer", "tokenizer_2"]].concat();
    let inner = in_folders.iter().flat_map(|folder| names.map(|name| format!("{folder}/{name}")));
    for path in inner.chain(["model_index.json".into(), "scheduler/scheduler_config.json".into()]) {
        if let Some(bytes) = files.get(&path).unwrap() {
            small.insert(path, bytes.into_owned());
        }
    }
    small
}

fn opened(name: &str, file: Vec<u8>, config: Option<MemoryFiles>) -> fourstep::Result<SingleFile> {
    let mut files = MemoryFiles::default();
    files.insert(name, file);
    SingleFile::open(Box::new(files), name, config.map(|config| Box::new(config) as Box<dyn Files>))
}

fn weights_of(part: &str) -> String {
    format!("{part}/{}", if part.starts_with("text") { "model.safetensors" } else { WEIGHTS })
}

/// Every tensor of every part has the same name, shape, type and bytes.
fn assert_same_weights(name: &str, folder: &impl Files, single: &SingleFile) {
    for part in PARTS.into_iter().filter(|part| folder.size(&weights_of(part)).unwrap().is_some()) {
        let (path, mut count) = (weights_of(part), 0);
        let (expected, found) = (Checkpoint::open(folder, &path).unwrap(), Checkpoint::open(single, &path).unwrap());
        assert!(expected.keys().eq(found.keys()), "{name}: keys of {part}");
        for key in expected.keys() {
            assert_eq!(expected.shape(key), found.shape(key), "{name}: {part}, {key}");
            assert_eq!(expected.dtype(key), found.dtype(key), "{name}: {part}, {key}");
            assert!(expected.bytes(key).unwrap() == found.bytes(key).unwrap(), "{name}: {part}, {key}");
            count += 1;
        }
        println!("{name}: {count} tensors of {part}");
    }
}

fn drawn(files: &impl Files) -> Picture {
    let pipeline = Pipeline::load(files, &Device::flex()).unwrap();
    let mut request = pipeline.request("a fox");
    (request.num_inference_steps, request.seed, request.width, request.height) = (2, 3, 64, 64);
    let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
    let (mut pictures, _) = pollster::block_on(pipeline.generate(&request, &mut on_step)).unwrap();
    pictures.remove(0)
}

#[test]
fn every_family_is_read_as_its_folder_is() {
    for (set, name, layout) in [
        ("reference", "sd15", Layout::One),
        ("families", "tiny", Layout::One),
        ("families", "tiny-lcm", Layout::One),
        ("families", "tiny-inpaint", Layout::One),
        ("families", "tiny-2", Layout::Two),
        ("families", "tiny-turbo", Layout::Two),
        ("families", "tiny-xl", Layout::Xl),
        ("families", "tiny-xl-turbo", Layout::Xl),
    ] {
        let folder = golden(set, name);
        let mut tensors = ldm::original(&folder, layout);
        // What the files of model sites also hold.
        for (key, shape) in [("betas", &[10][..]), ("model_ema.decay", &[]), ("model_ema.diffusion_modelconv", &[3])] {
            tensors.push(extra(key, shape));
        }
        let single = opened("x.safetensors", ldm::safetensors(&tensors), Some(configurations(&folder))).unwrap();
        assert_same_weights(name, &folder, &single);
        assert!(single.notes().iter().any(|note| note.contains("2 running averages")), "{:?}", single.notes());
        if name != "tiny-inpaint" {
            assert!(drawn(&single) == drawn(&folder), "{name}: the picture");
        }
    }
}

/// The last of OpenCLIP's layers is not read: Stable Diffusion 2 takes what goes into it.
#[test]
fn the_layer_that_generation_two_does_not_read_is_left_out() {
    let folder = golden("families", "tiny-2");
    let mut tensors = ldm::original(&folder, Layout::Two);
    let start = "cond_stage_model.model.transformer.resblocks.";
    let last: Vec<Tensor> =
        tensors.iter().filter(|tensor| tensor.name.starts_with(&format!("{start}2."))).cloned().collect();
    tensors.extend(last.into_iter().map(|tensor| {
        let name = tensor.name.replace(".2.", ".3.");
        Tensor { name, ..tensor }
    }));
    tensors.push(extra("cond_stage_model.model.text_projection", &[12, 12]));
    tensors.push(extra("cond_stage_model.model.logit_scale", &[]));
    let single = opened("x.safetensors", ldm::safetensors(&tensors), Some(configurations(&folder))).unwrap();
    assert_same_weights("tiny-2", &folder, &single);
}

/// Ours are ggml's blocks: what fits into them stays, everything else is f16 as in the folder.
#[test]
fn a_gguf_file_holds_the_blocks_that_we_would_make() {
    let folder = golden("reference", "sd15");
    for (code, format) in [(8, BlockFormat::Q8_0), (2, BlockFormat::Q4_0)] {
        let tensors = ldm::original(&folder, Layout::One);
        let tensors: Vec<(Tensor, u32)> = tensors.into_iter().map(|tensor| in_blocks(tensor, code, format)).collect();
        let count = tensors.iter().filter(|(_, found)| *found == code).count();
        assert!(count > 70, "{count}");
        let single = opened("x.gguf", ldm::gguf(&tensors), Some(configurations(&folder))).unwrap();
        assert!(single.notes()[0].contains(&format!("{count} tensor(s)")), "{:?}", single.notes());
        let mut kept = 0;
        for part in ["unet", "vae", "text_encoder"] {
            let path = weights_of(part);
            let (expected, found) =
                (Checkpoint::open(&folder, &path).unwrap(), Checkpoint::open(&single, &path).unwrap());
            for key in expected.keys() {
                let floats: Vec<f32> = expected.f32(key).unwrap().iter().collect();
                match found.dtype(key).unwrap() {
                    Dtype::F16 => assert!(found.bytes(key).unwrap() == expected.bytes(key).unwrap(), "{key}"),
                    _ => {
                        let blocks = Blocks::quantize(format, expected.shape(key).unwrap(), &floats).unwrap();
                        let scales: Vec<u8> = blocks.scales().iter().flat_map(|scale| scale.to_le_bytes()).collect();
                        assert!(*found.bytes(key).unwrap() == *blocks.codes(), "{key}");
                        assert!(*found.bytes(&format!("{key}.scale")).unwrap() == *scales, "{key}");
                        kept += 1;
                    }
                }
            }
        }
        assert_eq!(kept, count);
        let apart = psnr(&drawn(&single), &drawn(&folder));
        println!("{format:?}: {apart:.1} dB from the folder's picture");
        assert!(apart > if code == 8 { 35.0 } else { 18.0 }, "{apart}");
    }
}

/// As stable-diffusion.cpp's converter decides: matrices whose rows divide by 32, but for tables of embeddings.
fn in_blocks(mut tensor: Tensor, code: u32, format: BlockFormat) -> (Tensor, u32) {
    if tensor.shape.len() != 2 || !tensor.shape[1].is_multiple_of(32) || tensor.name.contains("embed") {
        return (tensor, 1);
    }
    let half = |b: &[u8]| half::f16::from_le_bytes([b[0], b[1]]).to_f32();
    let values: Vec<f32> = tensor.bytes.chunks_exact(2).map(half).collect();
    let blocks = Blocks::quantize(format, &tensor.shape, &values).unwrap();
    let codes = blocks.codes().chunks_exact(format.code_bytes());
    tensor.bytes =
        blocks.scales().iter().zip(codes).flat_map(|(d, codes)| [&d.to_le_bytes(), codes].concat()).collect();
    (tensor, code)
}

fn psnr(a: &Picture, b: &Picture) -> f64 {
    let square: f64 = a.rgb.iter().zip(&b.rgb).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.rgb.len() as f64 / square.max(1e-9)).log10()
}

/// ComfyUI's files of a UNet alone have bare keys, and flattened convolutions with their shapes in notes.
#[test]
fn a_unet_alone_takes_everything_else_from_the_folder() {
    let folder = golden("families", "tiny");
    let config: Value = serde_json::from_slice(&folder.read("unet/config.json").unwrap()).unwrap();
    let mut tensors = ldm::unet(ldm::tensors(&folder, &weights_of("unet")), &config);
    for tensor in &mut tensors {
        tensor.name = tensor.name.trim_start_matches("model.diffusion_model.").to_string();
    }
    let file = ldm::safetensors(&tensors);
    let mut files = MemoryFiles::default();
    files.insert("x.safetensors", file.clone());
    let single =
        SingleFile::open(Box::new(files), "x.safetensors", Some(Box::new(golden("families", "tiny")))).unwrap();
    assert_eq!(single.notes().len(), 2, "{:?}", single.notes());
    assert_same_weights("tiny", &folder, &single);
    assert!(drawn(&single) == drawn(&folder));
    let error = opened("x.safetensors", file, Some(configurations(&folder))).err().unwrap().to_string();
    assert!(error.contains("has no autoencoder") && error.contains("--config"), "{error}");
}

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
    assert_inferred("1.5", &one(), "Stable Diffusion 1, predicts the noise", epsilon("PNDMScheduler"));
    let mut inpainting = one();
    inpainting.unet["in_channels"] = json!(9);
    assert_inferred("inpainting", &inpainting, "Stable Diffusion 1 for inpainting", epsilon("PNDMScheduler"));
    let mut lcm = one();
    lcm.unet["time_cond_proj_dim"] = json!(256);
    assert_inferred("LCM", &lcm, "a latent consistency model", epsilon("LCMScheduler"));
    let mut reduced = one();
    reduced.unet["layers_per_block"] = json!(1);
    assert_inferred("BK-SDM-Base", &reduced, "Stable Diffusion 1,", epsilon("PNDMScheduler"));

    // Without a marker, the spread of a bias in the weights tells: zeros have none.
    assert_inferred("2 base", &two(), "Stable Diffusion 2, predicts the noise", epsilon("PNDMScheduler"));
    let marked = Published { extras: vec![extra("v_pred", &[0])], ..two() };
    assert_inferred("2, 768", &marked, "Stable Diffusion 2, predicts the velocity", velocity("DDIMScheduler"));
    let noted = Published { notes: &[("modelspec.prediction_type", "v")], ..two() };
    assert_inferred("2, noted", &noted, "Stable Diffusion 2, predicts the velocity", velocity("DDIMScheduler"));

    assert_inferred("XL", &xl(), "Stable Diffusion XL, predicts the noise", epsilon("EulerDiscreteScheduler"));
    let marked = Published { extras: vec![extra("v_pred", &[]), extra("ztsnr", &[])], ..xl() };
    let mut zero_snr = velocity("EulerDiscreteScheduler");
    (zero_snr["rescale_betas_zero_snr"], zero_snr["timestep_spacing"]) = (json!(true), json!("trailing"));
    assert_inferred("XL, v", &marked, "Stable Diffusion XL, predicts the velocity", zero_snr);
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

fn fourstep(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fourstep")).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The small pipeline as one file on disk, beside its folder without the weights.
fn on_disk() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = golden("reference", "sd15");
    let place = tempfile::tempdir().unwrap();
    let (file, config) = (place.path().join("fox.safetensors"), place.path().join("config"));
    std::fs::write(&file, ldm::safetensors(&ldm::original(&folder, Layout::One))).unwrap();
    // The vocabulary is the program's own.
    for path in [
        "model_index.json",
        "unet/config.json",
        "vae/config.json",
        "text_encoder/config.json",
        "scheduler/scheduler_config.json",
    ] {
        std::fs::create_dir_all(config.join(path).parent().unwrap()).unwrap();
        std::fs::write(config.join(path), folder.read(path).unwrap()).unwrap();
    }
    (place, file, config)
}

#[test]
fn the_command_line_draws_plans_exports_and_packs_a_file() {
    let (place, file, config) = on_disk();
    let (file, config) = (file.to_str().unwrap(), config.to_str().unwrap());
    let path = |name: &str| place.path().join(name).display().to_string();
    let draw = |model: &[&str], out: &str| {
        let settings = [
            "generate",
            "a fox",
            "--steps",
            "2",
            "--width",
            "64",
            "--height",
            "64",
            "--no-settings",
            "--out",
            out,
            "--model",
        ];
        let output = fourstep(&[&settings, model].concat());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        (std::fs::read(out).unwrap(), said(&output))
    };
    let (picture, told) = draw(&[file, "--config", config], &path("a.png"));
    assert!(told.contains("fox.safetensors: Stable Diffusion 1, predicts the noise"), "{told}");
    let output = fourstep(&["plan", file, "--config", config]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for (command, more) in [("export", &[][..]), ("pack", &["--licence", "none"])] {
        let out = path(command);
        let output = fourstep(&[&[command, file, "--config", config, "--out", &out], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(draw(&[&out], &path("b.png")).0 == picture, "{command}");
    }
}

#[test]
fn what_is_no_checkpoint_is_refused_in_one_line() {
    let (place, file, config) = on_disk();
    let (file, config) = (file.to_str().unwrap(), config.to_str().unwrap());
    let whole = std::fs::read(file).unwrap();
    let keyed = |keys: &[&str]| ldm::safetensors(&keys.iter().map(|key| extra(key, &[2])).collect::<Vec<_>>());
    let without = |start: &str| {
        let tensors = ldm::original(&golden("reference", "sd15"), Layout::One);
        ldm::safetensors(&tensors.into_iter().filter(|tensor| !tensor.name.starts_with(start)).collect::<Vec<_>>())
    };
    let start = "model.diffusion_model.";
    let cases: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("x.ckpt", b"PK\x03\x04rest".to_vec(), &["PyTorch", "torch.load(\"x.ckpt\"", "x.safetensors"]),
        ("x.pt", b"\x80\x02}q\x00".to_vec(), &["PyTorch", "weights_only=True"]),
        ("lora.safetensors", keyed(&["lora_unet_conv_in.lora_down.weight", "lora_te_x.alpha"]), &["LoRA", "--lora"]),
        ("flux.safetensors", keyed(&[&format!("{start}double_blocks.0.img_attn.qkv.weight")]), &["Flux"]),
        (
            "sd3.safetensors",
            keyed(&[&format!("{start}joint_blocks.0.x_block.attn.qkv.weight")]),
            &["Stable Diffusion 3"],
        ),
        ("unet.safetensors", keyed(&["conv_in.weight", "down_blocks.0.resnets.0.norm1.bias"]), &["model_index.json"]),
        ("cut.safetensors", whole[..whole.len() - 9].to_vec(), &["truncated"]),
        ("page.safetensors", b"<!DOCTYPE html><html><body>Log in</body></html>".to_vec(), &["a web page"]),
        ("page.gguf", b"<html><body>Log in</body></html>".to_vec(), &["a web page"]),
        ("none.safetensors", keyed(&["something.weight", "else.bias"]), &["else, something"]),
        ("blind.safetensors", without("first_stage_model."), &["no autoencoder", "first_stage_model.*", "--config"]),
        ("part.safetensors", without("first_stage_model.decoder.up.1."), &["vae/", "up_blocks.2", "is missing"]),
        ("mute.safetensors", without("cond_stage_model."), &["no text encoder", "--config"]),
        (
            "dumb.safetensors",
            without(&format!("{start}middle_block.1.norm")),
            &["mid_block.attentions.0.norm", "is missing"],
        ),
    ];
    for (name, bytes, words) in cases {
        let path = place.path().join(name).display().to_string();
        std::fs::write(&path, bytes).unwrap();
        let out = place.path().join("never.png");
        let output =
            fourstep(&["generate", "a fox", "--model", &path, "--config", config, "--out", out.to_str().unwrap()]);
        let told = said(&output);
        let last = told.lines().last().unwrap_or_default();
        assert_eq!((output.status.code(), out.exists()), (Some(2), false), "{name}: {told}");
        let (errors, notes): (Vec<_>, Vec<_>) = told.lines().partition(|line| line.starts_with("fourstep: "));
        assert!(errors.len() == 1 && notes.iter().all(|note| note.starts_with("note: ")), "{name}: {told}");
        assert!(last.contains(name) && words.iter().all(|word| last.contains(word)), "{name}: {last}");
    }
    let lora =
        fourstep(&["generate", "a fox", "--lora", file, "--out", &place.path().join("x.png").display().to_string()]);
    assert!(said(&lora).contains("--model") && said(&lora).lines().count() == 1, "{}", said(&lora));
    let narrow =
        fourstep(&["generate", "a fox", "--model", file, "--out", &place.path().join("x.png").display().to_string()]);
    assert!(said(&narrow).contains("give a folder with the model's configurations as --config"), "{}", said(&narrow));
    let folder = fourstep(&["generate", "a fox", "--config", config, "--out", "x.png"]);
    assert!(said(&folder).contains("--config: models/stickers is a folder"), "{}", said(&folder));
}

#[test]
#[ignore = "FOURSTEP_REFERENCE names the folder"]
fn the_reference_files_are_their_folders() {
    let root = PathBuf::from(std::env::var_os("FOURSTEP_REFERENCE").expect("FOURSTEP_REFERENCE=DIR"));
    let single = |name: &str, folder: &str| {
        let files = Box::new(DirFiles::new(root.join("single")));
        let single = SingleFile::open(files, name, Some(Box::new(at(&root, folder)))).unwrap();
        println!("{name}: {}, {:?}", single.summary(), single.notes());
        single
    };
    for (name, folder) in [("sd15.safetensors", "sd15"), ("sdxl-turbo.safetensors", "sdxl-turbo")] {
        let (single, folder) = (single(name, folder), at(&root, folder));
        assert_same_weights(name, &folder, &single);
        assert!(drawn(&single) == drawn(&folder), "{name}: the picture");
    }
    let (gguf, folder) = (single("sd15-q8_0.gguf", "sd15"), at(&root, "sd15"));
    let mut equal = [0, 0];
    for part in ["unet", "vae", "text_encoder"] {
        let path = weights_of(part);
        let (expected, found) = (Checkpoint::open(&folder, &path).unwrap(), Checkpoint::open(&gguf, &path).unwrap());
        for key in expected.keys() {
            if found.dtype(key) == Some(Dtype::F16) {
                assert!(found.bytes(key).unwrap() == expected.bytes(key).unwrap(), "{key}");
                equal[0] += 1;
                continue;
            }
            let values: Vec<f32> = expected.f32(key).unwrap().iter().collect();
            let blocks = Blocks::quantize(BlockFormat::Q8_0, expected.shape(key).unwrap(), &values).unwrap();
            assert!(*found.bytes(key).unwrap() == *blocks.codes(), "{key}");
            equal[1] += 1;
        }
    }
    let apart = psnr(&drawn(&gguf), &drawn(&folder));
    println!("sd15-q8_0.gguf: {} tensors as in the folder, {} the blocks of it; {apart:.1} dB", equal[0], equal[1]);
    assert!(equal[1] > 70 && apart > 35.0);
}
