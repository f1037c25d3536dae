//! Untrusted files, broken at random: reading them ends with values or with one clear line, without a panic, and takes at
//! most 64 times the file's size and a fixed amount. A failure prints its seed. `fuzz/` runs the same readers on a fuzzer's
//! inputs.

mod counting;
#[allow(dead_code)]
mod ldm;
#[path = "../fuzz/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use burn::tensor::Device;
use fourstep::pipeline::Pipeline;
use fourstep::random::stream;
use fourstep::weights::{Checkpoint, DirFiles, Files, MemoryFiles, SingleFile};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;

use counting::{Counting, counted};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What the largest network takes that a configuration may describe, without its weights.
const STRUCTURE: usize = 1 << 30;
const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

/// Runs `read` on a broken copy of `whole` for each seed; it may hold `most` bytes and a multiple of the file's length.
fn broken(what: &str, seeds: u64, whole: &[u8], most: usize, read: fn(&[u8])) {
    for seed in 0..seeds {
        let mut random = stream(seed, what, 0);
        let mut next = |most: usize| random.next_u32() as usize % most.max(1);
        let mut bytes = whole.to_vec();
        for _ in 0..=next(4) {
            alter(&mut bytes, &mut next);
        }
        let (outcome, peak, _) = counted(|| catch_unwind(AssertUnwindSafe(|| read(&bytes))));
        assert!(outcome.is_ok(), "{what}: seed {seed} panics");
        assert!(peak <= 64 * bytes.len() + most, "{what}: seed {seed} holds {peak} bytes for {}", bytes.len());
    }
}

/// One change: a byte, a number, a cut, a piece twice.
fn alter(bytes: &mut Vec<u8>, next: &mut impl FnMut(usize) -> usize) {
    const NUMBERS: [&str; 8] = ["0", "1", "-1", "65536", "4294967296", "18446744073709551615", "1e308", "null"];
    if bytes.is_empty() {
        return;
    }
    let place = next(bytes.len());
    match next(7) {
        0 => bytes[place] = next(256) as u8,
        1 => bytes.insert(place, next(256) as u8),
        2 => drop(bytes.remove(place)),
        3 => bytes.truncate(place),
        4 => {
            let end = (place + next(40)).min(bytes.len());
            let piece = bytes[place..end].to_vec();
            bytes.splice(place..place, piece);
        }
        _ => {
            // The next number in the text becomes another one.
            let digit = |byte: &u8| byte.is_ascii_digit();
            let Some(from) = bytes[place..].iter().position(digit).map(|at| at + place) else { return };
            let to = bytes[from..].iter().position(|byte| !digit(byte)).map_or(bytes.len(), |at| at + from);
            bytes.splice(from..to, NUMBERS[next(NUMBERS.len())].bytes());
        }
    }
}

fn small() -> Vec<u8> {
    let data: Vec<u8> = (0..96).collect();
    let views = [
        ("a.weight", TensorView::new(Dtype::F16, vec![3, 4], &data[..24]).unwrap()),
        ("b.bias", TensorView::new(Dtype::F32, vec![1, 2], &data[..8]).unwrap()),
        ("c.weight", TensorView::new(Dtype::I8, vec![2, 1, 32], &data[..64]).unwrap()),
        ("c.weight.scale", TensorView::new(Dtype::F16, vec![2, 1], &data[..4]).unwrap()),
    ];
    safetensors::serialize(views, None).unwrap()
}

/// A safetensors file of this header and so much data.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

/// The golden pipeline in memory, with its vocabulary.
fn model() -> MemoryFiles {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reference");
    let folder = DirFiles::new(golden.join("pipelines/sd15"));
    let vocabulary = DirFiles::new(golden.join("tokenizer"));
    let mut files = MemoryFiles::default();
    for path in paths() {
        let shared = path.strip_prefix("tokenizer/").and_then(|name| vocabulary.get(name).unwrap());
        files.insert(path, folder.get(path).unwrap().or(shared).unwrap().into_owned());
    }
    files
}

fn paths() -> [&'static str; 12] {
    [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        UNET,
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    ]
}

fn loaded(files: &MemoryFiles) -> Result<(), String> {
    Pipeline::load(files, &Device::flex()).map(drop).map_err(|error| error.to_string())
}

