//! Captioned stickers: programs compose drawings of emoji into many pictures with true captions.
//!
//! [`packer`] collects drawings and names in one file, the [`pack`]. A [`Recipe`] says what to make of them.
//! [`Stickers`] combines both: `sample(seed, split, i)` draws a random [`Scene`], `render(&scene, size)` draws its
//! picture, and [`caption`] describes it. All three are pure functions, so the trainer can compose on the fly the same
//! samples that `fourstep dataset render` writes.
//!
//! Training reads [`Captioned`] pictures. Their other source is a [`Folder`] of the user's own.

mod affine;
mod anchors;
mod around;
mod arrange;
mod artist;
mod caption;
mod captioned;
mod compose;
mod count;
mod cutout;
pub mod digits;
mod draw;
mod folder;
pub mod icons;
mod judge;
pub mod lexicon;
mod likeness;
mod looks;
mod moods;
pub mod pack;
pub mod packer;
mod props;
mod raster;
mod recipe;
mod regions;
mod render;
mod sample;
mod scene;
mod scores;
mod sentence;
pub mod sources;
mod sprite;
mod studio;
mod style;
mod suits;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod testing_open;
mod things;
mod vector;
mod verdict;
mod words;
mod world;
mod write;

pub use artist::Artist;
pub use caption::caption;
pub use captioned::Captioned;
pub use count::count_of;
pub use folder::Folder;
pub use judge::{ColourJudge, foreground};
pub use lexicon::{Lexicon, Noun, PhraseKind, Said};
pub use likeness::{Descriptor, Query, spread, without_ground};
pub use looks::Variation;
pub use pack::{Concept, Pack};
pub use raster::{Glyph, Layer};
pub use recipe::{Choice, Colour, Recipe};
pub use sample::{Split, Stickers};
pub use scene::{Around, Facing, Kind, Mood, More, Place, Says, Scene, Size, Spot, Style, Turn};
pub use scores::{Missed, Scores, scores};
pub use suits::Suits;
pub use verdict::{Check, Judge, Verdict};
pub use world::{Known, World};
pub use write::{Output, Record, write_split};
