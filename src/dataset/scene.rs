//! What a picture shows, in words that a program can count: the truth behind every caption.

use serde::{Deserialize, Serialize};

use super::artist::Artist;

/// A described picture. Colours and concepts are names of the recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// Which entry of the mixture it came from.
    pub kind: Kind,
    /// One concept, or the two of a pair.
    pub concepts: Vec<String>,
    /// The colour that the whole glyph was given.
    pub colour: Option<String>,
    /// The colour behind; none is plain white, unsaid in the caption.
    pub background: Option<String>,
    /// How many of the concept, 1 to 4.
    pub count: usize,
    /// Where the first of a pair is, seen from the second.
    pub place: Option<Place>,
    /// How large.
    pub size: Option<Size>,
    /// How turned.
    pub turn: Option<Turn>,
    /// How drawn.
    pub style: Option<Style>,
    /// Which of the ways to say it; 0 is the plain one.
    pub wording: usize,
    /// How much of the colours the caption tells.
    #[serde(default)]
    pub says: Says,
    /// Who drew the things; none is the first artist that the pack has of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artist: Option<Artist>,
}

impl Scene {
    /// One concept on white, nothing else.
    pub fn plain(concept: &str) -> Self {
        Self {
            kind: Kind::Plain,
            concepts: vec![concept.to_owned()],
            colour: None,
            background: None,
            count: 1,
            place: None,
            size: None,
            turn: None,
            style: None,
            wording: 0,
            says: Says::All,
            artist: None,
        }
    }
}

/// The kinds of pictures in a mixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One concept on white.
    Plain,
    /// One concept on a colour.
    Background,
    /// One concept in another colour.
    Recolour,
    /// One concept in another colour, on a colour.
    RecolourBackground,
    /// Two to four of one concept.
    Count,
    /// Two concepts with a place.
    Pair,
    /// Small, tiny or huge.
    Size,
    /// Upside-down or tilted.
    Rotation,
    /// Pixel art, silhouette and so on.
    Style,
}

/// How much of a coloured picture its caption tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Thing and colours: "a green fox".
    #[default]
    All,
    /// That there is a colour, not which: "a colourful fox". What a prompt leaves open, a negative prompt can exclude.
    Open,
    /// One colour alone, as negative prompts do: "green", "a green background".
    Colour,
}

/// Where the first of a pair is, seen from the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Left of it, said without the side.
    NextTo,
    /// Left of it.
    LeftOf,
    /// Right of it.
    RightOf,
    /// Above it.
    Above,
    /// Below it.
    Below,
}

/// Size words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// About half.
    Small,
    /// About a third.
    Tiny,
    /// Larger than the picture.
    Huge,
}

/// Turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// Half a turn.
    UpsideDown,
    /// An eighth of a turn clockwise or so.
    Tilted,
}

/// Ways of drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// A coarse grid of hard pixels.
    PixelArt,
    /// Greys only.
    BlackAndWhite,
    /// Brownish greys.
    Sepia,
    /// One dark shape.
    Silhouette,
    /// Dark lines on the background.
    Outline,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::NextTo, Self::LeftOf, Self::RightOf, Self::Above, Self::Below];
}

impl Size {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Small, Self::Tiny, Self::Huge];
}

impl Turn {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::UpsideDown, Self::Tilted];
}

impl Style {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::PixelArt, Self::BlackAndWhite, Self::Sepia, Self::Silhouette, Self::Outline];
}