#[test]
fn altered_safetensors_are_read_or_refused() {
    broken("safetensors", 6000, &small(), 1 << 16, targets::safetensors);
}

/// The fewest tensors that are taken for a model: 32 channels, one level. `kind` is the code of the table of tokens' blocks.
fn single(kind: u32) -> Vec<(ldm::Tensor, u32)> {
    let (unet, vae, text) = ("model.diffusion_model", "first_stage_model", "cond_stage_model.model");
    let mut tensors = vec![
        (ldm::extra(&format!("{unet}.input_blocks.0.0.weight"), &[32, 4, 1, 1]), 0),
        (ldm::extra(&format!("{unet}.input_blocks.1.0.out_layers.3.weight"), &[32]), 0),
        (ldm::extra(&format!("{unet}.input_blocks.1.1.transformer_blocks.0.norm1.weight"), &[2]), 0),
        (ldm::extra(&format!("{unet}.middle_block.1.transformer_blocks.0.norm1.weight"), &[2]), 0),
        (ldm::extra(&format!("{vae}.encoder.down.0.block.0.conv1.weight"), &[32]), 0),
        (ldm::extra(&format!("{text}.transformer.resblocks.0.attn.in_proj_bias"), &[6]), 0),
    ];
    for block in 0..2 {
        tensors.push((ldm::extra(&format!("{unet}.output_blocks.{block}.0.out_layers.3.weight"), &[32]), 0));
        let norm = format!("{unet}.output_blocks.{block}.1.transformer_blocks.0.norm1.weight");
        tensors.push((ldm::extra(&norm, &[2]), 0));
    }
    let (width, block) = if kind == 8 { (64, 68) } else { (256, 144) };
    for name in ["token_embedding.weight", "transformer.resblocks.0.mlp.c_fc.weight"] {
        let table = ldm::extra(&format!("{text}.{name}"), &[2, width]);
        tensors.push((ldm::Tensor { bytes: vec![7; 2 * block], ..table }, kind));
    }
    tensors
}

#[test]
fn altered_models_in_one_file_are_read_or_refused() {
    for kind in [8, 12] {
        let whole = ldm::gguf(&single(kind));
        let mut files = MemoryFiles::default();
        files.insert("x.gguf", whole.clone());
        SingleFile::open(Box::new(files), "x.gguf", None).unwrap();
        broken("gguf", 3000, &whole, 1 << 18, targets::single);
    }
    let plain: Vec<_> = single(8).into_iter().filter(|(_, kind)| *kind == 0).map(|(tensor, _)| tensor).collect();
    broken("one safetensors", 2000, &ldm::safetensors(&plain), 1 << 18, targets::single);
}

/// Counts, lengths and places that no file has: each is named, and nothing of their size is allocated.
#[test]
fn absurd_gguf_headers_are_named() {
    let whole = ldm::gguf(&single(8));
    let at = |name: &str| whole.windows(name.len()).position(|part| part == name.as_bytes()).unwrap() + name.len();
    let put = |place: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[place..place + bytes.len()].copy_from_slice(bytes);
        file
    };
    let (all, none) = (u64::MAX.to_le_bytes(), [0; 4]);
    // Behind the name of a matrix: number of dimensions, two lengths, type, place.
    let matrix = at("token_embedding.weight");
    let cases: [(&str, Vec<u8>, &str); 14] = [
        ("version", put(4, &9u32.to_le_bytes()), "GGUF version 9"),
        ("the other order", put(4, &3u32.to_be_bytes()), "big-endian"),
        ("tensors", put(8, &all), "18446744073709551615 tensors"),
        ("tensors that are not there", put(8, &(1u64 << 40).to_le_bytes()), "1099511627776 tensors"),
        ("notes", put(16, &all), "18446744073709551615 notes"),
        ("a name", put(24, &all), "the name of a note has 18446744073709551615 bytes"),
        ("a note", put(at("general.architecture") + 4, &all), "it ends in the header"),
        ("a note's type", put(at("general.architecture"), &99u32.to_le_bytes()), "type 99"),
        ("dimensions", put(matrix, &77u32.to_le_bytes()), "77 dimensions"),
        ("a row", put(matrix + 4, &7u64.to_le_bytes()), "rows of 7 numbers"),
        ("a length", put(matrix + 12, &all), "more numbers than the file"),
        ("a type", put(matrix + 20, &16u32.to_le_bytes()), "IQ2_XXS is not read"),
        ("a place", put(matrix + 24, &(1u64 << 62).to_le_bytes()), "truncated: tensor cond_stage_model.model.token"),
        ("two in one place", put(matrix + 24, &[&none[..], &none].concat()), "overlaps"),
    ];
    for (what, bytes, words) in cases {
        let mut files = MemoryFiles::default();
        files.insert("x.gguf", bytes);
        let (outcome, peak, _) = counted(|| SingleFile::open(Box::new(files), "x.gguf", None).map(drop));
        let error = outcome.expect_err(what).to_string();
        assert!(error.starts_with("x.gguf: ") && !error.contains('\n') && error.contains(words), "{what}: {error}");
        assert!(peak < 1 << 18, "{what}: {peak} bytes");
    }
    for length in 0..whole.len() {
        let mut files = MemoryFiles::default();
        files.insert("x.gguf", whole[..length].to_vec());
        let error = SingleFile::open(Box::new(files), "x.gguf", None).err().map(|error| error.to_string());
        let padding = whole.len() - length < 32;
        assert!(padding || error.is_some_and(|error| error.starts_with("x.gguf: ")), "cut at {length}");
    }
}

