//! Writes a rendered split to disk: `images.safetensors`, or `images-00000.safetensors` and so on with alpha, and
//! `captions.jsonl` in the same order.

use std::io::Write;
use std::path::Path;

use rayon::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use super::sample::{Split, Stickers};
use super::scene::Scene;
use crate::error::{Error, Result};
use crate::picture::WHITE;

/// One line of `captions.jsonl`: the caption and what the picture shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Row of the tensor `images`.
    pub index: u64,
    /// The caption that the picture is trained with.
    pub caption: String,
    /// The concepts' indices in the pack.
    pub ids: Vec<usize>,
    /// What is drawn.
    #[serde(flatten)]
    pub scene: Scene,
}

impl Stickers {
    /// The scene and caption of sample `i`.
    ///
    /// # Errors
    /// As [`Stickers::sample`].
    pub fn record(&self, seed: u64, split: Split, i: u64) -> Result<Record> {
        let scene = self.sample(seed, split, i)?;
        let ids = scene.concepts.iter().map(|name| self.concept(name)).collect::<Result<_>>()?;
        Ok(Record { index: i, caption: self.caption(&scene)?, ids, scene })
    }
}

/// What to write of a split.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Number of samples, from 0.
    pub count: usize,
    /// Side of the pictures in pixels.
    pub size: usize,
    /// Whether pictures are cut out, in several files, instead of on white in one.
    pub alpha: bool,
}

/// Greatest number of pictures in a file with alpha.
const FILE_PICTURES: usize = 8192;
/// Greatest number of bytes of pictures in a file with alpha; a file is in memory until it is written.
const FILE_BYTES: usize = 512 << 20;
/// Pictures between two reports of progress.
const ROUND: usize = 256;

/// Renders a split into `folder`, on all cores: `captions.jsonl` with one [`Record`] a line, and the tensor `images`
/// (u8). On white that is `[count, size, size, 3]` in `images.safetensors`. With alpha it is `[n, size, size, 4]` with
/// colours multiplied by alpha, in `images-00000.safetensors` and so on, at most 8,192 pictures each. `progress` gets
/// the number of finished pictures.
///
/// # Errors
/// [`Error::Io`]; as [`Stickers::sample`] and [`Stickers::render`].
pub fn write_split(
    stickers: &Stickers,
    (seed, split): (u64, Split),
    output: Output,
    folder: &Path,
    mut progress: impl FnMut(usize),
) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    remove_old(folder)?;
    let captions_path = folder.join("captions.jsonl");
    let captions = std::fs::File::create(&captions_path).map_err(Error::io(&captions_path))?;
    let mut captions = std::io::BufWriter::new(captions);
    let one = |i: usize| -> Result<(String, Vec<u8>)> {
        let record = stickers.record(seed, split, i as u64)?;
        let line = serde_json::to_string(&record).map_err(|e| Error::io(&captions_path)(e.into()))?;
        Ok((line, picture(stickers, &record.scene, output)?))
    };
    let in_file = output.pictures_in_file();
    for (number, first) in (0..output.count).step_by(in_file).enumerate() {
        let end = output.count.min(first + in_file);
        let mut pixels = Vec::with_capacity((end - first) * output.picture_bytes());
        for start in (first..end).step_by(ROUND) {
            let round = start..end.min(start + ROUND);
            let done = round.end;
            for (line, picture) in round.into_par_iter().map(one).collect::<Result<Vec<_>>>()? {
                pixels.extend(picture);
                writeln!(captions, "{line}").map_err(Error::io(&captions_path))?;
            }
            progress(done);
        }
        let name = if output.alpha { format!("images-{number:05}.safetensors") } else { "images.safetensors".into() };
        write_images(&folder.join(name), output, &pixels)?;
    }
    captions.flush().map_err(Error::io(&captions_path))
}

impl Output {
    fn channels(self) -> usize {
        if self.alpha { 4 } else { 3 }
    }

    fn picture_bytes(self) -> usize {
        self.size * self.size * self.channels()
    }

    fn pictures_in_file(self) -> usize {
        match self.alpha {
            true => (FILE_BYTES / self.picture_bytes().max(1)).clamp(1, FILE_PICTURES),
            false => self.count.max(1),
        }
    }
}

fn picture(stickers: &Stickers, scene: &Scene, output: Output) -> Result<Vec<u8>> {
    match output.alpha {
        true => Ok(stickers.render_layer(scene, output.size)?.bytes()),
        false => Ok(stickers.render(scene, output.size)?.over(WHITE).into_owned().rgb),
    }
}

