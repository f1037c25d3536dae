//! What a set of goldens says of itself, and whether the suite found all of it.
//!
//! A set is a folder with `cases/`. Its `set.json` states how many cases of each kind there are, which of them are expected
//! to be refused and why, and which run stands for each family of models. A set that cannot be changed gets such a file
//! beside it (`tests/golden/expected/`, named in `FOURSTEP_REFERENCE_EXPECT`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Case;
use super::manifest::{Kind, Run};

/// The families that README.md names: the committed sets have a run of each.
const FAMILIES: [&str; 10] = [
    "SD 1.x",
    "SD 2.x with v-prediction",
    "Turbo",
    "LCM",
    "LCM image to image",
    "SDXL",
    "SDXL-Turbo",
    "inpainting network",
    "TAESD",
    "LoRA",
];

/// `set.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    #[serde(rename = "about")]
    _about: IgnoredAny,
    /// The folder of the models, relative to the set.
    #[serde(default = "own_pipelines")]
    pub pipelines: PathBuf,
    /// How many cases there are, by kind.
    cases: BTreeMap<String, usize>,
    /// Cases that are expected to be refused, each with the reason.
    #[serde(default)]
    unsupported: BTreeMap<String, String>,
    /// The run that stands for a family of models.
    #[serde(default)]
    families: BTreeMap<String, String>,
    /// SHA-256 of model files that the goldens were drawn from and that may change, by their paths below `pipelines`.
    #[serde(default)]
    weights: BTreeMap<String, String>,
    /// Read by tests/browser/golden.test.mjs.
    #[serde(default, rename = "not_in_page")]
    _not_in_page: IgnoredAny,
}

fn own_pipelines() -> PathBuf {
    "pipelines".into()
}

impl Expected {
    /// That of a set without cases.
    pub fn nothing() -> Self {
        serde_json::from_value(json!({"about": "", "cases": {}})).expect("a set.json")
    }

    /// Reads a `set.json`.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Why a case is expected to be refused.
    pub fn unsupported(&self, case: &str) -> Option<&str> {
        self.unsupported.get(case).map(String::as_str)
    }

    /// What is wrong with the cases that were found.
    pub fn problems(&self, cases: &[Case<'_>]) -> Vec<String> {
        let mut problems = Vec::new();
        let found = counts(cases);
        let kinds = self.cases.keys().chain(found.keys()).collect::<std::collections::BTreeSet<_>>();
        for kind in kinds {
            let [stated, found] = [&self.cases, &found].map(|counts| counts.get(kind).copied().unwrap_or(0));
            if stated != found || found == 0 {
                problems.push(format!("{kind}: {found} cases found, {stated} stated"));
            }
        }
        if cases.is_empty() {
            problems.push("the set has no cases".to_string());
        }
        for (name, reason) in &self.unsupported {
            if !cases.iter().any(|case| case.name == *name) {
                problems.push(format!("{name} is listed as unsupported and is not a case"));
            }
            if reason.trim().is_empty() {
                problems.push(format!("{name} is listed as unsupported without a reason"));
            }
        }
        problems
    }

    /// The model files, in the folder `models`, that are not those from which the goldens were drawn.
    pub fn changed_weights(&self, models: &Path) -> Vec<String> {
        let changed = |(path, expected): (&String, &String)| match std::fs::read(models.join(path)) {
            Ok(bytes) if hex(&Sha256::digest(&bytes)) == *expected => None,
            Ok(_) => Some(format!("weights: {path} is not what the goldens were drawn from: make the set again")),
            Err(error) => Some(format!("weights: {path}: {error}")),
        };
        self.weights.iter().filter_map(changed).collect()
    }

    /// The same expectations of other models, whatever their weights' files hold.
    pub fn of_models(self, pipelines: PathBuf) -> Self {
        Self { pipelines, weights: BTreeMap::new(), ..self }
    }

    /// The families of the set that its runs do not bear out. `read` gives a run's manifest.
    pub fn doubtful_families(&self, read: impl Fn(&str) -> Result<Run, String>) -> Vec<String> {
        let doubt = |(family, name): (&String, &String)| match read(name) {
            Ok(run) if is_of(&run, family) => None,
            Ok(_) => Some(format!("families: {name} is no run of {family}")),
            Err(error) => Some(format!("families: {family}: {error}")),
        };
        self.families.iter().filter_map(doubt).collect()
    }
}

/// The families of [`FAMILIES`] that none of the sets has a run of.
pub fn missing_families<'a>(sets: impl Iterator<Item = &'a Expected>) -> Vec<&'static str> {
    let covered: Vec<&str> = sets.flat_map(|set| set.families.keys().map(String::as_str)).collect();
    FAMILIES.into_iter().filter(|family| !covered.contains(family)).collect()
}

/// The text of a `set.json` for the cases that were found.
pub fn proposal(cases: &[Case<'_>]) -> String {
    format!("{:#}", json!({"about": "what set this is", "cases": counts(cases)}))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn counts(cases: &[Case<'_>]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for case in cases {
        let kind = case.name.split('/').next().unwrap_or_default();
        *counts.entry(kind.to_string()).or_insert(0) += 1;
    }
    counts
}

/// Whether a run shows what its family is known by. Names that this does not know are the set's own.
fn is_of(run: &Run, family: &str) -> bool {
    let class = run.pipeline_class.as_str();
    let xl = class.starts_with("StableDiffusionXL");
    let trailing = run.scheduler["timestep_spacing"] == "trailing";
    let prediction = &run.scheduler["prediction_type"];
    match family {
        "SD 1.x" => class == "StableDiffusionPipeline" && prediction == "epsilon" && !trailing,
        "SD 2.x with v-prediction" => class == "StableDiffusionPipeline" && prediction == "v_prediction",
        "Turbo" => class == "StableDiffusionPipeline" && trailing && run.guidance_scale == 0.0,
        "LCM" => class == "LatentConsistencyModelPipeline",
        "LCM image to image" => class == "LatentConsistencyModelImg2ImgPipeline",
        "SDXL" => xl && run.guidance_scale > 1.0,
        "SDXL-Turbo" => xl && trailing && run.guidance_scale == 0.0,
        "inpainting network" => run.kind == Kind::Inpaint && run.tensors["unet_in"].shape.get(2) == Some(&9),
        "TAESD" => run.vae.is_some(),
        "LoRA" => run.lora.is_some(),
        _ => true,
    }
}
