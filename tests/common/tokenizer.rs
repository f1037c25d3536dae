//! The tokenizer cases of a reference set: the texts of `cases/tokenizer.json`, for the tokenizer in `tokenizer/` and for
//! each one of a pipeline. A pipeline's folder may lack the vocabulary, which is then that of `tokenizer/`.

use fourstep::text::Tokenizer;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// One case a tokenizer folder: 0 if all texts give exactly the golden ids, or what differs first.
pub fn cases(reference: &Path) -> Vec<(String, Result<f64, String>)> {
    let golden = match read(&reference.join("cases/tokenizer.json")).and_then(|bytes| json(&bytes)) {
        Ok(golden) => golden,
        Err(message) => return vec![("tokenizer".into(), Err(message))],
    };
    let shared = reference.join("tokenizer");
    let name = |folder: &Path| format!("tokenizer {}", folder.strip_prefix(reference).unwrap_or(folder).display());
    let all = folders(reference).into_iter();
    all.map(|folder| (name(&folder), folder_case(&golden, &folder, &shared).map(|()| 0.0))).collect()
}

fn folder_case(golden: &Value, folder: &Path, shared: &Path) -> Result<(), String> {
    let either = |name: &str| read(&folder.join(name)).or_else(|_| read(&shared.join(name)));
    let config = read(&folder.join("tokenizer_config.json"))?;
    let map = read(&folder.join("special_tokens_map.json"))?;
    let tokenizer = Tokenizer::from_files(&either("vocab.json")?, &either("merges.txt")?, &config, Some(&map));
    let tokenizer = tokenizer.map_err(|error| error.to_string())?;

    let number = |key: &str| golden[key].as_i64().ok_or(format!("tokenizer.json: no {key}"));
    let bang = json(&map)?["pad_token"] == "!";
    let frame = Frame {
        bos: number("bos")?,
        eos: number("eos")?,
        pad: number(if bang { "pad_bang" } else { "pad_eot" })?,
        length: number("max_length")? as usize,
    };
    let texts = golden["cases"].as_array().filter(|texts| !texts.is_empty()).ok_or("tokenizer.json: no cases")?;
    texts.iter().try_for_each(|case| {
        let text = case["text"].as_str().ok_or("tokenizer.json: a case without text")?;
        let ids = case.get("ids_bang").filter(|_| bang).unwrap_or(&case["ids"]);
        let ids = ids.as_array().and_then(|ids| ids.iter().map(Value::as_i64).collect::<Option<Vec<_>>>());
        let ids = ids.ok_or(format!("tokenizer.json: no ids for {text:?}"))?;
        text_case(&tokenizer, text, &ids, &frame)
    })
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
fn folders(reference: &Path) -> Vec<PathBuf> {
    let list = |path: PathBuf| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let is_tokenizer =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tokenizer"));
    let mut found: Vec<PathBuf> =
        list(reference.join("pipelines")).into_iter().flat_map(list).filter(is_tokenizer).collect();
    found.push(reference.join("tokenizer"));
    found.sort();
    found
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn json(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}
