//! Things that other things wear or hold, and the few drawings that no artist's set contains: a pot, drops, flakes, a
//! party hat.

use super::artist::Artist;

/// The place of something that is worn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seat {
    /// Over both eyes; the width is in gaps between the eyes.
    Eyes,
    /// On the head; the width is in widths of the head.
    Head,
}

/// Where a sprite comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Source {
    /// A concept of the pack, by its emoji-test.txt name.
    Pack(&'static str),
    /// One of [`DRAWN`], by its name.
    Drawn(&'static str),
}

/// Something to wear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worn {
    /// Its word in captions, without an article.
    pub word: &'static str,
    /// With an article, if it takes one.
    pub one: &'static str,
    /// Its drawing.
    pub from: Source,
    /// Where it sits.
    pub seat: Seat,
    /// How wide it is; see [`Seat`].
    pub width: f32,
    /// Share of its height that lies below the top of the head; for glasses, how far they lie below the eyes.
    pub sink: f32,
}

/// Something to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// Its word in captions, without an article.
    pub word: &'static str,
    /// With an article, if it takes one.
    pub one: &'static str,
    /// Its drawing: a concept of the pack, by its emoji-test.txt name.
    pub concept: &'static str,
    /// Its longer side, in units of the holder's longer side.
    pub side: f32,
    /// How far its middle is above the hand, in units of its own side.
    pub above: f32,
}

/// Everything that is worn.
pub const WORN: &[Worn] = &[
    worn("sunglasses", "sunglasses", Source::Pack("sunglasses"), Seat::Eyes, 2.15, 0.0),
    worn("glasses", "glasses", Source::Pack("glasses"), Seat::Eyes, 2.15, 0.0),
    worn("hat", "a hat", Source::Pack("top hat"), Seat::Head, 0.95, 0.12),
    worn("crown", "a crown", Source::Pack("crown"), Seat::Head, 0.75, 0.14),
    worn("cap", "a cap", Source::Pack("billed cap"), Seat::Head, 1.05, 0.3),
    worn("graduation cap", "a graduation cap", Source::Pack("graduation cap"), Seat::Head, 1.15, 0.3),
    worn("bow", "a bow", Source::Pack("ribbon"), Seat::Head, 0.55, 0.4),
    worn("party hat", "a party hat", Source::Drawn("party hat"), Seat::Head, 0.55, 0.1),
    worn("Santa hat", "a Santa hat", Source::Drawn("santa hat"), Seat::Head, 1.05, 0.3),
];

/// Everything that is held.
pub const HELD: &[Held] = &[
    held("flower", "a flower", "tulip", 0.58, 0.25),
    held("rose", "a rose", "rose", 0.58, 0.25),
    held("sunflower", "a sunflower", "sunflower", 0.58, 0.25),
    held("balloon", "a balloon", "balloon", 0.7, 0.5),
    held("heart", "a heart", "red heart", 0.46, 0.0),
    held("gift", "a gift", "wrapped gift", 0.5, 0.0),
    held("cake", "a birthday cake", "birthday cake", 0.52, 0.0),
    held("ice cream", "an ice cream", "soft ice cream", 0.56, 0.15),
    held("cup of coffee", "a cup of coffee", "hot beverage", 0.48, 0.0),
    held("beer", "a beer", "beer mug", 0.5, 0.0),
    held("pizza", "a pizza", "pizza", 0.5, 0.0),
    held("star", "a star", "star", 0.46, 0.0),
    held("book", "a book", "closed book", 0.48, 0.0),
    held("guitar", "a guitar", "guitar", 0.68, 0.0),
    held("phone", "a phone", "mobile phone", 0.46, 0.1),
    held("umbrella", "an umbrella", "umbrella", 0.78, 0.45),
];

