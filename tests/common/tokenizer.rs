//! The tokenizer cases of a set: the texts of `cases/tokenizer.json`, for the tokenizer in `tokenizer/` and for each one
//! of a pipeline. A pipeline's folder may lack the vocabulary, which is then that of `tokenizer/`.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use fourstep::text::Tokenizer;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{Case, Failure, Measured, Suite, folders};

/// `cases/tokenizer.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    bos: i64,
    eos: i64,
    max_length: usize,
    pad_eot: i64,
    pad_bang: i64,
    #[serde(rename = "rule")]
    _rule: IgnoredAny,
    cases: Vec<Text>,
}

/// A text and its ids, without begin and end; `ids_bang` where they differ for tokenizers that pad with `!`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
    ids: Vec<i64>,
    ids_bang: Option<Vec<i64>>,
}

/// One case a tokenizer folder: all texts must give exactly the golden ids.
pub fn cases(suite: &Suite) -> Result<Vec<Case<'_>>, String> {
    let manifest: Rc<Manifest> = Rc::new(suite.json("cases/tokenizer.json")?);
    if manifest.cases.is_empty() {
        return Err("tokenizer.json: no cases".to_string());
    }
    let case = |folder: PathBuf| {
        let place = folder.strip_prefix(&suite.reference).unwrap_or(&folder).display().to_string();
        let manifest = manifest.clone();
        Case::new(format!("tokenizer/{place}"), move || {
            folder_case(&manifest, &folder, &suite.reference.join("tokenizer"))?;
            Ok(Measured { error: 0.0, tolerance: 0.0 })
        })
    };
    Ok(tokenizers(suite)?.into_iter().map(case).collect())
}

fn folder_case(manifest: &Manifest, folder: &Path, shared: &Path) -> Result<(), Failure> {
    let either = |name: &str| read(&folder.join(name)).or_else(|_| read(&shared.join(name)));
    let config = read(&folder.join("tokenizer_config.json"))?;
    let map = read(&folder.join("special_tokens_map.json"))?;
    let tokenizer = Tokenizer::from_files(&either("vocab.json")?, &either("merges.txt")?, &config, Some(&map))?;
    let map: Value = serde_json::from_slice(&map).map_err(|error| error.to_string())?;
    let bang = map["pad_token"] == "!";
    let pad = if bang { manifest.pad_bang } else { manifest.pad_eot };
    let frame = Frame { bos: manifest.bos, eos: manifest.eos, pad, length: manifest.max_length };
    for case in &manifest.cases {
        let ids = case.ids_bang.as_ref().filter(|_| bang).unwrap_or(&case.ids);
        text_case(&tokenizer, &case.text, ids, &frame)?;
    }
    Ok(())
}

struct Frame {
    bos: i64,
    eos: i64,
    pad: i64,
    length: usize,
}

fn text_case(tokenizer: &Tokenizer, text: &str, golden: &[i64], frame: &Frame) -> Result<(), String> {
    let encoding = tokenizer.encode(text).map_err(|error| error.to_string())?;
    let ids: Vec<i64> = encoding.ids.into_iter().map(i64::from).collect();
    if ids != golden {
        return Err(format!("{text:?}: {ids:?}, the golden has {golden:?}"));
    }
    let room = frame.length - 2;
    let kept = &golden[..golden.len().min(room)];
    let mut padded = [&[frame.bos], kept, &[frame.eos]].concat();
    padded.resize(frame.length, frame.pad);
    let mine = tokenizer.encode_padded(text).map_err(|error| error.to_string())?;
    if mine.ids != padded {
        return Err(format!("{text:?}, padded: {:?}, the rule gives {padded:?}", mine.ids));
    }
    match mine.truncated {
        Some(rest) if golden.len() > room && !rest.is_empty() && text.ends_with(&rest) => Ok(()),
        None if golden.len() <= room => Ok(()),
        other => Err(format!("{text:?} of {} tokens: cut off {other:?}", golden.len())),
    }
}

/// `tokenizer/`, and every folder of a pipeline whose name begins with it.
fn tokenizers(suite: &Suite) -> Result<Vec<PathBuf>, String> {
    let is_tokenizer =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tokenizer"));
    let mut found: Vec<PathBuf> = folders(&suite.reference)?.into_iter().filter(is_tokenizer).collect();
    for pipeline in folders(&suite.reference.join(&suite.expected.pipelines))? {
        found.extend(folders(&pipeline)?.into_iter().filter(is_tokenizer));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
