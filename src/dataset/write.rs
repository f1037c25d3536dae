//! A rendered split on disk: `images.safetensors` and `captions.jsonl`, in the same order.

use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use super::caption::caption;
use super::sample::{Split, Stickers};
use super::scene::Scene;
use crate::error::{Error, Result};

/// One line of `captions.jsonl`: the caption and the truth that it tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Row of `images`.
    pub index: u64,
    /// What the picture is trained with.
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
        Ok(Record { index: i, caption: caption(&scene), ids, scene })
    }
}

/// Renders samples 0..`count` of a split into `folder`: `images.safetensors` with `images` (u8, `[count, size, size, 3]`)
/// and `captions.jsonl` with one [`Record`] a line. `progress` is told how many are done.
///
/// # Errors
/// [`Error::Io`]; as [`Stickers::sample`] and [`Stickers::render`].
pub fn write_split(
    stickers: &Stickers,
    (seed, split): (u64, Split),
    (count, size): (usize, usize),
    folder: &Path,
    mut progress: impl FnMut(usize),
) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let captions_path = folder.join("captions.jsonl");
    let captions = std::fs::File::create(&captions_path).map_err(Error::io(&captions_path))?;
    let mut captions = std::io::BufWriter::new(captions);
    let mut pixels = Vec::with_capacity(count * size * size * 3);
    for i in 0..count {
        let record = stickers.record(seed, split, i as u64)?;
        pixels.extend(stickers.render(&record.scene, size)?.rgb);
        let line = serde_json::to_string(&record).map_err(|e| Error::io(&captions_path)(e.into()))?;
        writeln!(captions, "{line}").map_err(Error::io(&captions_path))?;
        progress(i + 1);
    }
    captions.flush().map_err(Error::io(&captions_path))?;
    let path = folder.join("images.safetensors");
    let failed = |e: safetensors::SafeTensorError| Error::io(&path)(std::io::Error::other(e));
    let images = TensorView::new(Dtype::U8, vec![count, size, size, 3], &pixels).map_err(failed)?;
    safetensors::serialize_to_file([("images", images)], None, &path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn a_written_split_reads_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let stickers = testing::stickers();
        write_split(&stickers, (5, Split::Train), (12, 16), folder.path(), |_| ()).unwrap();
        let bytes = std::fs::read(folder.path().join("images.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let images = file.tensor("images").unwrap();
        assert_eq!(images.shape(), [12, 16, 16, 3]);
        let captions = std::fs::read_to_string(folder.path().join("captions.jsonl")).unwrap();
        let records = captions.lines().map(|l| serde_json::from_str::<Record>(l).unwrap()).collect::<Vec<_>>();
        assert_eq!(records.len(), 12);
        // Sample 7 by itself is row 7 of the file.
        let alone = stickers.render(&stickers.sample(5, Split::Train, 7).unwrap(), 16).unwrap();
        assert_eq!(records[7].scene, stickers.sample(5, Split::Train, 7).unwrap());
        assert_eq!(&images.data()[7 * 768..8 * 768], &alone.rgb[..]);
    }
}