/// Drawings that no artist's set has, with their names. Each fills its view.
pub const DRAWN: &[(&str, &str)] = &[
    ("party hat", PARTY_HAT),
    ("santa hat", SANTA_HAT),
    ("pot", POT),
    ("cloud", CLOUD),
    ("streak", STREAK),
    ("flake", FLAKE),
    ("mound", MOUND),
    ("tear", TEAR),
    ("brow", BROW),
    ("lid", LID),
    ("smiling eye", SMILING_EYE),
    ("closed eye", CLOSED_EYE),
    ("wide eye", WIDE_EYE),
    ("blush", BLUSH),
    ("happy face", HAPPY),
    ("sad face", SAD),
    ("angry face", ANGRY),
    ("sleepy face", SLEEPY),
    ("loving face", LOVING),
    ("surprised face", SURPRISED),
    ("zzz", ZZZ),
    ("note", NOTE),
];

/// An artist's word in captions, which says how the drawings look.
pub const fn manner(artist: Artist) -> &'static str {
    match artist {
        Artist::Noto => "shaded",
        Artist::Fluent => "flat",
        Artist::Twemoji => "bold",
    }
}

const fn worn(word: &'static str, one: &'static str, from: Source, seat: Seat, width: f32, sink: f32) -> Worn {
    Worn { word, one, from, seat, width, sink }
}

const fn held(word: &'static str, one: &'static str, concept: &'static str, side: f32, above: f32) -> Held {
    Held { word, one, concept, side, above }
}