#[test]
fn altered_configurations_are_read_or_refused() {
    let files = model();
    for path in paths().into_iter().filter(|path| path.ends_with("config.json")) {
        broken(path, 800, &files.read(path).unwrap(), STRUCTURE, targets::config);
    }
}

#[test]
fn altered_manifests_and_indices_are_read_or_refused() {
    let manifest = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/stickers/fourstep.json")).unwrap();
    broken("manifest", 1500, &manifest, 1 << 16, targets::manifest);
    let shard = "x-00001-of-00002.safetensors";
    let map: serde_json::Map<String, Value> = ["a.weight", "b.bias", "c.weight", "c.weight.scale"]
        .map(|name| (name.to_string(), shard.into()))
        .into_iter()
        .collect();
    let index = serde_json::json!({ "metadata": { "total_size": 100 }, "weight_map": map }).to_string();
    let index = format!("{index:<width$}", width = index.len().next_multiple_of(16));
    let whole = [&[(index.len() / 16) as u8], index.as_bytes(), &small()].concat();
    broken("shards", 3000, &whole, 1 << 16, targets::shards);
}

#[test]
fn altered_pictures_and_settings_are_read_or_refused() {
    let text = "a (green:1.3) fox, \"quoted\"\nNegative prompt: grey\nSteps: 4, Sampler: Euler, CFG scale: 2, Seed: 7, Size: 64x64";
    broken("infotext", 6000, text.as_bytes(), 1 << 16, targets::infotext);
    let picture = fourstep::picture::Picture::opaque(2, 2, vec![9; 12]);
    broken("png", 4000, &picture.to_png(Some(text)).unwrap(), 1 << 16, targets::png);
}

