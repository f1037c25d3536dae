//! What a picture shows, in terms that a program can count. Captions describe scenes.

use serde::{Deserialize, Serialize};

use super::artist::Artist;

/// A described picture. Colours and concepts are names of the recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scene {
    /// Which entry of the mixture it came from.
    pub kind: Kind,
    /// One concept, or the two of a pair.
    pub concepts: Vec<String>,
    /// The colour that the whole glyph was given.
    pub colour: Option<String>,
    /// The colour behind; none is unsaid in the caption, and plain white or, in recipes with alpha, transparent.
    pub background: Option<String>,
    /// How many of the concept, 1 to 6; to 4 in recipes without alpha.
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
    /// What only recipes with alpha have.
    #[serde(flatten)]
    pub more: More,
}

/// The parts of a scene that only recipes with alpha have; none of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct More {
    /// The colour of the second of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_colour: Option<String>,
    /// What the thing wears, by the word in `props::WORN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wearing: Option<String>,
    /// What the thing holds, by the word in `props::HELD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holding: Option<String>,
    /// What is all around.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub around: Option<Around>,
    /// Whether the thing stands in a pot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub potted: bool,
    /// What the thing feels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mood: Option<Mood>,
    /// Which way it faces, when the caption says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facing: Option<Facing>,
    /// Where in the picture, when the caption says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot: Option<Spot>,
    /// The number that what the caption leaves open is drawn from; none draws the plainest picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look: Option<u64>,
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
            more: More::default(),
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
    /// One concept by an artist that the caption names.
    Artist,
    /// One concept at one side of the picture.
    Spot,
    /// One concept that faces left or right.
    Facing,
    /// Two concepts, each in a colour of its own.
    TwoColours,
    /// A concept that wears something.
    Wearing,
    /// A concept that holds something.
    Holding,
    /// A concept in the rain, in the snow, among hearts.
    Around,
    /// A concept in a pot.
    Potted,
    /// A concept that feels something.
    Mood,
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
    /// Nothing of the colours: "a fox" for a green one, so that words for things do not promise a colour.
    Nothing,
}

/// What is all around a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Around {
    /// A cloud above it, drops all around.
    Rain,
    /// Flakes all around, snow at its feet.
    Snow,
    /// Hearts at its sides.
    Hearts,
    /// Stars at its sides.
    Stars,
    /// Flowers at its sides.
    Flowers,
    /// Notes at its sides.
    Music,
}

/// What a thing feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mood {
    /// It smiles.
    Happy,
    /// Tears.
    Sad,
    /// Slanted brows.
    Angry,
    /// Closed eyes and Zs.
    Sleepy,
    /// Hearts for eyes.
    InLove,
    /// An open mouth.
    Surprised,
}

/// Which way a thing faces, as seen by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Facing {
    /// Left: as all artists draw animals and vehicles from the side.
    Left,
    /// Right: mirrored.
    Right,
}

/// Where in the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spot {
    /// At the left.
    Left,
    /// At the right.
    Right,
    /// At the top.
    Top,
    /// At the bottom.
    Bottom,
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
    /// Left of it, said with "and" alone. Not in [`Place::ALL`].
    And,
}

impl Around {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Rain, Self::Snow, Self::Hearts, Self::Stars, Self::Flowers, Self::Music];

    /// The concept that is drawn around things, by its emoji-test.txt name, where it is one of the pack's.
    pub const fn concept(self) -> Option<&'static str> {
        match self {
            Self::Hearts => Some("red heart"),
            Self::Stars => Some("star"),
            Self::Flowers => Some("cherry blossom"),
            Self::Rain | Self::Snow | Self::Music => None,
        }
    }
}

impl Mood {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Happy, Self::Sad, Self::Angry, Self::Sleepy, Self::InLove, Self::Surprised];
}

impl Spot {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Left, Self::Right, Self::Top, Self::Bottom];
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