const PARTY_HAT: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 80">
<path fill="#e8467c" d="M32 10 L58 72 Q32 82 6 72 Z"/>
<path fill="#ffd23f" d="M23.600 30 L40.400 30 L45.500 42 Q32 47 18.500 42 Z"/>
<path fill="#3fb6e8" d="M13.500 54.500 Q32 61 50.500 54.500 L55.500 66 Q32 74.500 8.500 66 Z"/>
<path fill="#000" fill-opacity=".08" d="M32 10 L58 72 Q49 76 40 77.300 Z"/>
<circle cx="32" cy="10" r="8.500" fill="#ffd23f"/><circle cx="29.500" cy="7.500" r="3.500" fill="#ffe68a"/></svg>"##;
const SANTA_HAT: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 72">
<path fill="#d9252e" d="M14 54 C16 26 36 6 58 8 C74 10 84 24 86 44 C78 34 72 32 70 34 C76 42 76 50 76 56 Z"/>
<path fill="#b01a25" d="M70 34 C64 26 56 24 50 26 C60 28 68 36 72 48 L76 56 C76 50 76 42 70 34 Z"/>
<rect x="6" y="50" width="78" height="19" rx="9.500" fill="#fff"/>
<rect x="6" y="60" width="78" height="9" rx="4.500" fill="#d6e3ee"/>
<rect x="6" y="50" width="78" height="14" rx="7" fill="#f4f8fb"/>
<circle cx="85" cy="48" r="9.500" fill="#f4f8fb"/><path fill="#d6e3ee" d="M76 51 a9.500 9.500 0 0 0 18.500 0 a12 8 0 0 1 -18.500 0z"/></svg>"##;
const POT: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 60">
<path fill="#c8643c" d="M9 14 H71 L63 56 Q62.500 60 58 60 H22 Q17.500 60 17 56 Z"/>
<path fill="#a94f2c" d="M55 14 H71 L63 56 Q62.500 60 58 60 H48 Q52 36 55 14Z"/>
<path fill="#a94f2c" d="M10 18 H70 L69.200 23 H10.900Z"/>
<rect x="2" y="0" width="76" height="18" rx="5" fill="#dd7a4e"/>
<path fill="#c8643c" d="M62 0 H73 a5 5 0 0 1 5 5 V13 a5 5 0 0 1 -5 5 H60Z"/></svg>"##;
const CLOUD: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 60">
<path fill="#8fa3b5" d="M24 58 C8 58 2 48 3 39 C4 30 12 25 20 26 C20 12 34 4 47 8 C54 -1 74 -2 82 10 C96 6 108 16 106 28 C114 30 118 38 116 46 C114 54 106 58 98 58 Z"/>
<path fill="#aebfcd" d="M20 26 C20 12 34 4 47 8 C54 -1 74 -2 82 10 C70 6 60 12 58 20 C46 14 34 18 32 30 C22 30 14 36 14 46 C10 32 14 27 20 26Z"/></svg>"##;
const STREAK: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 14 40">
<path fill="#3f9be8" d="M7 0 C8 10 14 22 14 30 C14 36 11 40 7 40 C3 40 0 36 0 30 C0 22 6 10 7 0Z"/>
<path fill="#a5d4fa" d="M4 30 a2 5 0 0 1 2 -6 l1 7z"/></svg>"##;
const FLAKE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="-20 -20 40 40">
<g fill="none" stroke="#6fb7ea" stroke-width="4.200" stroke-linecap="round">
<path d="M0 -17 V17 M-14.700 -8.500 L14.700 8.500 M-14.700 8.500 L14.700 -8.500"/>
<path stroke-width="3.200" d="M-5 -14 L0 -9 L5 -14 M-5 14 L0 9 L5 14 M-14.600 -2.700 L-7.800 -4.500 L-9.600 -11.300 M14.600 2.700 L7.800 4.500 L9.600 11.300 M-14.600 2.700 L-7.800 4.500 L-9.600 11.300 M14.600 -2.700 L7.800 -4.500 L9.600 -11.300"/></g></svg>"##;
const MOUND: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 30">
<path fill="#cfe6f7" d="M2 26 C4 14 16 12 24 13 C32 4 48 4 56 9 C66 2 82 4 88 10 C98 8 112 12 118 25 C118 29 114 30 108 30 H12 C5 30 2 29 2 26Z"/>
<path fill="#f1f8fe" d="M8 23 C10 14 20 14 27 16 C34 7 48 8 56 13 C66 6 80 8 86 13 C96 11 106 14 111 22 C90 18 40 18 8 23Z"/></svg>"##;
const TEAR: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 28">
<path fill="#4aa8f0" d="M10 0 C12 8 20 13 20 20 C20 25 15.500 28 10 28 C4.500 28 0 25 0 20 C0 13 8 8 10 0Z"/>
<path fill="#b8defb" d="M4 20 a3 4 0 0 1 3 -5 l1 6z"/></svg>"##;
const BROW: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 30 10">
<rect width="30" height="10" rx="5" fill="#3a2418"/></svg>"##;
const LID: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20"><circle cx="10" cy="10" r="10" fill="#808080"/></svg>"##;
const SMILING_EYE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 30 20">
<path fill="none" stroke="#2c1c14" stroke-width="5.500" stroke-linecap="round" d="M4 16 Q15 -6 26 16"/></svg>"##;
const CLOSED_EYE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 30 20">
<path fill="none" stroke="#2c1c14" stroke-width="5.500" stroke-linecap="round" d="M4 5 Q15 25 26 5"/></svg>"##;
const WIDE_EYE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 30 30">
<circle cx="15" cy="15" r="13.500" fill="#fff" stroke="#2c1c14" stroke-width="3"/><circle cx="15" cy="15" r="5.500" fill="#2c1c14"/></svg>"##;
const BLUSH: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 28 18"><ellipse cx="14" cy="9" rx="14" ry="9" fill="#ff6f86" fill-opacity=".7"/></svg>"##;
const HAPPY: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="-3 -3 86 54">
<g fill="#33211b"><ellipse cx="19" cy="14" rx="7.500" ry="9.500"/><ellipse cx="61" cy="14" rx="7.500" ry="9.500"/>
<path d="M27 24 Q40 29 53 24 Q55 23.500 54.500 26 Q52 42 40 42 Q28 42 25.500 26 Q25 23.500 27 24Z"/></g>
<path fill="#f2566b" d="M31 36 Q40 30 49 36 Q45.500 42 40 42 Q34.500 42 31 36Z"/>
<circle cx="21.500" cy="10.500" r="3" fill="#fff"/><circle cx="63.500" cy="10.500" r="3" fill="#fff"/>
<ellipse cx="8" cy="28" rx="7" ry="4.500" fill="#ff7f93" fill-opacity=".75"/>
<ellipse cx="72" cy="28" rx="7" ry="4.500" fill="#ff7f93" fill-opacity=".75"/></svg>"##;
const SAD: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="-3 -3 86 58">
<g fill="#33211b"><ellipse cx="20" cy="18" rx="7" ry="8.500"/><ellipse cx="60" cy="18" rx="7" ry="8.500"/></g>
<circle cx="22" cy="15" r="2.700" fill="#fff"/><circle cx="62" cy="15" r="2.700" fill="#fff"/>
<g fill="none" stroke="#33211b" stroke-width="4.500" stroke-linecap="round"><path d="M28 44 Q40 31 52 44"/>
<path d="M10 8 Q18 6 25 1 M70 8 Q62 6 55 1"/></g>
<path fill="#4aa8f0" d="M11 26 C12 31 18 35 18 42 C18 47 15 50 11 50 C7 50 4 47 4 42 C4 35 10 31 11 26Z"/>
<path fill="#4aa8f0" d="M69 26 C70 31 76 35 76 42 C76 47 73 50 69 50 C65 50 62 47 62 42 C62 35 68 31 69 26Z"/></svg>"##;
const ANGRY: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="-3 -3 86 54">
<g fill="#33211b"><ellipse cx="20" cy="20" rx="7" ry="8"/><ellipse cx="60" cy="20" rx="7" ry="8"/></g>
<circle cx="22" cy="18" r="2.500" fill="#fff"/><circle cx="62" cy="18" r="2.500" fill="#fff"/>
<g fill="none" stroke="#33211b" stroke-width="5.500" stroke-linecap="round"><path d="M8 4 L30 13 M72 4 L50 13"/>
<path stroke-width="4.500" d="M28 42 Q40 32 52 42"/></g></svg>"##;
const SLEEPY: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="-3 -3 86 50">
<g fill="none" stroke="#33211b" stroke-width="4.500" stroke-linecap="round">
<path d="M8 10 Q19 20 30 10 M50 10 Q61 20 72 10"/></g>
<ellipse cx="40" cy="33" rx="6" ry="7.500" fill="#33211b"/>
<ellipse cx="8" cy="26" rx="7" ry="4.500" fill="#ff7f93" fill-opacity=".75"/>
<ellipse cx="72" cy="26" rx="7" ry="4.500" fill="#ff7f93" fill-opacity=".75"/></svg>"##;
const LOVING: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="-3 -3 86 56">
<g fill="#e62e4d"><path d="M20 30 C4 18 4 3 13 3 C17 3 19 6 20 8 C21 6 23 3 27 3 C36 3 36 18 20 30Z"/>
<path d="M60 30 C44 18 44 3 53 3 C57 3 59 6 60 8 C61 6 63 3 67 3 C76 3 76 18 60 30Z"/></g>
<path fill="#33211b" d="M28 33 Q40 37 52 33 Q54 32.500 53.500 35 Q51 48 40 48 Q29 48 26.500 35 Q26 32.500 28 33Z"/>
<path fill="#f2566b" d="M32 43 Q40 38 48 43 Q45 48 40 48 Q35 48 32 43Z"/></svg>"##;
const SURPRISED: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="-3 -3 86 58">
<g fill="#fff" stroke="#33211b" stroke-width="3"><circle cx="20" cy="18" r="9.500"/><circle cx="60" cy="18" r="9.500"/></g>
<g fill="#33211b"><circle cx="20" cy="18" r="4.500"/><circle cx="60" cy="18" r="4.500"/><ellipse cx="40" cy="40" rx="7" ry="9.500"/></g>
<g fill="none" stroke="#33211b" stroke-width="4" stroke-linecap="round"><path d="M11 3 Q18 -1 26 2 M69 3 Q62 -1 54 2"/></g></svg>"##;
const ZZZ: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 60 60">
<g fill="none" stroke="#3b6fd4" stroke-width="6.500" stroke-linejoin="round" stroke-linecap="round">
<path d="M34 5 H55 L34 27 H55"/><path stroke-width="5" d="M18 30 H32 L18 45 H32"/><path stroke-width="4" d="M5 47 H14 L5 57 H14"/></g></svg>"##;
const NOTE: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 50 50">
<path fill="#5a4bc8" d="M16 6 L46 0 V36 a9 7 0 1 1 -6 -6.600 V13 L22 16.500 V42 a9 7 0 1 1 -6 -6.600Z"/></svg>"##;
