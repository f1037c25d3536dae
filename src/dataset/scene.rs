//! What a picture shows, in terms that a program can count. Captions describe scenes.

use serde::{Deserialize, Serialize};

use super::artist::Artist;

/// A described picture. Colours and concepts are names of the recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scene {
    /// The entry of the mixture that it came from.
    pub kind: Kind,
    /// One concept, or the two of a pair.
    pub concepts: Vec<String>,
    /// The colour that the whole glyph gets.
    pub colour: Option<String>,
    /// The background's colour. None means that the caption does not mention it, and that it is white or, in recipes
    /// with alpha, transparent.
    pub background: Option<String>,
    /// The number of copies: 1 to 6, or to 4 in recipes without alpha.
    pub count: usize,
    /// The position of the first of a pair relative to the second.
    pub place: Option<Place>,
    /// The size that the caption names.
    pub size: Option<Size>,
    /// The rotation that the caption names.
    pub turn: Option<Turn>,
    /// The style that the caption names.
    pub style: Option<Style>,
    /// The number of the wording; 0 is the plain one.
    pub wording: usize,
    /// How much the caption says about the colours.
    #[serde(default)]
    pub says: Says,
    /// The artist of the things; none means the first who drew each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artist: Option<Artist>,
    /// The properties that only recipes with alpha have.
    #[serde(flatten)]
    pub more: More,
}

/// Properties of a scene that only recipes with alpha have; none of them by default.
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
    /// What surrounds the thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub around: Option<Around>,
    /// Whether the thing stands in a pot.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub potted: bool,
    /// What the thing feels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mood: Option<Mood>,
    /// The direction in which it faces, if the caption names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facing: Option<Facing>,
    /// Its position in the picture, if the caption names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot: Option<Spot>,
    /// The seed of the properties that the caption leaves open; none gives the plainest picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look: Option<u64>,
}

impl Scene {
    /// One concept on white.
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
    /// A concept in the rain, in the snow, or among hearts.
    Around,
    /// A concept in a pot.
    Potted,
    /// A concept that feels something.
    Mood,
}

/// How much the caption of a coloured picture says about its colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// Thing and colours: "a green fox".
    #[default]
    All,
    /// That there is a colour, but not which: "a colourful fox". A negative prompt can exclude what a prompt leaves
    /// open.
    Open,
    /// One colour only, as in negative prompts: "green", "a green background".
    Colour,
    /// Nothing about the colours: "a fox" for a green one, so that words for things do not imply a colour.
    Nothing,
}

/// What surrounds a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Around {
    /// A cloud above it and drops around it.
    Rain,
    /// Flakes around it and snow at its feet.
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

/// The direction in which a thing faces, as the viewer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Facing {
    /// Left, the direction in which all artists draw animals and vehicles from the side.
    Left,
    /// Right, mirrored.
    Right,
}

/// A position in the picture.
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

/// The position of the first of a pair relative to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Left of it; the caption does not name the side.
    NextTo,
    /// Left of it.
    LeftOf,
    /// Right of it.
    RightOf,
    /// Above it.
    Above,
    /// Below it.
    Below,
    /// Left of it; the caption only says "and". Not in [`Place::ALL`].
    And,
}

impl Around {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Rain, Self::Snow, Self::Hearts, Self::Stars, Self::Flowers, Self::Music];

    /// The concept that is drawn around things, by its emoji-test.txt name, if it comes from the pack.
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
    /// About half the full size.
    Small,
    /// About a third of the full size.
    Tiny,
    /// Larger than the picture.
    Huge,
}

/// Rotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// Half a turn.
    UpsideDown,
    /// About an eighth of a turn clockwise.
    Tilted,
}

/// Styles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// A coarse grid of hard pixels.
    PixelArt,
    /// Only greys.
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
