//! Captioned stickers: the glyphs of an emoji font, multiplied by programs into pictures whose captions are true.
//!
//! [`pack`] gathers glyphs and names into one file; a [`Recipe`] says what to make of them; [`Stickers`] puts both
//! together: `sample(seed, split, i)` draws a [`Scene`], `render(&scene, size)` draws its picture, and [`caption`] says
//! it. All three are pure, so the trainer composes samples on the fly with what `fourstep dataset render` writes.

mod caption;
mod count;
pub mod digits;
mod judge;
pub mod pack;
mod raster;
mod recipe;
mod render;
mod sample;
mod scene;
pub mod sources;
mod style;
#[cfg(test)]
pub(crate) mod testing;
mod words;
mod world;
mod write;

pub use caption::caption;
pub use count::count_of;
pub use judge::{ColourJudge, foreground};
pub use pack::{Concept, Pack};
pub use raster::Glyph;
pub use recipe::{Choice, Colour, Recipe};
pub use sample::{Split, Stickers};
pub use scene::{Kind, Place, Says, Scene, Size, Style, Turn};
pub use world::{Known, World};
pub use write::{Record, write_split};
