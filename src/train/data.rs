//! Batches for the trainers, made on worker threads. Batch number n depends only on the configuration and on n, so a
//! resumed run gets the same batches as one that was not stopped.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use super::pictures::{Pictures, Source};
use crate::dataset::{Captioned, Folder, Pack, Recipe, Split, Stickers};
use crate::picture::Picture;
use crate::random::{self, Generator, Mt19937};
use crate::text::Tokenizer;
use crate::{Error, Result};

/// Pictures for the autoencoder.
pub struct PictureBatch {
    /// `[batch, channels, size, size]` in [-1, 1].
    pub pictures: Vec<f32>,
    /// Standard normal noise, in the shape of the latents.
    pub noise: Vec<f32>,
}

/// Captioned pictures or latents for the diffusion model.
pub struct CaptionedBatch {
    /// The pictures or latents.
    pub content: Content,
    /// Token ids of each caption; those of the empty text if the caption was dropped.
    pub ids: Vec<Vec<i64>>,
    /// Timestep of each sample.
    pub timesteps: Vec<usize>,
    /// Standard normal noise, in the shape of the latents.
    pub noise: Vec<f32>,
}

/// The pictures of a batch.
pub enum Content {
    /// `[batch, channels, size, size]` in [-1, 1], not encoded yet.
    Pictures(Vec<f32>),
    /// `[batch, channels, height, width]`, already encoded.
    Latents(Vec<f32>),
}

/// Latents of the first training pictures.
pub struct LatentStore {
    /// The latents, one picture's after another's.
    pub values: Vec<f32>,
    /// Numbers in the latents of one picture.
    pub each: usize,
}

/// The captioned pictures of a run, from a pack or a folder.
///
/// # Errors
/// As [`stickers`], or those of reading the folder.
pub fn captioned(pictures: &Pictures) -> Result<Arc<dyn Captioned>> {
    Ok(match pictures.source()? {
        Source::Folder(folder) => Arc::new(Folder::open(folder, pictures.size)?),
        Source::Stickers { .. } => Arc::new(stickers(pictures)?),
    })
}

/// The stickers for a run that needs to know what each picture shows.
///
/// # Errors
/// Those of reading the pack and the recipe; [`Error::Config`] for a folder of pictures.
pub fn stickers(pictures: &Pictures) -> Result<Stickers> {
    let (pack, recipe) = pack(pictures)?;
    Stickers::new(pack, recipe)
}

/// Every glyph of the pack, with the recipe's other settings; none for a folder.
///
/// # Errors
/// Those of reading the pack and the recipe.
pub fn all_glyphs(pictures: &Pictures) -> Result<Option<Stickers>> {
    if let Source::Folder(_) = pictures.source()? {
        return Ok(None);
    }
    let (pack, mut recipe) = pack(pictures)?;
    recipe.concepts = pack.everything();
    Stickers::new(pack, recipe).map(Some)
}

fn pack(pictures: &Pictures) -> Result<(Pack, Recipe)> {
    let Source::Stickers { pack, recipe } = pictures.source()? else {
        let reason = "folder: this command needs pack and recipe, which say what is in each picture";
        return Err(Error::Config { file: "pictures".into(), reason: reason.into() });
    };
    let recipe = Recipe::read(recipe)?;
    Ok((Pack::read(pack, recipe.raster_side(pictures.size))?, recipe))
}

/// Draws the batches of an autoencoder.
pub struct PictureSource {
    /// The pictures; their captions are not used.
    pub pictures: Arc<dyn Captioned>,
    /// Plain glyphs, if there are any.
    pub glyphs: Option<Arc<Stickers>>,
    /// Seed of every draw.
    pub seed: u64,
    /// Pictures in a batch.
    pub batch: usize,
    /// Number of plain glyphs among them.
    pub plain: usize,
    /// Side of the pictures in pixels.
    pub size: usize,
    /// Channels of the pictures: 3, or 4 with alpha.
    pub channels: usize,
    /// Numbers in the latents of a picture.
    pub latent: usize,
}

