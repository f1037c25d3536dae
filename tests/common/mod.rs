//! What the golden suite shares: the sets, their cases, and how a case ends.

mod components;
mod golden;
mod manifest;
mod report;
mod rng;
mod runs;
mod schedulers;
mod set;
mod tokenizer;
#[path = "../vocabulary/mod.rs"]
mod vocabulary;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fourstep::weights::DirFiles;
use serde::de::DeserializeOwned;

use manifest::Entry;
pub use report::Report;
use set::Expected;
use vocabulary::WithVocabulary;

/// Names the `set.json` of a set that has none.
const EXPECT: &str = "FOURSTEP_REFERENCE_EXPECT";

/// One comparison, not made yet.
pub struct Case<'a> {
    /// `KIND/NAME`.
    pub name: String,
    run: Box<dyn FnOnce() -> Result<Measured, Failure> + 'a>,
}

impl<'a> Case<'a> {
    fn new(name: String, run: impl FnOnce() -> Result<Measured, Failure> + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }

    /// Makes it.
    pub fn run(self) -> Result<Measured, Failure> {
        (self.run)()
    }
}

/// A case within its tolerance.
pub struct Measured {
    pub error: f64,
    pub tolerance: f64,
}

/// Why a case did not pass.
#[derive(Debug)]
pub enum Failure {
    /// The library refuses it: expected where the set lists the case.
    Unsupported(String),
    /// Anything else.
    Wrong(String),
}

impl From<fourstep::Error> for Failure {
    fn from(error: fourstep::Error) -> Self {
        match error {
            fourstep::Error::Unsupported(what) => Self::Unsupported(what),
            other => Self::Wrong(other.to_string()),
        }
    }
}

impl From<String> for Failure {
    fn from(what: String) -> Self {
        Self::Wrong(what)
    }
}

impl From<&str> for Failure {
    fn from(what: &str) -> Self {
        Self::Wrong(what.to_string())
    }
}

/// What the command line asks for.
pub struct Asked {
    pub device_name: String,
    pub device: Device,
    filters: Vec<String>,
}

impl Asked {
    /// `[--device cpu|wgpu] [NAME...]`; flags of cargo's own test harness mean nothing here.
    pub fn from_args() -> Self {
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
        Self { device_name, device, filters }
    }

    /// Whether a case has one of the asked names, or none is asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }
}

/// A set of goldens and the device to compare on.
pub struct Suite {
    pub reference: PathBuf,
    expected: Expected,
    device: Device,
}

impl Suite {
    /// The set of `FOURSTEP_REFERENCE`, or every folder of tests/golden with `cases/`; and what is wrong with all of them
    /// together.
    pub fn all(asked: &Asked) -> Result<(Vec<Self>, Vec<String>), String> {
        let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
        if let Some(reference) = named("FOURSTEP_REFERENCE") {
            return Ok((vec![Self::at(reference, named(EXPECT), &asked.device)?], Vec::new()));
        }
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let mut suites = Vec::new();
        for reference in folders(&golden)?.into_iter().filter(|folder| folder.join("cases").is_dir()) {
            let expected = Expected::read(&reference.join("set.json"))?;
            suites.push(Self { reference, expected, device: asked.device.clone() });
        }
        let missing = set::missing_families(suites.iter().map(|suite| &suite.expected));
        let problems = missing.into_iter().map(|family| format!("no set has a run of {family}")).collect();
        Ok((suites, problems))
    }

    /// A set that need not be ours: one without set.json is held to the file `expected`.
    pub fn at(reference: PathBuf, expected: Option<PathBuf>, device: &Device) -> Result<Self, String> {
        let own = reference.join("set.json");
        let suite = |expected| Self { reference: reference.clone(), expected, device: device.clone() };
        match (own.exists(), expected) {
            (true, None) => Ok(suite(Expected::read(&own)?)),
            (false, Some(file)) => Ok(suite(Expected::read(&file)?)),
            (true, Some(_)) => Err(format!("{} is there: leave {EXPECT} out", own.display())),
            (false, None) => {
                let suite = suite(Expected::nothing());
                let found = suite.cases().map_or_else(|error| error, |cases| set::proposal(&cases));
                Err(format!(
                    "{} is not there, so nothing says how many cases the set has: name a file that does in {EXPECT} \
                     (tests/golden/expected/ has some). For the cases that are there it would say\n{found}",
                    own.display()
                ))
            }
        }
    }

