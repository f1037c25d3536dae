//! What the golden suite shares: the reference folder, its tensors, and how errors are measured.

mod components;
mod rng;
mod runs;
mod schedulers;
mod tokenizer;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use fourstep::weights::{Checkpoint, DirFiles, Files};
use serde_json::Value;

/// One comparison.
pub struct Case {
    pub name: String,
    pub outcome: Outcome,
}

/// How it went.
pub enum Outcome {
    /// Worst error, and what is allowed.
    Within(f64, f64),
    /// What is wrong.
    Off(String),
    /// Why it was not tried.
    Skipped(String),
}

/// What to run.
pub struct Suite {
    pub reference: PathBuf,
    pipelines: PathBuf,
    pub device: Device,
    pub device_name: String,
    filters: Vec<String>,
}

impl Suite {
    /// From the command line and the environment: the set of `FOURSTEP_REFERENCE`, or the copy and those made here.
    pub fn from_args() -> Vec<Self> {
        let (mut device_name, mut filters) = ("cpu".to_string(), Vec::new());
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--device" => device_name = args.next().expect("--device cpu|wgpu"),
                flag if flag.starts_with("--") => {}
                filter => filters.push(filter.to_string()),
            }
        }
        let device = match device_name.as_str() {
            "cpu" => Device::flex(),
            "wgpu" => pollster::block_on(Device::wgpu_options().init_async()).expect("a wgpu device"),
            other => panic!("--device {other}: use cpu or wgpu"),
        };
        let suite = |reference: PathBuf, pipelines: PathBuf| {
            assert!(reference.join("cases").is_dir(), "{} holds no cases", reference.display());
            let (device, device_name, filters) = (device.clone(), device_name.clone(), filters.clone());
            Self { reference, pipelines, device, device_name, filters }
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        match std::env::var_os("FOURSTEP_REFERENCE").map(PathBuf::from) {
            Some(reference) => vec![suite(reference.clone(), reference.join("pipelines"))],
            None => {
                let copy = root.join("tests/golden/reference");
                let own = root.join("tests/golden/stickers");
                let families = root.join("tests/golden/families");
                let transparent = root.join("tests/golden/transparent");
                vec![
                    suite(copy.clone(), copy.join("pipelines")),
                    suite(families.clone(), families.join("pipelines")),
                    suite(transparent.clone(), transparent.join("pipelines")),
                    suite(own, root.join("models")),
                ]
            }
        }
    }

    /// All cases, run one after another as they are asked for.
    pub fn cases(&self) -> impl Iterator<Item = Case> + '_ {
        let host = |kind: &str, results: Vec<(String, Outcome)>| -> Vec<Case> {
            results.into_iter().map(|(name, outcome)| Case { name: format!("{kind}/{name}"), outcome }).collect()
        };
        let simple = move || {
            let mut all = Vec::new();
            let mut add = |kind: &str, file: &str, run: &dyn Fn() -> Vec<(String, Outcome)>| {
                let results = match self.reference.join("cases").join(file).exists() {
                    true => run(),
                    false => vec![(file.to_string(), Outcome::Skipped("not in this set".to_string()))],
                };
                all.extend(host(kind, results));
            };
            add("rng", "rng.json", &|| exact(rng::cases(&self.reference)));
            add("tokenizer", "tokenizer.json", &|| exact(tokenizer::cases(&self.reference)));
            let of_schedulers = || optional(schedulers::cases(&self.reference, &self.device));
            add("scheduler", "schedulers.json", &of_schedulers);
            all
        };
        let simple = std::iter::once_with(simple).flatten().filter(|case| self.wants(&case.name));
        simple.chain(self.listed("components")).chain(self.listed("runs"))
    }

    fn listed(&self, folder: &'static str) -> impl Iterator<Item = Case> + '_ {
        let index = format!("cases/{folder}/index.json");
        let entries = match self.reference.join(&index).exists() {
            true => self.json(&index).as_array().expect("a list of cases").clone(),
            false => Vec::new(),
        };
        entries.into_iter().filter_map(move |entry| {
            let name = format!("{folder}/{}", entry["name"].as_str().expect("a name"));
            let manifest = self.json(&format!("cases/{}", entry["json"].as_str().expect("a file")));
            self.wants(&name).then(|| Case {
                name,
                outcome: match folder {
                    "components" => components::run(self, &manifest),
                    _ => runs::run(self, &manifest),
                },
            })
        })
    }

    fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }

    /// A JSON file of the reference.
    pub fn json(&self, path: &str) -> Value {
        let path = self.reference.join(path);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // Python writes infinities in a way that JSON does not know.
        serde_json::from_str(&text.replace("-Infinity", "null"))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The bytes of an adapter of the reference.
    pub fn lora(&self, name: &str) -> Vec<u8> {
        let path = self.reference.join("loras").join(name).join("pytorch_lora_weights.safetensors");
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The model files of a pipeline of the reference.
    pub fn pipeline(&self, name: &str) -> ReferenceFiles {
        ReferenceFiles {
            pipeline: DirFiles::new(self.pipelines.join(name)),
            tokenizer: DirFiles::new(self.reference.join("tokenizer")),
        }
    }
}

/// A pipeline's folder, with the vocabulary that all pipelines of the reference share.
pub struct ReferenceFiles {
    pipeline: DirFiles,
    tokenizer: DirFiles,
}

impl Files for ReferenceFiles {
    fn place(&self) -> String {
        self.pipeline.place()
    }

    fn get(&self, path: &str) -> fourstep::Result<Option<Cow<'_, [u8]>>> {
        let shared = ["vocab.json", "merges.txt"].into_iter().find(|name| path.ends_with(name));
        match (self.pipeline.get(path)?, shared) {
            (None, Some(name)) => self.tokenizer.get(name),
            (found, _) => Ok(found),
        }
    }

    fn size(&self, path: &str) -> fourstep::Result<Option<u64>> {
        let shared = ["vocab.json", "merges.txt"].into_iter().find(|name| path.ends_with(name));
        match (self.pipeline.size(path)?, shared) {
            (None, Some(name)) => self.tokenizer.size(name),
            (found, _) => Ok(found),
        }
    }

    fn range(&self, path: &str, offset: u64, length: usize) -> fourstep::Result<Cow<'_, [u8]>> {
        self.pipeline.range(path, offset, length)
    }
}

