//! Which things suit which scenes: a hat needs a head or at least a top, a rose does not hold a balloon, and a green
//! apple is not drawn in red.

use super::pack::Concept;
use super::recipe::Colour;

/// The scenes that suit a thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suits {
    /// It may be given another colour.
    pub colour: bool,
    /// It may be mirrored: it shows no text, and its name has no left or right.
    pub mirror: bool,
    /// All artists drew it facing left, so a caption may name its direction.
    pub faces_left: bool,
    /// It may wear something.
    pub wearing: bool,
    /// It is a person, a hand or a smiley, so its hues stay near its own.
    pub skin: bool,
    /// It has a face.
    pub face: bool,
    /// It may hold something.
    pub holding: bool,
    /// It may feel something, shown by tears or a face drawn over it.
    pub mood: bool,
    /// It may stand in the rain, in the snow, or among hearts.
    pub around: bool,
    /// It may stand in a pot.
    pub potted: bool,
}

/// Decides by the concept's group, subgroup and name.
pub fn suits(concept: &Concept, palette: &[Colour]) -> Suits {
    let (group, subgroup, name) = (concept.group.as_str(), concept.subgroup.as_str(), concept.name.as_str());
    let words = || name.split([' ', '-', ':', ',']);
    let has = |list: &[&str]| words().any(|word| list.contains(&word));
    let coloured = palette.iter().any(|c| words().any(|w| w == c.name || c.also.iter().any(|a| a == w)));
    let person = subgroup.starts_with("person") || subgroup.starts_with("family") || group == "People & Body";
    let smiley = subgroup.starts_with("face") || subgroup == "emotion";
    let frontal = FRONTAL.contains(&name);
    let figure = FIGURES.contains(&name);
    let dressed = has(&[
        "hat",
        "sunglasses",
        "glasses",
        "cowboy",
        "cap",
        "helmet",
        "partying",
        "halo",
        "mask",
        "crown",
        "turban",
        "headscarf",
        "veil",
        "prince",
        "princess",
        "guard",
        "police",
        "construction",
        "cook",
        "farmer",
        "detective",
        "monocle",
        "exploding",
        "clouds",
        "nerd",
        "disguised",
        "Claus",
        "elf",
        "mage",
        "superhero",
        "supervillain",
        "astronaut",
        "firefighter",
        "pilot",
        "student",
        "judge",
        "head",
        "bandage",
        "scientist",
    ]);
    let head = smiley && subgroup != "emotion"
        || frontal
        || figure
        || matches!(subgroup, "cat-face" | "monkey-face" | "person") && !has(&["see", "hear", "speak"]);
    let upright = TOPS.contains(&name);
    let plant = subgroup.starts_with("plant") && !UNPOTTED.contains(&name) || PLANTS.contains(&name);
    let thing = !person && !smiley && subgroup != "emotion" && subgroup != "heart";
    Suits {
        colour: !person && !coloured && !RAINBOWS.contains(&name),
        mirror: !has(&["left", "right", "left-facing", "right-facing", "leftwards", "rightwards", "clockwise"])
            && !READ.contains(&name)
            && !matches!(subgroup, "time" | "mail" | "writing" | "money" | "book-paper" | "keycap" | "alphanum"),
        faces_left: FACING_LEFT.contains(&name),
        wearing: (head || upright) && !dressed,
        skin: person || smiley,
        face: head,
        holding: (head || HANDS.contains(&name)) && !has(&["hand", "hands", "head"]),
        mood: (thing || subgroup == "person")
            && (frontal
                || figure
                || subgroup == "person"
                || FACELESS.iter().any(|s| subgroup.starts_with(s))
                || upright)
            && !matches!(subgroup, "cat-face" | "monkey-face"),
        around: !matches!(subgroup, "sky & weather" | "emotion" | "heart" | "time"),
        potted: plant,
    }
}

/// Heads and bodies that face the viewer, outside of the subgroups of faces.
const FRONTAL: &[&str] = &[
    "dog face",
    "cat face",
    "wolf",
    "fox",
    "lion",
    "tiger face",
    "horse face",
    "unicorn",
    "cow face",
    "pig face",
    "mouse face",
    "hamster",
    "rabbit face",
    "bear",
    "polar bear",
    "koala",
    "panda",
    "frog",
    "chicken",
    "front-facing baby chick",
    "hatching chick",
    "penguin",
    "owl",
    "moose",
    "monkey face",
    "gorilla",
    "orangutan",
    "sloth",
    "dragon face",
    "octopus",
    "teddy bear",
];

/// Figures outside of the groups of animals and people.
const FIGURES: &[&str] = &[
    "robot",
    "ghost",
    "alien",
    "alien monster",
    "skull",
    "snowman",
    "snowman without snow",
    "jack-o-lantern",
    "teddy bear",
    "moai",
    "nesting dolls",
    "clown face",
    "ogre",
    "goblin",
    "pile of poo",
    "sun with face",
    "full moon face",
    "new moon face",
];

