//! Packs of the real npm packages: what is in them, that they come out the same, and what is said when one is missing.

use std::path::Path;
use std::process::{Command, Output};

use safetensors::SafeTensors;
use serde_json::Value;

const ARTISTS: [&str; 3] = ["noto", "fluent", "twemoji"];

fn dataset(arguments: &[&str], folder: &Path) -> Output {
    let repository = env!("CARGO_MANIFEST_DIR");
    assert!(
        Path::new(repository).join("node_modules/@iconify-json").exists(),
        "the npm packages of package-lock.json are not installed: run npm ci"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourstep"));
    command.current_dir(repository).arg("dataset").args(arguments);
    command.arg(if arguments[0] == "pack" { "--out" } else { "--pack" }).arg(folder.join("t.pack"));
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    assert_eq!(output.status.code(), Some(0), "{text}");
    text
}

/// The concepts of a pack, as its header has them.
fn concepts(pack: &[u8]) -> Vec<Value> {
    let (_, header) = SafeTensors::read_metadata(pack).unwrap();
    serde_json::from_str(&header.metadata().as_ref().unwrap()["concepts"]).unwrap()
}

#[test]
fn the_pack_has_the_things_that_people_send_and_all_their_words() {
    let folder = tempfile::tempdir().unwrap();
    let line = said(&dataset(&["pack"], folder.path()));
    let pack = std::fs::read(folder.path().join("t.pack")).unwrap();
    assert!(pack.len() < 30_000_000, "{} bytes", pack.len());
    dataset(&["pack"], folder.path());
    assert!(pack == std::fs::read(folder.path().join("t.pack")).unwrap(), "another pack the second time");

    let things = concepts(&pack);
    let text = |thing: &Value, key: &str| thing[key].as_str().unwrap().to_owned();
    let named = |name: &str| things.iter().find(|thing| text(thing, "name") == name);
    // Unicode's newer lists have more.
    assert!((1350..1500).contains(&things.len()), "{line}");
    for name in
        ["red heart", "woman: red hair", "smiling face with open hands", "polar bear", "wrapped gift", "person running"]
    {
        let thing = named(name).unwrap_or_else(|| panic!("no {name}"));
        let words = |key: &str| thing[key].as_array().map_or(0, Vec::len);
        assert!(words("keywords") > 0 && words("emojilib") > 0, "{thing}");
    }
    for name in ["keycap: 1", "flag: France", "one o’clock", "COOL button", "Aries", "family"] {
        assert!(named(name).is_none(), "{name}");
    }
    assert!(things.iter().all(|thing| !text(thing, "name").contains("skin tone")));
    assert!(things.iter().all(|thing| thing["emojilib"].as_array().is_some()), "emojilib has words for each of them");

    let tensors = SafeTensors::deserialize(&pack).unwrap();
    let drawn = ARTISTS.map(|artist| {
        let by = |thing: &&Value| tensors.tensor(&format!("{artist}/{}", text(thing, "codepoints"))).is_ok();
        things.iter().filter(by).count()
    });
    let listed = format!("{} by noto, {} by fluent, {} by twemoji", drawn[0], drawn[1], drawn[2]);
    assert!(line.contains(&listed) && line.contains(&format!("{} things", things.len())), "{line}");
    // Fluent has no couples.
    assert!(drawn.iter().all(|drawn| *drawn + 20 >= things.len()), "{line}");
}

#[test]
fn every_drawing_is_cut_out_and_fills_its_picture() {
    let folder = tempfile::tempdir().unwrap();
    said(&dataset(&["pack"], folder.path()));
    let out = folder.path().join("glyphs");
    let out = out.to_str().unwrap();
    said(&dataset(&["render", "--split", "glyphs", "--size", "64", "--alpha", "--out", out], folder.path()));
    let captions = std::fs::read_to_string(format!("{out}/captions.jsonl")).unwrap();
    let rows = captions.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
    let bytes = std::fs::read(format!("{out}/images-00000.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let images = file.tensor("images").unwrap();
    assert_eq!(images.shape(), [rows.len(), 64, 64, 4]);
    for (row, picture) in rows.iter().zip(images.data().chunks_exact(64 * 64 * 4)) {
        let what = format!("{} by {}", row["concepts"][0], row["artist"]);
        assert!(ARTISTS.iter().any(|artist| row["artist"] == *artist), "{what}");
        let alpha = |x: usize, y: usize| picture[4 * (64 * y + x) + 3];
        let ink = (0..64 * 64).map(|i| (i % 64, i / 64)).filter(|&(x, y)| alpha(x, y) > 12).collect::<Vec<_>>();
        let extent = |axis: fn(&(usize, usize)) -> usize| {
            let (low, high) = (ink.iter().map(axis).min().unwrap(), ink.iter().map(axis).max().unwrap());
            assert!(low > 0 && high < 63, "{what} is cut off");
            high - low + 1
        };
        let longest = extent(|p| p.0).max(extent(|p| p.1));
        assert!((58..=62).contains(&longest), "{what} is {longest} of 64 pixels long");
        // The least ink, in a white cane, is twice that.
        assert!(ink.len() > 150, "{what} has {} pixels", ink.len());
        assert!(picture.chunks_exact(4).all(|p| p[..3].iter().all(|c| *c <= p[3])), "{what}: colour beyond alpha");
    }
}

#[test]
fn a_missing_package_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    for (arguments, said) in [
        (["pack", "--icons", empty], "npm's package @iconify-json/noto"),
        (["pack", "--emojilib", "nowhere.json"], "npm's package emojilib"),
        (["pack", "--emoji-test", "nowhere.txt"], "Debian's package unicode-data"),
    ] {
        let output = dataset(&arguments, folder.path());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(said) && message.lines().count() == 1, "{message}");
    }
}