    /// All cases of the set, none of them run.
    pub fn cases(&self) -> Result<Vec<Case<'_>>, String> {
        let there = |file: &str| self.reference.join("cases").join(file).exists();
        let mut cases = Vec::new();
        if there("rng.json") {
            cases.extend(rng::cases(self)?);
        }
        if there("tokenizer.json") {
            cases.extend(tokenizer::cases(self)?);
        }
        if there("schedulers.json") {
            cases.extend(schedulers::cases(self)?);
        }
        for folder in ["components", "runs"] {
            if there(folder) {
                cases.extend(self.listed(folder)?);
            }
        }
        let mut names = BTreeSet::new();
        match cases.iter().find(|case| !names.insert(case.name.as_str())) {
            Some(twice) => Err(format!("{} is there twice", twice.name)),
            None => Ok(cases),
        }
    }

    /// What is wrong with the set as a whole.
    pub fn problems(&self, cases: &[Case<'_>]) -> Vec<String> {
        let run = |name: &str| self.json(&format!("cases/runs/{name}.json"));
        let weights = self.expected.changed_weights(&self.reference.join(&self.expected.pipelines));
        [self.expected.problems(cases), self.expected.doubtful_families(run), weights].concat()
    }

    /// The same cases with the models of another folder.
    #[allow(dead_code)] // tests/student.rs
    pub fn of_models(self, folder: PathBuf) -> Self {
        Self { expected: self.expected.of_models(folder), ..self }
    }

    /// Why the set expects that a case is refused.
    pub fn unsupported(&self, case: &str) -> Option<&str> {
        self.expected.unsupported(case)
    }

    /// The cases of an `index.json`, which must name every manifest beside it.
    fn listed(&self, folder: &'static str) -> Result<Vec<Case<'_>>, String> {
        let index: Vec<Entry> = self.json(&format!("cases/{folder}/index.json"))?;
        for file in files(&self.reference.join("cases").join(folder))? {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let known = index.iter().any(|entry| entry.json == format!("{folder}/{name}"));
            if name.ends_with(".json") && name != "index.json" && !known {
                return Err(format!("cases/{folder}/index.json does not list {name}"));
            }
        }
        let case = |entry: Entry| {
            Case::new(format!("{folder}/{}", entry.name), move || match folder {
                "components" => components::run(self, &entry),
                _ => runs::run(self, &entry),
            })
        };
        Ok(index.into_iter().map(case).collect())
    }

    /// A JSON file of the set.
    fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let text = String::from_utf8(self.bytes(path)?).map_err(|error| format!("{path}: {error}"))?;
        manifest::parse(path, &text)
    }

    /// A file of the set.
    fn bytes(&self, path: &str) -> Result<Vec<u8>, String> {
        let path = self.reference.join(path);
        std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The bytes of an adapter of the set.
    fn lora(&self, name: &str) -> Result<Vec<u8>, String> {
        self.bytes(&format!("loras/{name}/pytorch_lora_weights.safetensors"))
    }

    /// The bytes of a learned word of the set.
    fn embedding(&self, name: &str) -> Result<Vec<u8>, String> {
        self.bytes(&format!("embeddings/{name}.safetensors"))
    }

    /// The files of a ControlNet of the set.
    fn controlnet(&self, name: &str) -> DirFiles {
        DirFiles::new(self.reference.join("controlnets").join(name))
    }

    /// The model files of a pipeline of the set, with another autoencoder of the set where one is named.
    fn pipeline(&self, name: &str, vae: Option<&str>) -> WithVocabulary {
        let folder = |name: &str| DirFiles::new(self.reference.join(&self.expected.pipelines).join(name));
        WithVocabulary {
            pipeline: folder(name),
            tokenizer: DirFiles::new(self.reference.join("tokenizer")),
            vae: vae.map(folder),
        }
    }
}

/// The folders in a folder, sorted.
fn folders(place: &Path) -> Result<Vec<PathBuf>, String> {
    Ok(entries(place)?.into_iter().filter(|path| path.is_dir()).collect())
}

/// The files in a folder, sorted.
fn files(place: &Path) -> Result<Vec<PathBuf>, String> {
    Ok(entries(place)?.into_iter().filter(|path| path.is_file()).collect())
}

fn entries(place: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", place.display());
    let entries = std::fs::read_dir(place).map_err(failed)?;
    let mut paths =
        entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}