#[test]
fn absurd_headers_are_named_by_tensor() {
    let cases: [(&str, Vec<u8>, &[&str]); 13] = [
        ("gigabytes", [&(1u64 << 30).to_le_bytes()[..], &[b' '; 100]].concat(), &["a header of 1073741824 bytes"]),
        ("more than there is", [&u64::MAX.to_le_bytes()[..], &[b' '; 100]].concat(), &["a header of"]),
        ("a web page", b"<!DOCTYPE html><html><body>Not found</body></html>".to_vec(), &["a web page"]),
        ("a pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:00".to_vec(), &["Git LFS pointer"]),
        ("no JSON", with_header("{\"a\": ", 8), &["its header is broken"]),
        (
            "twice",
            with_header(
                r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#,
                4,
            ),
            &["the name a stands in it twice"],
        ),
        (
            "overlapping",
            with_header(
                r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
                6,
            ),
            &["tensor b overlaps a"],
        ),
        (
            "a gap",
            with_header(r#"{"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#, 6),
            &["a gap of 2 bytes before tensor b"],
        ),
        (
            "backwards",
            with_header(r#"{"b":{"dtype":"U8","shape":[4],"data_offsets":[6,2]}}"#, 6),
            &["tensor b: it ends (at 2) before"],
        ),
        (
            "behind every end",
            with_header(
                r#"{"b":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551614,18446744073709551615]}}"#,
                6,
            ),
            &["tensor b: it begins at 18446744073709551614"],
        ),
        (
            "an absurd shape",
            with_header(r#"{"b":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,4]}}"#, 4),
            &["tensor b: its shape [4294967296, 4294967296, 2]"],
        ),
        (
            "another length",
            with_header(r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4),
            &["tensor b: 4 bytes, where F32 of shape [2] takes 8"],
        ),
        (
            "more after the last",
            with_header(r#"{"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 9),
            &["5 bytes after the last tensor"],
        ),
    ];
    for (what, bytes, words) in cases {
        let (outcome, peak, _) = counted(|| Checkpoint::parse("x.safetensors", &bytes).map(drop));
        let error = outcome.expect_err(what).to_string();
        assert!(error.starts_with("x.safetensors: ") && !error.contains('\n'), "{what}: {error}");
        assert!(words.iter().all(|word| error.contains(word)), "{what}: {error}");
        assert!(peak < 1 << 16, "{what}: {peak} bytes");
    }
}

#[test]
fn what_is_put_in_place_of_a_file_is_named() {
    let page = b"<!DOCTYPE html><html><body>404 Not Found</body></html>".to_vec();
    for path in paths() {
        let whole = model().read(path).unwrap().into_owned();
        for (what, bytes) in [
            ("a web page", page.clone()),
            ("nothing", Vec::new()),
            ("half of it", whole[..whole.len() / 2].to_vec()),
            ("zeros", vec![0; 64]),
        ] {
            if path.ends_with(".txt") || what == "half of it" && path.ends_with("special_tokens_map.json") {
                continue; // any text is a list of merges, if one that fits the vocabulary badly
            }
            let mut files = model();
            files.insert(path, bytes);
            let outcome = catch_unwind(AssertUnwindSafe(|| loaded(&files)));
            let Ok(outcome) = outcome else { panic!("{what} in place of {path} panics") };
            let error = outcome.expect_err(path);
            let name = path.rsplit('/').next().unwrap();
            assert!(error.contains(name) && !error.contains('\n'), "{what} in place of {path}: {error}");
        }
    }
}

#[test]
fn shards_that_do_not_fit_their_index_are_named() {
    type Break = fn(&mut Value, &mut Vec<u8>);
    let shard = "diffusion_pytorch_model-00001-of-00001.safetensors";
    let index = format!("{UNET}.index.json");
    let cases: [(&str, Break, &[&str]); 6] = [
        ("nothing", |_, _| (), &[]),
        ("elsewhere", |map, _| map["conv_in.bias"] = "../vae/x.safetensors".into(), &["../vae/x.safetensors"]),
        ("gone", |map, _| map["conv_in.bias"] = "other.safetensors".into(), &["other.safetensors is missing"]),
        ("not in it", |map, _| map["surplus.weight"] = map["conv_in.bias"].clone(), &["surplus.weight is missing"]),
        ("not listed", |map, _| drop(map.as_object_mut().unwrap().remove("conv_in.bias")), &["conv_in.bias"]),
        ("cut", |_, bytes| bytes.truncate(bytes.len() - 5), &["00001-of-00001", "truncated"]),
    ];
    for (what, breaks, words) in cases {
        let mut files = model();
        let mut bytes = files.read(UNET).unwrap().into_owned();
        let keys: Vec<String> = Checkpoint::parse(UNET, &bytes).unwrap().keys().map(str::to_string).collect();
        let mut map: Value = keys.into_iter().map(|key| (key, shard.to_string())).collect();
        breaks(&mut map, &mut bytes);
        files.remove(UNET);
        files.insert(index.clone(), serde_json::json!({ "weight_map": map }).to_string().into_bytes());
        files.insert(format!("unet/{shard}"), bytes);
        match (loaded(&files), words) {
            (Ok(()), []) => {}
            (Err(error), words) if !words.is_empty() => {
                assert!(words.iter().all(|word| error.contains(word)), "{what}: {error}");
            }
            (outcome, _) => panic!("{what}: {outcome:?}"),
        }
    }
}
