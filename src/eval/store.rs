//! Stores drawn pictures on disk, so that nothing is drawn twice when an evaluation was interrupted or another model is
//! added.
//!
//! A cell is many prompts drawn by one model in one way. Its file `drawn/*.rgb` (8-bit RGB, one picture after another)
//! is named by a hash of everything that the pictures depend on: the model's files, sampler, steps, guidance, size,
//! device, prompts and seeds. It grows batch by batch, so an interrupted cell continues where it stopped. The file
//! `.json` beside it describes the cell for people, and says how often the network was evaluated.

use std::io::{Seek, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::picture::{Picture, WHITE};
use crate::pipeline::{Pipeline, Request, Settings, StepEvent};
use crate::schedulers::{self, SchedulerConfig};
use crate::weights::DirFiles;
use crate::{Error, Result};

/// A model that takes part.
pub struct Model {
    /// Its name for people, also part of file names.
    pub name: String,
    /// The loaded pipeline.
    pub pipeline: Pipeline,
    /// SHA-256 of its files.
    fingerprint: String,
}

/// How a model draws.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// The sampler's short name; none means the model's own.
    pub sampler: Option<String>,
    /// Denoising steps.
    pub steps: usize,
    /// Guidance scale; no guidance at 1 and below.
    pub guidance_scale: f32,
    /// Side of the pictures in pixels.
    pub size: usize,
}

/// A prompt with its seed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ask {
    /// The prompt.
    pub prompt: String,
    /// The negative prompt; may be empty.
    pub negative_prompt: String,
    /// Seed of the noise.
    pub seed: u64,
}

/// The pictures of a cell.
pub struct Drawn {
    /// In the order of the asks.
    pub pictures: Vec<Picture>,
    /// Evaluations of the network for one picture; both halves of classifier-free guidance count.
    pub evaluations: f64,
}

/// The folder with the cells.
pub struct Store {
    folder: PathBuf,
    device: String,
    batch: usize,
}

impl Model {
    /// Loads a model in the diffusers layout.
    ///
    /// # Errors
    /// Those of [`Pipeline::load`] and of reading the files.
    pub fn load(name: &str, folder: &Path, device: &burn::tensor::Device) -> Result<Self> {
        let pipeline = Pipeline::load(&DirFiles::new(folder), device)?;
        let mut hash = Sha256::new();
        add_files(folder, folder, &mut hash)?;
        Ok(Self { name: name.to_owned(), pipeline, fingerprint: hex(&hash.finalize()) })
    }

    /// The scheduler configuration of a named sampler.
    ///
    /// # Errors
    /// [`Error::Request`] for an unknown name.
    pub fn scheduler(&self, name: Option<&str>) -> Result<SchedulerConfig> {
        let own = self.pipeline.scheduler();
        name.map_or_else(|| Ok(own.clone()), |name| schedulers::named(name, own))
    }

    /// The request for an ask.
    ///
    /// # Errors
    /// As [`Self::scheduler`].
    pub fn request(&self, way: &Way, ask: &Ask) -> Result<Request> {
        self.pipeline.request_of(Settings {
            prompt: ask.prompt.clone(),
            negative_prompt: ask.negative_prompt.clone(),
            seed: ask.seed,
            steps: Some(way.steps),
            guidance_scale: Some(way.guidance_scale),
            sampler: way.sampler.clone(),
            width: Some(way.size),
            height: Some(way.size),
            ..Settings::default()
        })
    }
}

impl Ask {
    /// Without a negative prompt.
    pub fn plain(prompt: &str, seed: u64) -> Self {
        Self { prompt: prompt.to_owned(), negative_prompt: String::new(), seed }
    }
}

impl Store {
    /// The store in `folder`/drawn, created if missing. `device` is the name of the models' device, because devices
    /// round differently. `batch` pictures are drawn together.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(folder: &Path, device: &str, batch: usize) -> Result<Self> {
        let folder = folder.join("drawn");
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        Ok(Self { folder, device: device.to_owned(), batch: batch.max(1) })
    }

    /// The pictures of a cell; those that are missing are drawn now. `progress` gets the number of finished pictures.
    ///
    /// # Errors
    /// Those of [`Pipeline::generate_batch`]; [`Error::Io`], also for a full disk.
    pub fn draw(&self, model: &Model, way: &Way, asks: &[Ask], progress: &mut dyn FnMut(usize)) -> Result<Drawn> {
        let path = self.folder.join(format!("{}.rgb", self.name(model, way, asks)?));
        let record = path.with_extension("json");
        let each = 3 * way.size * way.size;
        let mut evaluations = read_evaluations(&record)?;
        let mut bytes = match evaluations {
            Some(_) => read_if_there(&path)?,
            None => Vec::new(),
        };
        bytes.truncate((bytes.len() / each).min(asks.len()) * each);
        if bytes.len() < asks.len() * each {
            let mut file = open_at(&path, bytes.len() as u64).map_err(Error::io(&path))?;
            progress(bytes.len() / each);
            while bytes.len() < asks.len() * each {
                let done = bytes.len() / each;
                let some = &asks[done..asks.len().min(done + self.batch)];
                let (pictures, used) = draw_batch(model, way, some)?;
                if evaluations.is_none() {
                    write_record(&record, model, way, asks.len(), used)?;
                    evaluations = Some(used);
                }
                for picture in pictures.iter().map(|picture| picture.over(WHITE)) {
                    file.write_all(&picture.rgb).map_err(Error::io(&path))?;
                    bytes.extend(&picture.rgb);
                }
                progress(bytes.len() / each);
            }
        }
        let picture = |rgb: &[u8]| Picture::opaque(way.size, way.size, rgb.to_vec());
        Ok(Drawn { pictures: bytes.chunks_exact(each).map(picture).collect(), evaluations: evaluations.unwrap_or(0.0) })
    }

    /// The file's name without its ending.
    fn name(&self, model: &Model, way: &Way, asks: &[Ask]) -> Result<String> {
        let scheduler = model.scheduler(way.sampler.as_deref())?;
        let key = json!({
            "format": 1,
            "model": model.fingerprint,
            "scheduler": scheduler,
            "steps": way.steps,
            "guidance_scale": way.guidance_scale,
            "size": way.size,
            "device": self.device,
            "asks": asks,
        });
        let key = hex(&Sha256::digest(key.to_string().as_bytes()));
        let sound = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
        let name: String = model.name.chars().map(sound).collect();
        let sampler = way.sampler.as_deref().unwrap_or("own");
        Ok(format!("{name}-{sampler}-{}-w{}-{}", way.steps, way.guidance_scale, &key[..16]))
    }
}