impl PictureSource {
    /// Batch `n`.
    ///
    /// # Errors
    /// Those of drawing and rendering.
    pub fn batch(&self, n: u64) -> Result<PictureBatch> {
        let mut random = random::stream(self.seed, "train.glyphs", n);
        let mut pictures = Vec::with_capacity(self.batch * self.channels * self.size * self.size);
        for i in 0..self.batch {
            let picture = match &self.glyphs {
                Some(glyphs) if i < self.plain => {
                    glyphs.glyph(&glyphs.names[below(&mut random, glyphs.names.len())], self.size)?
                }
                _ => {
                    let index = n * self.batch as u64 + i as u64;
                    self.pictures.picture_at(self.seed, Split::Train, index, self.size)?
                }
            };
            pictures.extend(picture.planes(self.channels));
        }
        let noise = random::stream(self.seed, "train.noise", n).randn(self.batch * self.latent);
        Ok(PictureBatch { pictures, noise })
    }
}

/// Draws the batches of a diffusion model.
pub struct CaptionedSource {
    /// The captioned pictures.
    pub pictures: Arc<dyn Captioned>,
    /// Tokenizer of the captions.
    pub tokenizer: Tokenizer,
    /// Encoded pictures to sample from; none to compose new ones.
    pub store: Option<LatentStore>,
    /// Seed of every draw.
    pub seed: u64,
    /// Samples in a batch.
    pub batch: usize,
    /// Side of the pictures in pixels.
    pub size: usize,
    /// Channels of the pictures: 3, or 4 with alpha.
    pub channels: usize,
    /// Numbers in the latents of a picture.
    pub latent: usize,
    /// Probability that a caption is replaced by the empty text.
    pub caption_dropout: f32,
    /// Number of training timesteps; they are drawn from 0 to this, exclusive.
    pub num_train_timesteps: usize,
}

impl CaptionedSource {
    /// Batch `n`.
    ///
    /// # Errors
    /// Those of drawing, rendering and encoding the captions.
    pub fn batch(&self, n: u64) -> Result<CaptionedBatch> {
        let indices = self.indices(n);
        let dropped = random::stream(self.seed, "train.caption_dropout", n).rand(self.batch);
        let empty = self.tokenizer.encode_padded("")?.ids;
        let mut ids = Vec::with_capacity(self.batch);
        let mut content = Vec::new();
        for (index, dropped) in indices.iter().zip(dropped) {
            match &self.store {
                Some(store) => content.extend(&store.values[*index as usize * store.each..][..store.each]),
                None => {
                    let picture = self.pictures.picture_at(self.seed, Split::Train, *index, self.size)?;
                    content.extend(picture.planes(self.channels));
                }
            }
            ids.push(match dropped < self.caption_dropout {
                true => empty.clone(),
                false => {
                    let caption = self.pictures.caption_at(self.seed, Split::Train, *index)?;
                    self.tokenizer.encode_padded(&caption)?.ids
                }
            });
        }
        let mut random = random::stream(self.seed, "train.timesteps", n);
        let timesteps = (0..self.batch).map(|_| below(&mut random, self.num_train_timesteps)).collect();
        let noise = random::stream(self.seed, "train.noise", n).randn(self.batch * self.latent);
        let content = match self.store {
            Some(_) => Content::Latents(content),
            None => Content::Pictures(content),
        };
        Ok(CaptionedBatch { content, ids, timesteps, noise })
    }

    /// Numbers of the batch's samples in the training set.
    fn indices(&self, n: u64) -> Vec<u64> {
        match &self.store {
            Some(store) => {
                let mut random = random::stream(self.seed, "train.order", n);
                (0..self.batch).map(|_| below(&mut random, store.values.len() / store.each) as u64).collect()
            }
            None => (0..self.batch as u64).map(|i| n * self.batch as u64 + i).collect(),
        }
    }
}

