//! Captioned stickers: drawings of emoji, multiplied by programs into pictures whose captions are true.
//!
//! [`packer`] gathers drawings and names into one file, the [`pack`]; a [`Recipe`] says what to make of them; [`Stickers`] puts both
//! together: `sample(seed, split, i)` draws a [`Scene`], `render(&scene, size)` draws its picture, and [`caption`] says
//! it. All three are pure, so the trainer composes samples on the fly with what `fourstep dataset render` writes.

mod artist;
mod caption;
mod count;
pub mod icons;
mod judge;
pub mod lexicon;
pub mod pack;
pub mod packer;
mod raster;
mod recipe;
mod render;
mod sample;
mod scene;
pub mod sources;
mod style;
#[cfg(test)]
pub(crate) mod testing;
mod things;
mod vector;
mod words;
mod world;
mod write;

pub use artist::Artist;
pub use caption::caption;
pub use count::count_of;
pub use judge::{ColourJudge, foreground};
pub use lexicon::{Lexicon, Noun, PhraseKind, Said};
pub use pack::{Concept, Pack};
pub use raster::{Glyph, Layer};
pub use recipe::{Choice, Colour, Recipe};
pub use sample::{Split, Stickers};
pub use scene::{Kind, Place, Says, Scene, Size, Style, Turn};
pub use world::{Known, World};
pub use write::{Output, Record, write_split};