fn write_images(path: &Path, output: Output, pixels: &[u8]) -> Result<()> {
    let failed = |e: safetensors::SafeTensorError| Error::io(path)(std::io::Error::other(e));
    let shape = vec![pixels.len() / output.picture_bytes(), output.size, output.size, output.channels()];
    let images = TensorView::new(Dtype::U8, shape, pixels).map_err(failed)?;
    safetensors::serialize_to_file([("images", images)], None, path).map_err(failed)
}

/// Removes the pictures of an earlier split, which may have had more files.
fn remove_old(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("images") && name.ends_with(".safetensors") {
            std::fs::remove_file(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Artist, testing};
    use super::*;

    #[test]
    fn a_written_split_reads_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let stickers = testing::stickers();
        write_split(&stickers, (5, Split::Train), Output { count: 12, size: 16, alpha: false }, folder.path(), |_| ())
            .unwrap();
        let bytes = std::fs::read(folder.path().join("images.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let images = file.tensor("images").unwrap();
        assert_eq!(images.shape(), [12, 16, 16, 3]);
        let captions = std::fs::read_to_string(folder.path().join("captions.jsonl")).unwrap();
        let records = captions.lines().map(|l| serde_json::from_str::<Record>(l).unwrap()).collect::<Vec<_>>();
        assert_eq!(records.len(), 12);
        // Sample 7 alone equals row 7 of the file.
        let alone = stickers.render(&stickers.sample(5, Split::Train, 7).unwrap(), 16).unwrap();
        assert_eq!(records[7].scene, stickers.sample(5, Split::Train, 7).unwrap());
        assert_eq!(&images.data()[7 * 768..8 * 768], &alone.rgb[..]);
    }
    #[test]
    fn with_alpha_a_split_is_cut_out_and_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let stickers = testing::stickers();
        let output = Output { count: 300, size: 16, alpha: true };
        let write = || {
            write_split(&stickers, (5, Split::Train), output, folder.path(), |_| ()).unwrap();
            ["images-00000.safetensors", "captions.jsonl"].map(|name| std::fs::read(folder.path().join(name)).unwrap())
        };
        std::fs::write(folder.path().join("images-00007.safetensors"), "of another split").unwrap();
        let files = write();
        assert!(files == write(), "the same bytes");
        assert!(!folder.path().join("images-00007.safetensors").exists());
        let file = safetensors::SafeTensors::deserialize(&files[0]).unwrap();
        let images = file.tensor("images").unwrap();
        assert_eq!(images.shape(), [300, 16, 16, 4]);
        assert!(images.data().chunks_exact(4).all(|p| p[..3].iter().all(|c| *c <= p[3])), "no colour exceeds alpha");
        for (i, picture) in images.data().chunks_exact(16 * 16 * 4).enumerate() {
            let scene = stickers.sample(5, Split::Train, i as u64).unwrap();
            assert_eq!(picture[3], if scene.background.is_some() { 255 } else { 0 }, "{scene:?}");
        }
    }

    #[test]
    fn files_with_alpha_hold_so_many_pictures() {
        let files = |size| Output { count: 100_000, size, alpha: true }.pictures_in_file();
        assert_eq!([64, 128, 256, 512].map(files), [8192, 8192, 2048, 512]);
    }

    #[test]
    fn every_drawing_has_its_row_with_its_artist() {
        let stickers = testing::drawn();
        let rows = (0..stickers.drawings() as u64).map(|i| stickers.record(0, Split::Glyphs, i).unwrap().scene);
        let rows = rows.map(|scene| (scene.concepts[0].clone(), scene.artist.unwrap())).collect::<Vec<_>>();
        let expected =
            [("fox", Artist::Noto), ("fox", Artist::Fluent), ("fox", Artist::Twemoji), ("bat", Artist::Fluent)];
        assert!(rows.iter().map(|(name, artist)| (name.as_str(), *artist)).eq(expected), "{rows:?}");
        let corner = |i| {
            let scene = stickers.sample(0, Split::Glyphs, i).unwrap();
            stickers.render_layer(&scene, 32).unwrap().bytes()[..4].to_vec()
        };
        assert_eq!([corner(0), corner(1)], [[200, 0, 0, 255], [0, 200, 0, 255]], "each by its own artist");
        assert!(stickers.sample(0, Split::Glyphs, 4).is_err());
    }
}
