//! The three artists whose drawings of the same things the dataset uses.

use serde::{Deserialize, Serialize};

/// One of the sets of drawings in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Artist {
    /// Noto Color Emoji: shaded, with gradients. The bitmaps of a font also count as this artist's.
    Noto,
    /// Fluent Emoji Flat: flat shapes without outlines.
    Fluent,
    /// Twemoji: flat and bold, few shapes.
    Twemoji,
}

impl Artist {
    /// All of them, in the order in which a pack lists its drawings.
    pub const ALL: [Self; 3] = [Self::Noto, Self::Fluent, Self::Twemoji];

    /// The name in files, as serde writes it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Noto => "noto",
            Self::Fluent => "fluent",
            Self::Twemoji => "twemoji",
        }
    }

    /// The folder of the artist's drawings in npm's scope `@iconify-json`.
    pub const fn package(self) -> &'static str {
        match self {
            Self::Noto => "noto",
            Self::Fluent => "fluent-emoji-flat",
            Self::Twemoji => "twemoji",
        }
    }
}
