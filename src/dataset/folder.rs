//! A folder of the user's own captioned pictures, in the layout of Hugging Face's imagefolder or with a text file
//! beside each picture.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;

use super::captioned::Captioned;
use super::sample::Split;
use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::random;

/// A folder of PNG and JPEG files with captions: `fox.txt` beside `fox.png`, or lines `{"file_name": "fox.png", "text":
/// "a fox"}` of `metadata.jsonl`, whose other keys are ignored. Subfolders count, hidden files do not.
pub struct Folder {
    /// Caption and picture, in the order of the files' names.
    samples: Vec<(String, Picture)>,
}

impl Folder {
    /// Reads the whole folder and keeps each picture as a square with sides of `size` pixels ([`Picture::covered`]).
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadFile`] that names a picture without a caption or one that cannot be read, a caption
    /// without a picture, or a folder without pictures.
    pub fn open(folder: &Path, size: usize) -> Result<Self> {
        let mut files = BTreeSet::new();
        collect(folder, Path::new(""), &mut files)?;
        let pictures: Vec<&PathBuf> = files.iter().filter(|file| has_kind(file, &READ)).collect();
        if let Some(other) = files.iter().find(|file| has_kind(file, &NOT_READ)) {
            return Err(bad(folder.join(other), "pictures must be PNG or JPEG files"));
        }
        if pictures.is_empty() {
            return Err(bad(folder.to_owned(), "no PNG or JPEG files in this folder"));
        }
        let captions = match files.contains(Path::new(METADATA)) {
            true => listed(folder, &files)?,
            false => beside(folder, &files)?,
        };
        let one = |file: &&PathBuf| {
            let caption = captions.get(*file).ok_or_else(|| {
                let text = file.with_extension("txt");
                bad(folder.join(file), &format!("no caption: write {}, or a line of {METADATA}", text.display()))
            })?;
            Ok((caption.clone(), Picture::read(&folder.join(file))?.covered(size)))
        };
        Ok(Self { samples: pictures.par_iter().map(one).collect::<Result<_>>()? })
    }

    /// Sample `i` of training. Each epoch shows every picture once, in its own order.
    fn sample(&self, seed: u64, split: Split, i: u64) -> Result<&(String, Picture)> {
        if split != Split::Train {
            return Err(Error::Request(format!("a folder of pictures has no split {split:?}")));
        }
        let count = self.samples.len() as u64;
        let mut random = random::stream(seed, "dataset.folder", i / count);
        let mut below = || u64::from(random.next_u32()) % count;
        let start = below();
        let stride = std::iter::repeat_with(|| 1 + below()).find(|stride| common_divisor(*stride, count) == 1);
        Ok(&self.samples[((start + i % count * stride.unwrap_or(1)) % count) as usize])
    }
}

impl Captioned for Folder {
    fn caption_at(&self, seed: u64, split: Split, i: u64) -> Result<String> {
        Ok(self.sample(seed, split, i)?.0.clone())
    }

    fn picture_at(&self, seed: u64, split: Split, i: u64, size: usize) -> Result<Picture> {
        Ok(self.sample(seed, split, i)?.1.covered(size))
    }

    fn holds_out(&self) -> bool {
        false
    }
}

const METADATA: &str = "metadata.jsonl";
const READ: [&str; 3] = ["png", "jpg", "jpeg"];
/// Endings of other picture formats, which are errors instead of being ignored.
const NOT_READ: [&str; 10] = ["avif", "bmp", "gif", "heic", "heif", "jxl", "svg", "tif", "tiff", "webp"];

/// A line of `metadata.jsonl`.
#[derive(Deserialize)]
struct Line {
    file_name: String,
    text: String,
}

/// The captions of `metadata.jsonl` by the pictures' files.
fn listed(folder: &Path, files: &BTreeSet<PathBuf>) -> Result<BTreeMap<PathBuf, String>> {
    let path = folder.join(METADATA);
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    let mut captions = BTreeMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |reason: String| bad(path.clone(), &format!("line {}: {reason}", number + 1));
        let line: Line = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let file: PathBuf = Path::new(&line.file_name).components().filter(|part| *part != Component::CurDir).collect();
        if !files.contains(&file) || !has_kind(&file, &READ) {
            return Err(wrong(format!("{} is no PNG or JPEG file of this folder", line.file_name)));
        }
        if files.contains(&file.with_extension("txt")) {
            return Err(wrong(format!("{} has a caption in a .txt file too: keep one", line.file_name)));
        }
        let caption = line.text.trim().to_owned();
        if caption.is_empty() {
            return Err(wrong(format!("the caption of {} is empty", line.file_name)));
        }
        if captions.insert(file, caption).is_some() {
            return Err(wrong(format!("{} has a caption already", line.file_name)));
        }
    }
    Ok(captions)
}

/// The captions of the `.txt` files by the pictures' files.
fn beside(folder: &Path, files: &BTreeSet<PathBuf>) -> Result<BTreeMap<PathBuf, String>> {
    let (mut captions, mut used) = (BTreeMap::new(), BTreeSet::new());
    for picture in files.iter().filter(|file| has_kind(file, &READ)) {
        let text = picture.with_extension("txt");
        if !files.contains(&text) {
            continue;
        }
        let path = folder.join(&text);
        let caption = std::fs::read_to_string(&path).map_err(Error::io(&path))?.trim().to_owned();
        if caption.is_empty() {
            return Err(bad(path, "the caption is empty"));
        }
        captions.insert(picture.clone(), caption);
        used.insert(text);
    }
    match files.iter().find(|file| has_kind(file, &["txt"]) && !used.contains(*file)) {
        Some(text) => Err(bad(folder.join(text), "a caption without a picture: no PNG or JPEG file has this name")),
        None => Ok(captions),
    }
}

/// The files below `folder/within`, by their paths below `folder`.
fn collect(folder: &Path, within: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    let place: PathBuf = folder.join(within).components().collect();
    for entry in std::fs::read_dir(&place).map_err(Error::io(&place))? {
        let entry = entry.map_err(Error::io(&place))?;
        let path = within.join(entry.file_name());
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        match folder.join(&path).is_dir() {
            true => collect(folder, &path, files)?,
            false => drop(files.insert(path)),
        }
    }
    Ok(())
}

fn has_kind(file: &Path, kinds: &[&str]) -> bool {
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| kinds.contains(&ending.as_str()))
}

fn bad(file: PathBuf, reason: &str) -> Error {
    Error::BadFile { file: file.display().to_string(), reason: reason.to_owned() }
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of a folder: pictures of one colour, everything else as text.
    fn made(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (at, (name, text)) in files.iter().enumerate() {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match has_kind(Path::new(name), &READ) && text.is_empty() {
                true => Picture::filled(6, 4, [at as u8, 0, 0]).write_png(&path).unwrap(),
                false => std::fs::write(path, text).unwrap(),
            }
        }
        folder
    }

    fn message(files: &[(&str, &str)]) -> String {
        let folder = made(files);
        let message = Folder::open(folder.path(), 4).map(|_| ()).unwrap_err().to_string();
        let place = folder.path().display().to_string();
        assert!(message.starts_with(&place), "{message}");
        message[place.len()..].trim_start_matches('/').to_owned()
    }

    #[test]
    fn texts_beside_pictures_and_lines_of_metadata_are_captions() {
        let beside =
            made(&[("b.png", ""), ("b.txt", " a bat\n"), ("in/a.JPEG", ""), ("in/a.txt", "a fox"), (".x.png", "")]);
        let lines = "{\"file_name\": \"b.png\", \"text\": \"a bat\", \"licence\": 1}\n\n{\"file_name\": \"./in/a.JPEG\", \"text\": \"a fox\"}";
        let listed =
            made(&[("b.png", ""), ("metadata.jsonl", lines), ("in/a.JPEG", ""), ("notes.txt", "not a caption")]);
        for folder in [beside, listed] {
            let folder = Folder::open(folder.path(), 4).unwrap();
            let captions: Vec<&str> = folder.samples.iter().map(|(caption, _)| caption.as_str()).collect();
            assert_eq!(captions, ["a bat", "a fox"]);
            assert_eq!(folder.samples[1].1, Picture::filled(4, 4, [2, 0, 0]));
            assert!(!folder.holds_out());
        }
    }

    #[test]
    fn every_round_shows_each_picture_once_in_an_order_of_its_own() {
        let samples = (0..12).map(|i| (format!("{i}"), Picture::filled(2, 2, [i, 0, 0]))).collect();
        let folder = Folder { samples };
        let round = |seed, from: u64| -> Vec<String> {
            (from..from + 12).map(|i| folder.caption_at(seed, Split::Train, i).unwrap()).collect()
        };
        let mut orders = BTreeSet::new();
        for (seed, number) in [(1, 0), (1, 1), (1, 2), (2, 0)] {
            let order = round(seed, 12 * number);
            assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 12, "{order:?}");
            assert_eq!(order, round(seed, 12 * number), "the same each time");
            orders.insert(order);
        }
        assert!(orders.len() > 1, "{orders:?}");
        for i in 0..12 {
            let level = folder.picture_at(1, Split::Train, i, 3).unwrap().pixel(2, 2)[0];
            assert_eq!(level.to_string(), folder.caption_at(1, Split::Train, i).unwrap());
        }
        let message = folder.caption_at(1, Split::HeldOut, 0).unwrap_err().to_string();
        assert!(message.contains("no split HeldOut"), "{message}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let line = |file: &str, text: &str| format!("{{\"file_name\": \"{file}\", \"text\": \"{text}\"}}\n");
        let (fox, bat) = (line("fox.png", "a fox"), line("bat.png", "a bat"));
        assert!(message(&[]).contains("no PNG or JPEG files in this folder"));
        assert!(
            message(&[("fox.png", "")]).starts_with("fox.png: no caption: write fox.txt, or a line of metadata.jsonl")
        );
        assert!(message(&[("fox.png", ""), ("fox.txt", " \n")]).starts_with("fox.txt: the caption is empty"));
        let alone = [("fox.png", ""), ("fox.txt", "a fox"), ("bat.txt", "a bat")];
        assert!(message(&alone).starts_with("bat.txt: a caption without a picture"));
        assert!(message(&[("fox.png", "no picture"), ("fox.txt", "a fox")]).starts_with("fox.png: neither a PNG"));
        assert!(
            message(&[("fox.png", ""), ("fox.txt", "a fox"), ("bat.webp", "")]).starts_with("bat.webp: pictures must")
        );
        let of = |metadata: &str| message(&[("fox.png", ""), ("metadata.jsonl", metadata)]);
        assert!(
            of(&(fox.clone() + &bat)).starts_with("metadata.jsonl: line 2: bat.png is no PNG or JPEG file of this")
        );
        assert!(of(&line("../fox.png", "a fox")).contains("line 1: ../fox.png is no PNG"));
        assert!(of("{\"file_name\": 1}").contains("metadata.jsonl: line 1: "));
        assert!(of(&fox.repeat(2)).contains("line 2: fox.png has a caption already"));
        assert!(of(&line("fox.png", " ")).contains("line 1: the caption of fox.png is empty"));
        assert!(of("").starts_with("fox.png: no caption"));
        let both = [("fox.png", ""), ("fox.txt", "a fox"), ("metadata.jsonl", fox.as_str())];
        assert!(message(&both).contains("line 1: fox.png has a caption in a .txt file too"));
        let nowhere = Folder::open(Path::new("nowhere"), 4).map(|_| ()).unwrap_err().to_string();
        assert!(nowhere.starts_with("nowhere: "), "{nowhere}");
    }
}
