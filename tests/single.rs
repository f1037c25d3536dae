//! Models in one file: golden pipelines written in the original layout and as GGUF are read back with weights equal to the last bit,
//! and draw what their folders draw. (`single_told.rs`: what is inferred; `single_cli.rs`: the command line.)
//!
//! `FOURSTEP_REFERENCE=DIR cargo test --release --test single -- --ignored` compares the files in DIR/single with the folders in DIR/pipelines.

#[allow(dead_code)]
mod ldm;

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;

use burn::tensor::Device;
use fourstep::kernels::{BlockFormat, Blocks};
use fourstep::picture::Picture;
use fourstep::pipeline::{Pipeline, StepEvent};
use fourstep::weights::{Checkpoint, DirFiles, Files, MemoryFiles, SingleFile};
use ldm::folder::{PARTS, at, configurations, golden, opened, weights_of};
use ldm::{Layout, Tensor, extra};
use safetensors::Dtype;
use serde_json::Value;

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

/// Files in memory that note the longest range that is read.
struct Watched(MemoryFiles, Rc<Cell<usize>>);

impl Files for Watched {
    fn place(&self) -> String {
        self.0.place()
    }

    fn get(&self, _: &str) -> fourstep::Result<Option<Cow<'_, [u8]>>> {
        panic!("a single file is never read whole")
    }

    fn size(&self, path: &str) -> fourstep::Result<Option<u64>> {
        self.0.size(path)
    }

    fn range(&self, path: &str, offset: u64, length: usize) -> fourstep::Result<Cow<'_, [u8]>> {
        self.1.set(self.1.get().max(length));
        self.0.range(path, offset, length)
    }
}

#[test]
fn a_tensor_at_a_time_is_read() {
    let folder = golden("families", "tiny-xl");
    let tensors = ldm::original(&folder, Layout::Xl);
    let longest = tensors.iter().map(|tensor| tensor.bytes.len()).max().unwrap();
    let (file, config) = (ldm::safetensors(&tensors), Box::new(configurations(&folder)));
    let (header, whole, seen) = (ldm::header(&tensors, &[]).0.len(), file.len(), Rc::new(Cell::new(0)));
    let mut files = MemoryFiles::default();
    files.insert("x.safetensors", file);
    let single = SingleFile::open(Box::new(Watched(files, seen.clone())), "x.safetensors", Some(config)).unwrap();
    assert!(seen.get() <= header);
    seen.set(0);
    Pipeline::load(&single, &Device::flex()).unwrap();
    println!("{whole} bytes, the header {header}; at most {} at once, the longest tensor has {longest}", seen.get());
    assert_eq!(seen.get(), longest);
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

/// ComfyUI-GGUF puts weights of any shape into rows of 256 numbers, and notes their shapes.
#[test]
fn flattened_weights_get_their_shapes_back() {
    let (folder, format) = (golden("reference", "sd15"), BlockFormat::Q8_0);
    let config: Value = serde_json::from_slice(&folder.read("unet/config.json").unwrap()).unwrap();
    let (mut tensors, mut shapes, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    let own = ldm::tensors(&folder, &weights_of("unet"));
    for (tensor, own) in ldm::unet(own.clone(), &config).into_iter().zip(own) {
        let (name, numbers) =
            (tensor.name.trim_start_matches("model.diffusion_model.").to_string(), tensor.bytes.len() / 2);
        let flat = numbers.is_multiple_of(256) && tensor.shape.len() > 1;
        let shape = if flat { vec![numbers / 256, 256] } else { tensor.shape.clone() };
        let tensor = Tensor { name: name.clone(), shape: shape.clone(), ..tensor };
        let (tensor, code) = if flat { in_blocks(tensor, 8, format) } else { (tensor, 1) };
        if flat {
            shapes.push((name, own.shape.clone()));
        }
        if code == 8 {
            let half = |b: &[u8]| half::f16::from_le_bytes([b[0], b[1]]).to_f32();
            let values: Vec<f32> = own.bytes.chunks_exact(2).map(half).collect();
            expected.push((own, Blocks::quantize(format, &shape, &values).unwrap()));
        }
        tensors.push((tensor, code));
    }
    let mut files = MemoryFiles::default();
    files.insert("x.gguf", ldm::gguf_with_shapes(&tensors, &shapes));
    let single = SingleFile::open(Box::new(files), "x.gguf", Some(Box::new(golden("reference", "sd15")))).unwrap();
    let (checkpoint, mut kept) = (Checkpoint::open(&single, &weights_of("unet")).unwrap(), [0, 0]);
    for (own, blocks) in &expected {
        match checkpoint.dtype(&own.name).unwrap() {
            Dtype::I8 => assert!(*checkpoint.bytes(&own.name).unwrap() == *blocks.codes(), "{}", own.name),
            _ => {
                assert_eq!(checkpoint.shape(&own.name), Some(own.shape.as_slice()), "{}", own.name);
                assert!(checkpoint.f32(&own.name).unwrap().iter::<f32>().eq(blocks.dequantize()), "{}", own.name);
            }
        }
        kept[usize::from(checkpoint.dtype(&own.name) == Some(Dtype::I8))] += 1;
    }
    println!("{} widened, {} kept in blocks", kept[0], kept[1]);
    assert!(kept[0] > 20 && kept[1] > 20);
    Pipeline::load(&single, &Device::flex()).unwrap();
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