/// Batches in order, made in advance by `workers` threads. The batches do not depend on the number of threads.
pub struct Prefetch<B> {
    queues: Vec<Receiver<Result<B>>>,
    next: usize,
}

impl<B: Send + 'static> Prefetch<B> {
    /// Starts at batch `first`. The threads end when this is dropped, or after an error.
    pub fn start(first: u64, workers: usize, make: impl Fn(u64) -> Result<B> + Send + Sync + 'static) -> Result<Self> {
        let make = Arc::new(make);
        let workers = workers.max(1);
        let mut queues = Vec::with_capacity(workers);
        for worker in 0..workers {
            let (sender, receiver) = sync_channel(2);
            let make = Arc::clone(&make);
            let work = move || {
                for n in (first + worker as u64..).step_by(workers) {
                    let batch = make(n);
                    let failed = batch.is_err();
                    if sender.send(batch).is_err() || failed {
                        return;
                    }
                }
            };
            let thread = std::thread::Builder::new().name(format!("batches {worker}"));
            thread.spawn(work).map_err(Error::io("a thread for batches"))?;
            queues.push(receiver);
        }
        Ok(Self { queues, next: 0 })
    }

    /// The next batch, waiting for it.
    ///
    /// # Errors
    /// Those of making it.
    pub fn next_batch(&mut self) -> Result<B> {
        let queue = self.next;
        self.next = (queue + 1) % self.queues.len();
        let ended = |_| Error::Request("the thread that makes batches has ended".into());
        self.queues[queue].recv().map_err(ended)?
    }
}

/// Appends the planes of a picture, red, green and blue, in [-1, 1]; transparent parts are put on white.
pub fn push_planes(picture: &Picture, planes: &mut Vec<f32>) {
    planes.extend(picture.planes(3));
}

/// Uniform over 0..n; the modulo's bias is below n / 2^32.
fn below(random: &mut Mt19937, n: usize) -> usize {
    random.next_u32() as usize % n
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::testing;

    #[test]
    fn batches_come_in_order_from_any_number_of_workers() {
        for workers in [1, 3] {
            let mut batches = Prefetch::start(7, workers, Ok).unwrap();
            let got: Vec<u64> = (0..10).map(|_| batches.next_batch().unwrap()).collect();
            assert_eq!(got, (7..17).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_reaches_the_reader() {
        let make = |n| if n == 2 { Err(Error::Request("no batch 2".into())) } else { Ok(n) };
        let mut batches = Prefetch::start(0, 2, make).unwrap();
        assert!(batches.next_batch().is_ok() && batches.next_batch().is_ok());
        assert_eq!(batches.next_batch().unwrap_err().to_string(), "no batch 2");
    }

    #[test]
    fn a_batch_is_the_same_whenever_it_is_made() {
        let source = || PictureSource {
            pictures: Arc::new(testing::stickers()),
            glyphs: Some(Arc::new(testing::stickers())),
            seed: 3,
            batch: 4,
            plain: 2,
            size: 16,
            channels: 3,
            latent: 6,
        };
        let (one, two) = (source(), source());
        let first = one.batch(5).unwrap();
        one.batch(6).unwrap();
        let again = two.batch(5).unwrap();
        assert_eq!((&first.pictures, &first.noise), (&again.pictures, &again.noise));
        assert_ne!(first.pictures, two.batch(6).unwrap().pictures);
        assert_eq!((first.pictures.len(), first.noise.len()), (4 * 3 * 16 * 16, 24));
        assert!(first.pictures.iter().all(|v| (-1.0..=1.0).contains(v)));
    }

    #[test]
    fn planes_are_red_green_blue() {
        let mut planes = Vec::new();
        push_planes(&Picture::opaque(2, 1, vec![0, 255, 51, 255, 0, 0]), &mut planes);
        assert_eq!(planes, [-1.0, 1.0, 1.0, -1.0, -0.6, -1.0]);
    }
}