/// Things whose top a hat fits.
const TOPS: &[&str] = &[
    "red apple",
    "pear",
    "tangerine",
    "lemon",
    "strawberry",
    "pineapple",
    "avocado",
    "eggplant",
    "potato",
    "tomato",
    "cactus",
    "mushroom",
    "egg",
    "hamburger",
    "cupcake",
    "doughnut",
    "cookie",
    "bread",
    "rice ball",
    "soccer ball",
    "basketball",
    "tennis",
    "star",
    "balloon",
    "coconut",
    "watermelon",
    "onion",
    "bell pepper",
    "peach",
    "hot beverage",
    "bubble tea",
    "beer mug",
    "snowman",
    "brain",
    "anatomical heart",
    "tooth",
    "red heart",
    "globe showing Europe-Africa",
];

/// Things besides heads that have hands or could have them.
const HANDS: &[&str] =
    &["chipmunk", "otter", "kangaroo", "T-Rex", "duck", "rabbit", "turtle", "bird", "crab", "beaver"];

/// Subgroups of things that can get a face.
const FACELESS: &[&str] = &[
    "food",
    "drink",
    "dishware",
    "place-building",
    "transport",
    "sky & weather",
    "plant",
    "sport",
    "household",
    "light & video",
    "computer",
    "phone",
    "tool",
    "game",
    "clothing",
    "award",
];

/// Things that all artists draw from the side, facing left.
const FACING_LEFT: &[&str] = &[
    "guide dog",
    "poodle",
    "tiger",
    "leopard",
    "horse face",
    "horse",
    "unicorn",
    "zebra",
    "bison",
    "ox",
    "water buffalo",
    "cow",
    "pig",
    "ewe",
    "goat",
    "camel",
    "two-hump camel",
    "llama",
    "giraffe",
    "elephant",
    "mammoth",
    "rhinoceros",
    "hippopotamus",
    "mouse",
    "rat",
    "chipmunk",
    "skunk",
    "kangaroo",
    "badger",
    "rooster",
    "baby chick",
    "bird",
    "dove",
    "duck",
    "swan",
    "dodo",
    "flamingo",
    "black bird",
    "goose",
    "turtle",
    "sauropod",
    "T-Rex",
    "spouting whale",
    "whale",
    "dolphin",
    "fish",
    "tropical fish",
    "shark",
    "snail",
    "locomotive",
    "bus",
    "minibus",
    "ambulance",
    "fire engine",
    "police car",
    "taxi",
    "automobile",
    "sport utility vehicle",
    "delivery truck",
    "articulated lorry",
    "racing car",
    "motorcycle",
    "motor scooter",
    "person running",
    "person walking",
    "horse racing",
];

/// Things among the plants that cannot grow in a pot, or already do.
const UNPOTTED: &[&str] = &[
    "potted plant",
    "bouquet",
    "white flower",
    "rosette",
    "leaf fluttering in wind",
    "fallen leaf",
    "empty nest",
    "nest with eggs",
    "wood",
    "shamrock",
];

/// Plants outside of their subgroups.
const PLANTS: &[&str] = &["Christmas tree", "carrot", "pineapple", "strawberry", "broccoli", "hot pepper", "mushroom"];

/// Things with many colours or none.
const RAINBOWS: &[&str] =
    &["rainbow", "artist palette", "mirror ball", "fireworks", "sparkler", "framed picture", "national park"];

/// Things that show text.
const READ: &[&str] = &[
    "hundred points",
    "calendar",
    "tear-off calendar",
    "spiral calendar",
    "pool 8 ball",
    "abacus",
    "musical score",
    "keyboard",
    "1st place medal",
    "2nd place medal",
    "3rd place medal",
    "love hotel",
    "convenience store",
    "hospital",
    "hotel",
    "bank",
    "bus stop",
    "taxi",
    "police car",
    "ambulance",
    "oncoming police car",
    "oncoming taxi",
    "stop sign",
    "map of Japan",
    "world map",
    "globe showing Americas",
    "globe showing Europe-Africa",
    "globe showing Asia-Australia",
    "identification card",
    "newspaper",
    "rolled-up newspaper",
    "ZZZ",
    "game die",
    "mahjong red dragon",
    "flower playing cards",
    "joker",
    "slot machine",
    "watch",
    "thermometer",
    "video camera",
    "red envelope",
    "inbox tray",
    "outbox tray",
    "anger symbol",
    "speech balloon",
];

#[cfg(test)]
mod tests {
    use super::super::testing_open;
    use super::*;

    #[test]
    fn things_suit_what_they_can_be_drawn_with() {
        let pack = testing_open::pack();
        let palette = testing_open::stickers().recipe.palette;
        let of = |name: &str| suits(pack.concepts.iter().find(|c| c.name == name).unwrap(), &palette);
        let fox = of("fox");
        assert!(fox.wearing && fox.holding && fox.mood && fox.face && fox.colour && !fox.potted && !fox.skin);
        assert!(!of("red apple").colour && of("red apple").mood && of("red apple").wearing, "its name has a colour");
        assert!(of("tulip").potted && !of("tulip").wearing && !of("key").holding);
        let face = of("grinning face");
        assert!(face.wearing && face.skin && !face.mood, "smileys have their own moods");
        let renamed = |name: &str| suits(&Concept { name: name.into(), ..pack.concepts[1].clone() }, &palette);
        assert!(!renamed("backhand index pointing left").mirror && !renamed("face with cowboy hat").wearing);
    }
}
