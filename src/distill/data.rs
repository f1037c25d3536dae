//! Batches for distillation: pictures with captions, and a student's additional inputs. Batch number n depends only on
//! the configuration and on n.

use std::sync::Arc;

use super::config::Inputs;
use crate::Result;
use crate::dataset::{Says, Split, Stickers, caption};
use crate::random::{self, Generator, Mt19937};
use crate::train::data::{CaptionedBatch, CaptionedSource};

/// The data of one update.
pub struct DistillBatch {
    /// The number of the batch.
    pub number: u64,
    /// Pictures, prompts, noise, and timesteps from the whole schedule.
    pub captioned: CaptionedBatch,
    /// Padded ids of each negative prompt.
    pub negative: Vec<Vec<i64>>,
    /// The scale of each sample.
    pub guidance_scale: Vec<f32>,
    /// Uniform over 0..2^32; a run derives each sample's step from it.
    pub place: Vec<u32>,
}

/// Draws the batches.
pub struct DistillSource {
    /// Pictures and prompts.
    pub captioned: CaptionedSource,
    /// The same dataset, for negative prompts.
    pub stickers: Arc<Stickers>,
    /// How the other inputs are drawn.
    pub inputs: Inputs,
}

impl DistillSource {
    /// Batch `n`.
    ///
    /// # Errors
    /// Those of drawing, rendering and encoding the captions.
    pub fn batch(&self, n: u64) -> Result<DistillBatch> {
        let (seed, batch) = (self.captioned.seed, self.captioned.batch);
        let captioned = self.captioned.batch(n)?;
        let mut random = random::stream(seed, "distill.negative", n);
        let negative = (0..batch).map(|_| self.negative(&mut random)).collect::<Result<_>>()?;
        let [least, largest] = self.inputs.guidance_scale;
        let unit = random::stream(seed, "distill.guidance_scale", n).rand(batch);
        let guidance_scale = unit.iter().map(|u| least + u * (largest - least)).collect();
        let mut random = random::stream(seed, "distill.place", n);
        let place = (0..batch).map(|_| random.next_u32()).collect();
        Ok(DistillBatch { number: n, captioned, negative, guidance_scale, place })
    }

    /// The ids of a negative prompt.
    fn negative(&self, random: &mut Mt19937) -> Result<Vec<i64>> {
        let (CaptionedSource { tokenizer, seed, .. }, stickers) = (&self.captioned, &self.stickers);
        // Always the same number of draws, so that the shares do not change later draws.
        let (kind, index) = (random.uniform(), u64::from(random.next_u32()));
        let colours = self.inputs.negative_colours;
        let mut scene = stickers.sample(seed.wrapping_add(NEGATIVES), Split::Train, index)?;
        let text = match kind {
            kind if kind < colours => {
                // A picture without a colour is replaced by one of the following samples.
                for next in 1..TRIES {
                    if scene.colour.is_some() || scene.background.is_some() {
                        break;
                    }
                    scene = stickers.sample(seed.wrapping_add(NEGATIVES), Split::Train, index + next)?;
                }
                scene.says = Says::Colour;
                caption(&scene)
            }
            kind if kind < colours + self.inputs.negative_captions => caption(&scene),
            _ => String::new(),
        };
        Ok(tokenizer.encode_padded(&text)?.ids)
    }
}

/// Added to the run's seed for samples whose captions become negative prompts.
const NEGATIVES: u64 = 1 << 32;
const TRIES: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::testing;
    use crate::text::{Tokenizer, TrainedBpe};

    fn source(inputs: Inputs) -> DistillSource {
        let stickers = Arc::new(testing::stickers());
        let captions = ["green", "blue", "red", "a fox on a blue background", "something white"];
        let folder = tempfile::tempdir().unwrap();
        TrainedBpe::learn(captions.iter(), 600).unwrap().write(folder.path(), 16).unwrap();
        let tokenizer: Tokenizer = crate::train::vocabulary::read(folder.path()).unwrap();
        let captioned = CaptionedSource {
            pictures: Arc::clone(&stickers) as _,
            tokenizer,
            store: None,
            seed: 5,
            batch: 64,
            size: 8,
            channels: 3,
            latent: 12,
            caption_dropout: inputs.caption_dropout,
            num_train_timesteps: 1000,
        };
        DistillSource { captioned, stickers, inputs }
    }

    fn inputs(negative_colours: f32, negative_captions: f32) -> Inputs {
        Inputs { guidance_scale: [1.0, 5.0], caption_dropout: 0.0, negative_colours, negative_captions }
    }

    #[test]
    fn a_batch_is_the_same_whenever_it_is_made_and_stays_in_range() {
        let (one, two) = (source(inputs(0.4, 0.3)), source(inputs(0.4, 0.3)));
        let first = one.batch(3).unwrap();
        one.batch(4).unwrap();
        let again = two.batch(3).unwrap();
        assert_eq!((&first.negative, &first.place), (&again.negative, &again.place));
        assert_eq!(first.guidance_scale, again.guidance_scale);
        assert!(first.guidance_scale.iter().all(|scale| (1.0..5.0).contains(scale)));
        assert_ne!(first.place, two.batch(4).unwrap().place);
    }

    #[test]
    fn negative_prompts_are_what_was_asked_for() {
        let empty = |source: &DistillSource| {
            let none = source.captioned.tokenizer.encode_padded("").unwrap().ids;
            source.batch(0).unwrap().negative.iter().filter(|ids| **ids == none).count()
        };
        assert_eq!(empty(&source(inputs(0.0, 0.0))), 64);
        assert_eq!(empty(&source(inputs(1.0, 0.0))), 0);
        let some = empty(&source(inputs(0.3, 0.3)));
        assert!((10..45).contains(&some), "{some}");
        let colours = source(inputs(1.0, 0.0));
        let says =
            ["green", "blue", "red", "white"].map(|word| colours.captioned.tokenizer.encode_padded(word).unwrap());
        let named = |ids: &Vec<i64>| says.iter().any(|word| word.ids[1..2].iter().all(|id| ids.contains(id)));
        assert!(colours.batch(0).unwrap().negative.iter().all(named));
    }
}
