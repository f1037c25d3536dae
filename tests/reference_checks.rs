//! The golden suite (tests/reference.rs) fails where it must: on a small set from which something is missing, or in which
//! something is said that nothing reads.

// What only the suite itself uses is unused here.
#[allow(dead_code)]
mod common;
mod copied;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use common::{Report, Suite};
use serde_json::{Value, json};
use tempfile::TempDir;

use copied::copy;

const RUN: &str = "cases/runs/tiny_turbo_1step.json";
const GOLDEN: &str = "cases/runs/tiny_turbo_1step.safetensors";

/// A set of its own with one run and one state of a random generator.
struct Set(TempDir);

impl Set {
    fn new() -> Self {
        let set = Self(tempfile::tempdir().unwrap());
        let families = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/families");
        for part in ["tokenizer", "pipelines/tiny-turbo"] {
            copy(&families.join(part), &set.path(part));
        }
        std::fs::create_dir_all(set.path("cases/runs")).unwrap();
        for file in [RUN, GOLDEN] {
            std::fs::copy(families.join(file), set.path(file)).unwrap();
        }
        let state = json!({"state": [1, 1, 1], "values": [0.01693090619965683], "state_after": [171, 172, 170]});
        let tolerance = json!({"wichmann_hill": "max abs 1e-15"});
        set.write("cases/rng.json", &json!({"tolerance": tolerance, "wichmann_hill": [state]}));
        let run = "tiny_turbo_1step";
        let entry =
            json!({"name": run, "kind": "text2img", "pipeline": "tiny-turbo", "json": format!("runs/{run}.json")});
        set.write("cases/runs/index.json", &json!([entry]));
        set.write("set.json", &json!({"about": "a test", "cases": {"runs": 1, "rng": 1}}));
        set
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    fn write(&self, name: &str, value: &Value) {
        std::fs::write(self.path(name), value.to_string()).unwrap();
    }

    fn edit(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut value = self.read(name);
        edit(&mut value);
        self.write(name, &value);
    }

    fn report(&self) -> Report {
        let mut report = Report::default();
        match Suite::at(self.0.path().to_owned(), None, &Device::flex()) {
            Ok(suite) => report.run(&suite, |_| true),
            Err(problem) => report.fail("set", &problem),
        }
        report
    }

    /// The set fails with a problem that holds all of `words`.
    fn fails(&self, words: &[&str]) {
        let report = self.report();
        let told = report.failed.iter().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(!report.is_ok() && told, "{words:?} is not in {:?}", report.failed);
    }
}

/// A new set after one change to a manifest fails.
fn changed(name: &str, edit: impl FnOnce(&mut Value), words: &[&str]) {
    let set = Set::new();
    set.edit(name, edit);
    set.fails(words);
}

#[test]
fn a_whole_set_passes() {
    let report = Set::new().report();
    assert!(report.is_ok(), "{:?}", report.failed);
    assert_eq!((report.passed, report.ignored, report.filtered), (2, 0, 0));
}

#[test]
fn fewer_cases_than_stated_fail() {
    changed("set.json", |set| set["cases"]["runs"] = 2.into(), &["runs: 1 cases found, 2 stated"]);
    changed("set.json", |set| set["cases"]["components"] = 0.into(), &["components: 0 cases found, 0 stated"]);
    changed("set.json", |set| set["cases"] = json!({"runs": 1}), &["rng: 1 cases found, 0 stated"]);
    changed("cases/runs/index.json", |index| *index = json!([]), &["index.json does not list tiny_turbo_1step.json"]);
    let set = Set::new();
    std::fs::remove_dir_all(set.path("cases/runs")).unwrap();
    set.fails(&["runs: 0 cases found, 1 stated"]);
    std::fs::remove_file(set.path("cases/rng.json")).unwrap();
    set.fails(&["the set has no cases"]);
}

#[test]
fn a_set_that_does_not_state_its_cases_is_refused() {
    let set = Set::new();
    std::fs::remove_file(set.path("set.json")).unwrap();
    set.fails(&["set.json is not there", "FOURSTEP_REFERENCE_EXPECT", "\"runs\": 1"]);
}

#[test]
fn missing_files_fail() {
    for file in [RUN, GOLDEN, "pipelines/tiny-turbo/unet/diffusion_pytorch_model.safetensors", "tokenizer/vocab.json"] {
        let set = Set::new();
        std::fs::remove_file(set.path(file)).unwrap();
        set.fails(&[file.rsplit('/').next().unwrap()]);
    }
}

#[test]
fn keys_that_nothing_reads_fail() {
    changed(RUN, |run| run["aesthetic_score"] = 6.into(), &["runs/tiny_turbo_1step", "aesthetic_score"]);
    changed(RUN, |run| run["extra"] = json!({"denoising_end": 0.8}), &["runs/tiny_turbo_1step", "denoising_end"]);
    changed(RUN, |run| run["scheduler"]["new_switch"] = true.into(), &["nothing reads new_switch = true"]);
    changed(RUN, |run| run["tolerance"]["max_abs"] = 1.into(), &["max_abs"]);
    changed("cases/rng.json", |rng| rng["seed_kind"] = 1.into(), &["rng.json", "seed_kind"]);
    changed("set.json", |set| set["skipped"] = 1.into(), &["set.json", "skipped"]);
}

#[test]
fn tensors_that_nothing_reads_fail() {
    let set = Set::new();
    let bytes = std::fs::read(set.path(GOLDEN)).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = file.tensors();
    let copied = tensors.iter().find(|(name, _)| name == "noise.0").unwrap().1.clone();
    tensors.push(("controlnet_cond".to_string(), copied));
    std::fs::write(set.path(GOLDEN), safetensors::serialize(tensors, None).unwrap()).unwrap();
    set.fails(&["controlnet_cond", "not as the manifest describes it"]);
    set.edit(RUN, |run| run["tensors"]["controlnet_cond"] = run["tensors"]["noise.0"].clone());
    set.fails(&["tensors that nothing reads: controlnet_cond"]);
}

#[test]
fn what_is_said_must_be_so() {
    changed(RUN, |run| run["seed"] = 6.into(), &["noise.0 is not what the seed draws"]);
    changed(RUN, |run| run["tolerance"]["rel_l2"] = 0.01.into(), &["tolerance", "wider"]);
    changed(RUN, |run| run["prompt"] = "a green crown".into(), &["unet_encoder_hidden_states"]);
    changed(RUN, |run| run["kind"] = "img2img".into(), &["index.json and the manifest differ"]);
    changed(RUN, |run| run["pipeline_class"] = "StableDiffusionXLPipeline".into(), &["StableDiffusionXLPipeline"]);
    let families = json!({"LoRA": "tiny_turbo_1step"});
    changed("set.json", |set| set["families"] = families, &["tiny_turbo_1step is no run of LoRA"]);
}

#[test]
fn a_refused_case_fails_unless_the_set_lists_it_with_a_reason() {
    let set = Set::new();
    let unsupported = |reason: &str| json!({"runs/tiny_turbo_1step": reason});
    set.edit("set.json", |file| file["unsupported"] = unsupported("no such sampler"));
    set.fails(&["passes, and its set lists it as unsupported"]);
    set.edit(RUN, |run| run["scheduler"]["_class_name"] = "DEISMultistepScheduler".into());
    let report = set.report();
    assert!(report.is_ok() && report.ignored == 1, "{:?}", report.failed);
    set.edit("set.json", |file| file["unsupported"] = unsupported(" "));
    set.fails(&["listed as unsupported without a reason"]);
    set.edit("set.json", |file| file["unsupported"] = json!({"runs/another": "gone"}));
    set.fails(&["not supported: scheduler", "DEISMultistepScheduler"]);
    set.fails(&["runs/another is listed as unsupported and is not a case"]);
}
