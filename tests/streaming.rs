//! Weights are read tensor by tensor: what is held at once beside the device's copy is about the largest tensor, however
//! long the files are, in one piece or in shards.

mod copied;
mod counting;

use std::borrow::Cow;
use std::cell::Cell;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fourstep::kernels::BlockFormat;
use fourstep::pipeline::{LoadOptions, Pipeline, Plan, PlanOptions};
use fourstep::weights::{Checkpoint, DirFiles, Files, Planned, write_sharded};

use copied::copy;
use counting::{Counting, counted};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const STICKERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/stickers-teacher");
const WEIGHTS: [&str; 3] = [
    "text_encoder/model.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
];

/// A folder that remembers the longest range that was asked for, and refuses to hand out weights whole.
struct Watched {
    dir: DirFiles,
    longest: Cell<usize>,
}

impl Watched {
    fn new(dir: &Path) -> Self {
        Self { dir: DirFiles::new(dir), longest: Cell::new(0) }
    }
}

impl Files for Watched {
    fn place(&self) -> String {
        self.dir.place()
    }

    fn get(&self, path: &str) -> fourstep::Result<Option<Cow<'_, [u8]>>> {
        assert!(!path.ends_with(".safetensors"), "{path} is read whole");
        self.dir.get(path)
    }

    fn size(&self, path: &str) -> fourstep::Result<Option<u64>> {
        self.dir.size(path)
    }

    fn range(&self, path: &str, offset: u64, length: usize) -> fourstep::Result<Cow<'_, [u8]>> {
        self.longest.set(self.longest.get().max(length));
        self.dir.range(path, offset, length)
    }
}

/// The shipped model with its weights in shards of at most `limit` bytes.
fn sharded(limit: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new(STICKERS), folder.path());
    for path in WEIGHTS {
        let whole: PathBuf = folder.path().join(path);
        let bytes = std::fs::read(&whole).unwrap();
        std::fs::remove_file(&whole).unwrap();
        let checkpoint = Checkpoint::parse(path, &bytes).unwrap();
        let planned = |name: &str| Planned {
            name: name.to_string(),
            dtype: checkpoint.dtype(name).unwrap(),
            shape: checkpoint.shape(name).unwrap().to_vec(),
        };
        let tensors: Vec<Planned> = checkpoint.keys().map(planned).collect();
        let (dir, file) = (whole.parent().unwrap(), whole.file_name().unwrap().to_str().unwrap());
        let files = write_sharded(dir, file, &tensors, limit, &mut |tensor| checkpoint.bytes(&tensor.name)).unwrap();
        assert!(files.len() > 2 && files.last().unwrap().ends_with(".safetensors.index.json"), "{files:?}");
    }
    folder
}

#[test]
fn little_more_than_a_tensor_is_held_beside_the_model() {
    let shards = sharded(1 << 20);
    for (dir, quantize) in [
        (Path::new(STICKERS), None),
        (Path::new(STICKERS), Some(BlockFormat::Q8_0)),
        (Path::new(STICKERS), Some(BlockFormat::Q4_0)),
        (shards.path(), None),
    ] {
        let plan = Plan::read(&DirFiles::new(dir), &PlanOptions { quantize, ..PlanOptions::default() }).unwrap();
        let files = Watched::new(dir);
        let options = LoadOptions { quantize, ..LoadOptions::default() };
        let (pipeline, peak, left) = counted(|| Pipeline::load_with(&files, &options, &Device::flex()).unwrap());
        let (weights, beside) = ((plan.needs().weights + plan.host) as usize, peak - left);
        let largest = plan.components.iter().map(|component| component.largest.bytes as usize).max().unwrap();
        println!("{quantize:?}: weights {weights}, left {left}, beside {beside}, planned {}", plan.loading);
        assert!(left >= weights && left < weights + (8 << 20), "{left} bytes for weights of {weights}");
        // The planned tensor, and values made of blocks; and small things.
        assert!(
            beside <= plan.loading as usize + largest + (1 << 20),
            "{beside} bytes at once, planned {}",
            plan.loading
        );
        assert!(files.longest.get() <= plan.loading as usize, "a range of {} bytes", files.longest.get());
        drop(pipeline);
    }
}

#[test]
fn shards_hold_the_same_weights() {
    let (whole, shards) = (DirFiles::new(STICKERS), sharded(1 << 20));
    let shards = DirFiles::new(shards.path());
    for path in WEIGHTS {
        let (whole, shards) = (Checkpoint::open(&whole, path).unwrap(), Checkpoint::open(&shards, path).unwrap());
        assert!(shards.parts().len() > 1);
        assert!(whole.keys().eq(shards.keys()));
        for name in whole.keys() {
            assert_eq!(whole.shape(name), shards.shape(name));
            assert_eq!(whole.bytes(name).unwrap(), shards.bytes(name).unwrap(), "{name}");
        }
    }
}

#[test]
fn no_shard_is_longer_than_asked_unless_a_tensor_is() {
    let limit = 1 << 18;
    let folder = sharded(limit);
    for path in WEIGHTS {
        let dir = folder.path().join(path);
        for entry in std::fs::read_dir(dir.parent().unwrap()).unwrap().flatten() {
            let Some(name) =
                entry.file_name().to_str().filter(|name| name.ends_with(".safetensors")).map(str::to_string)
            else {
                continue;
            };
            let bytes = std::fs::read(entry.path()).unwrap();
            let tensors = Checkpoint::parse(&name, &bytes).unwrap().keys().count();
            assert!(bytes.len() as u64 <= limit || tensors == 1, "{name}: {} bytes, {tensors} tensors", bytes.len());
        }
    }
}