/// Tensors of a golden file.
pub struct Golden<'a>(pub Checkpoint<'a>);

impl Golden<'_> {
    pub fn has(&self, name: &str) -> bool {
        self.0.shape(name).is_some()
    }

    pub fn values(&self, name: &str) -> Vec<f32> {
        let data = self.0.f32(name).unwrap_or_else(|error| panic!("{error}"));
        data.iter::<f32>().collect()
    }

    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        Tensor::from_data(self.0.f32(name).unwrap_or_else(|error| panic!("{error}")), device)
    }

    pub fn ids(&self, name: &str) -> Vec<Vec<i64>> {
        let row = self.0.shape(name).expect("token ids")[1];
        self.0.i64(name).expect("I64").chunks(row).map(<[i64]>::to_vec).collect()
    }
}

/// Collects comparisons of one case; the worst counts.
pub struct Worst {
    tolerance: f64,
    error: f64,
    problem: Option<String>,
}

impl Worst {
    /// Tolerance from the manifest.
    pub fn new(manifest: &Value) -> Self {
        let tolerance = manifest["tolerance"]["rel_l2"].as_f64().expect("tolerance.rel_l2");
        Self { tolerance, error: 0.0, problem: None }
    }

    /// Compares a tensor with its golden.
    pub fn tensor<const D: usize>(&mut self, golden: &Golden, name: &str, mine: Tensor<D>) {
        let shape = golden.0.shape(name).unwrap_or_else(|| panic!("{name} is not in the golden file")).to_vec();
        let data = mine.into_data();
        if data.shape().to_vec() != shape {
            return self.fail(format!("{name}: shape {:?}, expected {shape:?}", data.shape()));
        }
        self.values(name, &data, &golden.values(name));
    }

    /// Compares numbers with their goldens.
    pub fn values(&mut self, name: &str, mine: &TensorData, golden: &[f32]) {
        let error = relative_l2(&mine.iter::<f32>().collect::<Vec<f32>>(), golden);
        self.error = self.error.max(error);
        if error.is_nan() || error > self.tolerance {
            self.fail(format!("{name}: relative L2 {error:.2e}"));
        }
    }

    /// Records the first problem.
    pub fn fail(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    pub fn outcome(self) -> Outcome {
        match self.problem {
            Some(problem) => Outcome::Off(problem),
            None => Outcome::Within(self.error, self.tolerance),
        }
    }
}

/// ‖mine - golden‖ / ‖golden‖ in f64.
pub fn relative_l2(mine: &[f32], golden: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let difference: f64 = mine.iter().zip(golden).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let size: f64 = golden.iter().map(|b| square(f64::from(*b))).sum();
    (difference / size.max(1e-60)).sqrt()
}

fn optional(results: Vec<(String, Option<Result<f64, String>>)>) -> Vec<(String, Outcome)> {
    let outcome = |result: Option<Result<f64, String>>| match result {
        Some(Ok(error)) if error <= 1e-4 => Outcome::Within(error, 1e-4),
        Some(Ok(error)) => Outcome::Off(format!("relative L2 {error:.2e}")),
        Some(Err(what)) => Outcome::Off(what),
        None => Outcome::Skipped("scheduler is not built yet".to_string()),
    };
    results.into_iter().map(|(name, result)| (name, outcome(result))).collect()
}

fn exact(results: Vec<(String, Result<f64, String>)>) -> Vec<(String, Outcome)> {
    let outcome = |result: Result<f64, String>| match result {
        Ok(error) => Outcome::Within(error, 2e-6),
        Err(what) => Outcome::Off(what),
    };
    results.into_iter().map(|(name, result)| (name, outcome(result))).collect()
}
