//! `fourstep edit`, `generate --edit` and `adapt`: what they write, and which options they refuse.

mod copied;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fourstep::picture::Picture;
use tempfile::TempDir;

use copied::copy;

/// A folder with a picture.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let picture = Picture::opaque(64, 64, (0..64 * 64 * 3).map(|i| (i * 7 % 251) as u8).collect());
        std::fs::write(desk.path("in.png"), picture.to_png(None).unwrap()).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `fourstep` in the folder, with the tiny model that the tests have.
    fn run(&self, args: &[&str]) -> Output {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reference/pipelines/sd15");
        let folder = self.path("model");
        if !folder.exists() {
            copy(&model, &folder);
            copy(&model.join("../../tokenizer"), &folder.join("tokenizer"));
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_fourstep"));
        command.current_dir(self.0.path()).args(args).args(["--model", "model"]).output().unwrap()
    }

    fn does(&self, args: &[&str], files: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().collect::<Vec<_>>(), files, "{args:?}");
        stderr(&output)
    }

    fn refuses(&self, args: &[&str], words: &str) {
        let output = self.run(args);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(words), "{words:?} is not in {said:?}");
        assert!(!self.path("out.png").exists(), "{args:?}: wrote a picture all the same");
    }

    fn picture(&self, name: &str) -> Picture {
        Picture::read_png(&self.path(name)).unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const EDIT: [&str; 6] = ["edit", "a blue fox", "--image", "in.png", "--out", "out.png"];
const IMAGIC: [&str; 8] = ["--method", "imagic", "--embedding-steps", "3", "--adapter-steps", "3", "--steps", "2"];

#[test]
fn an_option_of_another_method_is_refused() {
    let desk = Desk::new();
    let refuses = |more: &[&str], words: &str| desk.refuses(&[&EDIT, more].concat(), words);
    for option in ["--eta", "--embedding-steps", "--embedding-rate", "--adapter-steps", "--adapter-rate", "--rank"] {
        refuses(&[option, "1"], &format!("{option}: only --method imagic has it"));
    }
    refuses(&["--fit-batch", "1", "--method", "infedit"], "--fit-batch: only --method imagic has it");
    refuses(&["--n-min", "1", "--method", "infedit"], "--n-min: only --method flowedit has it");
    let refuses = |more: &[&str], words: &str| refuses(&[&IMAGIC, more].concat(), words);
    refuses(&["--strength", "0.5"], "--strength: --method imagic has --eta instead");
    refuses(&["--source-guidance", "1"], "--source-guidance: --method imagic does not have it");
    refuses(&["--n-avg", "2"], "--n-avg: --method imagic does not have it");
    refuses(&["--n-min", "2"], "--n-min: only --method flowedit has it");
    refuses(&["--eta", "0.5,1.5"], "--eta: use numbers from 0 to 1");
    refuses(&["--embedding-rate", "0"], "learning rate = 0: must be above 0");
}

#[test]
fn imagic_writes_strip_curves_and_an_edit_that_generate_draws() {
    let desk = Desk::new();
    let imagic = [&EDIT[..], &IMAGIC, &["--eta", "0.5", "--seed", "3"]].concat();
    let said = desk.does(&imagic, &["out.png", "out.svg", "out.safetensors"]);
    assert!(said.contains("embedding: loss") && said.contains("adapters: loss"), "{said}");
    assert!(std::fs::read_to_string(desk.path("out.svg")).unwrap().starts_with("<svg"));
    let generate = ["generate", "--edit", "out.safetensors", "--out", "again.png"];
    desk.does(&generate, &["again.png"]);
    let again = desk.picture("again.png");
    assert_eq!((again.width, again.height), (64, 64));
    desk.does(&[&generate[..], &["--eta", "1"]].concat(), &["again.png"]);
    assert!(desk.picture("again.png") != again);
    // The picture at eta 0.5 stands in the strip, too.
    let strip = desk.picture("out.png");
    let rows: Vec<&[u8]> = strip.rgb.chunks_exact(3 * strip.width).collect();
    let holds = |x: usize, y: usize| {
        again.rgb.chunks_exact(3 * 64).enumerate().all(|(i, row)| {
            let there = &rows[y + i][3 * x..3 * (x + 64)];
            there.iter().zip(row).all(|(a, b)| a.abs_diff(*b) <= 1)
        })
    };
    let places = (0..=strip.height - 64).flat_map(|y| (0..=strip.width - 64).map(move |x| (x, y)));
    assert!(places.into_iter().any(|(x, y)| holds(x, y)), "the strip does not hold the picture");
    let refused = |args: &[&str], words: &str| {
        let output = desk.run(args);
        assert!(output.status.code() == Some(2) && stderr(&output).contains(words), "{words:?}: {}", stderr(&output));
    };
    refused(&[&generate[..], &["--eta", "2"]].concat(), "--eta: use a number from 0 to 1");
    refused(&[&generate[..], &["--negative", "x"]].concat(), "cannot be used with");
    refused(&["generate", "a fox", "--eta", "0.5", "--out", "x.png"], "--eta: only --edit has it");
    refused(&["generate", "--edit", "in.png", "--out", "x.png"], "in.png: ");
    refused(&["generate", "--out", "x.png"], "PROMPT");
}

#[test]
fn adapt_writes_an_adapter_that_generate_reads() {
    let desk = Desk::new();
    let adapt = ["adapt", "a zib", "--image", "in.png", "--image", "in.png", "--out", "zib.safetensors"];
    let said = desk.does(&[&adapt[..], &["--steps", "4", "--rate", "0.02"]].concat(), &["zib.safetensors"]);
    assert!(said.contains("adapters: loss"), "{said}");
    let generate = ["generate", "a zib", "--steps", "2", "--width", "64", "--height", "64", "--out", "zib.png"];
    desk.does(&generate, &["zib.png"]);
    let without = desk.picture("zib.png");
    desk.does(&[&generate[..], &["--lora", "zib.safetensors"]].concat(), &["zib.png"]);
    assert!(desk.picture("zib.png") != without);
    let refused = |args: &[&str], words: &str| {
        let output = desk.run(args);
        assert!(output.status.code() == Some(2) && stderr(&output).contains(words), "{words:?}: {}", stderr(&output));
    };
    refused(&["adapt", "a zib", "--out", "x.safetensors"], "--image");
    refused(&["adapt", "a zib", "--image", "model/unet/config.json", "--out", "x.safetensors"], "--image");
    refused(&[&adapt[..], &["--steps", "0"]].concat(), "steps = 0");
}