/// Draws a few prompts together; also returns how often the network was evaluated for each.
pub fn draw_batch(model: &Model, way: &Way, asks: &[Ask]) -> Result<(Vec<Picture>, f64)> {
    let requests = asks.iter().map(|ask| model.request(way, ask)).collect::<Result<Vec<_>>>()?;
    let mut evaluations = 0;
    let mut on_step = async |step: StepEvent<'_>| {
        evaluations += step.prediction.model_input.dims()[0];
        ControlFlow::Continue(())
    };
    let (pictures, _) = pollster::block_on(model.pipeline.generate_batch(&requests, &mut on_step))?;
    Ok((pictures, evaluations as f64 / asks.len().max(1) as f64))
}

/// Opens a file for writing from `position`, and removes everything after it.
fn open_at(path: &Path, position: u64) -> std::io::Result<std::fs::File> {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.set_len(position)?;
    file.seek(std::io::SeekFrom::End(0))?;
    Ok(file)
}

fn write_record(path: &Path, model: &Model, way: &Way, pictures: usize, evaluations: f64) -> Result<()> {
    let record = json!({
        "model": model.name,
        "model_sha256": model.fingerprint,
        "sampler": way.sampler,
        "steps": way.steps,
        "guidance_scale": way.guidance_scale,
        "size": way.size,
        "pictures": pictures,
        "evaluations": evaluations,
    });
    std::fs::write(path, format!("{record:#}\n")).map_err(Error::io(path))
}

/// None if nothing was drawn yet.
fn read_evaluations(path: &Path) -> Result<Option<f64>> {
    let bytes = read_if_there(path)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let bad = |reason: String| Error::BadFile { file: path.display().to_string(), reason };
    let record: Value = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    record["evaluations"].as_f64().map(Some).ok_or_else(|| bad("no number under \"evaluations\"".into()))
}

fn read_if_there(path: &Path) -> Result<Vec<u8>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io(path)(error)),
    }
}

/// Hashes the paths, sizes and bytes of the files that a reader of the model needs, in the order of their names.
fn add_files(root: &Path, folder: &Path, hash: &mut Sha256) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let mut paths = entries.map(|e| Ok(e?.path())).collect::<std::io::Result<Vec<_>>>().map_err(Error::io(folder))?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            add_files(root, &path, hash)?;
        } else if path.extension().is_some_and(|end| ["json", "txt", "safetensors"].iter().any(|known| end == *known)) {
            let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            hash.update(format!("{name}\n{}\n", bytes.len()));
            hash.update(&bytes);
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The golden SD 1.5 pipeline with the golden vocabulary, as a folder.
    fn model(folder: &Path) -> Model {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reference");
        for part in ["unet", "vae", "text_encoder", "scheduler", "tokenizer"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
            for entry in std::fs::read_dir(golden.join("pipelines/sd15").join(part)).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), folder.join(part).join(entry.file_name())).unwrap();
            }
        }
        for name in ["vocab.json", "merges.txt"] {
            std::fs::copy(golden.join("tokenizer").join(name), folder.join("tokenizer").join(name)).unwrap();
        }
        std::fs::copy(golden.join("pipelines/sd15/model_index.json"), folder.join("model_index.json")).unwrap();
        Model::load("a model", folder, &burn::tensor::Device::flex()).unwrap()
    }

    #[test]
    fn an_interrupted_cell_goes_on_and_a_finished_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let model = model(&folder.path().join("model"));
        let store = Store::open(folder.path(), "cpu", 2).unwrap();
        let way = Way { sampler: Some("ddim".into()), steps: 2, guidance_scale: 4.0, size: 64 };
        let asks: Vec<Ask> = (0..5).map(|seed| Ask::plain("a fox", seed)).collect();
        let drawn = |way: &Way| {
            let mut done = Vec::new();
            let drawn = store.draw(&model, way, &asks, &mut |n| done.push(n)).unwrap();
            (drawn, done)
        };
        let (first, steps) = drawn(&way);
        assert_eq!((first.pictures.len(), first.evaluations, steps), (5, 4.0, vec![0, 2, 4, 5]));
        let (again, steps) = drawn(&way);
        assert!(again.pictures == first.pictures && again.evaluations == 4.0 && steps.is_empty());
        // Truncated within the third picture.
        let path = store.folder.join(format!("{}.rgb", store.name(&model, &way, &asks).unwrap()));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..2 * 3 * 64 * 64 + 100]).unwrap();
        let (healed, steps) = drawn(&way);
        assert!(healed.pictures == first.pictures);
        assert_eq!(steps, [2, 4, 5]);
        // Another way is another cell. Without guidance the network is evaluated once a step.
        let (plain, _) = drawn(&Way { guidance_scale: 1.0, ..way });
        assert!(plain.pictures != first.pictures && plain.evaluations == 2.0);
    }
}
