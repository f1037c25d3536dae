//! Nouns that captions combine with adjectives and numbers: "a green rabbit", "three rabbits", "green grapes".

use crate::dataset::words;

/// How a noun takes articles and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// "a rabbit", "three rabbits".
    Countable,
    /// Already a plural, without an article: "grapes", "scissors".
    Plural,
    /// "bread": no article, no plural.
    Mass,
    /// "Santa Claus": no article, except before an adjective ("a green Santa Claus"); no plural.
    Proper,
    /// "the Statue of Liberty", also before adjectives; no plural.
    The,
}

/// A noun phrase: a thing's name or a synonym of it, without article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noun {
    /// "rabbit", "cat with a wry smile", "grapes".
    text: String,
    /// "rabbits"; empty if [`Number`] has no plural.
    plural: String,
    number: Number,
}

impl Noun {
    /// A noun. In `text`, a `*` follows the head noun if it is neither the last word nor before "of", "with" and so on:
    /// "person* running" becomes "people running".
    pub fn new(text: &str, number: Number) -> Self {
        let plural = match (number, text.split_once('*')) {
            (Number::Countable, Some((head, rest))) => format!("{}{rest}", words::plural(head)),
            (Number::Countable, None) => words::plural(text),
            _ => String::new(),
        };
        Self { text: text.replace('*', ""), plural, number }
    }

    /// A noun whose number is guessed from its words, with `words::number`.
    pub fn guessed(text: &str) -> Self {
        Self::new(text, words::number(text))
    }

    /// Without an article: "rabbit".
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How it takes articles and numbers.
    #[cfg(test)]
    pub fn number(&self) -> Number {
        self.number
    }

    /// Whether [`Noun::many`] accepts it.
    pub fn countable(&self) -> bool {
        self.number == Number::Countable
    }

    /// With adjectives and without an article: "green rabbit".
    pub fn bare(&self, adjectives: &[&str]) -> String {
        joined(adjectives, &self.text)
    }

    /// With adjectives and article: "a green rabbit", "an orange rabbit", "green grapes", "the Statue of Liberty".
    pub fn one(&self, adjectives: &[&str]) -> String {
        let bare = self.bare(adjectives);
        match self.number {
            Number::Countable => format!("{} {bare}", words::article(&bare)),
            Number::Proper if !adjectives.is_empty() => format!("{} {bare}", words::article(&bare)),
            Number::The => format!("the {bare}"),
            Number::Plural | Number::Mass | Number::Proper => bare,
        }
    }

    /// With a number and adjectives: "three green rabbits"; none if the noun cannot be counted or the number has no
    /// word (`words::number_word`).
    pub fn many(&self, count: usize, adjectives: &[&str]) -> Option<String> {
        let number = words::number_word(count)?;
        match count {
            _ if !self.countable() => None,
            1 => Some(format!("one {}", self.bare(adjectives))),
            _ => Some(format!("{number} {}", joined(adjectives, &self.plural))),
        }
    }

    /// Whether an adjective before this noun would repeat or contradict one of its words: a colour if it has one ("red
    /// heart"), a size, or a mood.
    pub fn clashes(&self, adjective: &str) -> bool {
        let same_sort = |a: &str, b: &str| SORTS.iter().any(|sort| sort.contains(&a) && sort.contains(&b));
        let words = self.text.split([' ', '-']).map(|word| word.trim_end_matches(['\'', ',']));
        let adjectives = adjective.split([' ', '-']).collect::<Vec<_>>();
        words.into_iter().any(|word| adjectives.iter().any(|other| *other == word || same_sort(word, other)))
    }

    /// The plural of a countable noun: "rabbits".
    pub fn plural(&self) -> Option<&str> {
        self.countable().then_some(self.plural.as_str())
    }
}

fn joined(adjectives: &[&str], noun: &str) -> String {
    adjectives.iter().copied().chain([noun]).collect::<Vec<_>>().join(" ")
}

/// Groups of words of which a thing can have only one at a time.
const SORTS: &[&[&str]] = &[
    &[
        "red",
        "orange",
        "yellow",
        "green",
        "blue",
        "purple",
        "violet",
        "pink",
        "brown",
        "black",
        "white",
        "grey",
        "gray",
        "teal",
        "turquoise",
        "cyan",
        "magenta",
        "beige",
        "navy",
        "lilac",
        "lavender",
        "emerald",
        "silver",
        "gold",
        "golden",
        "rainbow",
        "colorful",
        "colourful",
        "colored",
        "coloured",
        "blond",
        "blonde",
        "ginger",
        "tabby",
        "spotted",
        "striped",
        "pale",
        "dark",
        "rosy",
        "chocolate",
        "monochrome",
        "tangerine",
        "cream",
        "maroon",
        "mint",
        "olive",
        "peach",
        "sky",
        "lime",
        "tan",
        "blondie",
        "redhead",
        "redheaded",
    ],
    &[
        "tiny",
        "little",
        "small",
        "big",
        "large",
        "huge",
        "giant",
        "gigantic",
        "mini",
        "miniature",
        "baby",
        "tall",
        "enormous",
        "great",
    ],
    &[
        "happy",
        "sad",
        "angry",
        "smiling",
        "crying",
        "laughing",
        "grinning",
        "scared",
        "frightened",
        "sleepy",
        "tired",
        "sleeping",
        "cheerful",
        "grumpy",
        "mad",
        "surprised",
        "shocked",
        "worried",
        "frowning",
        "pouting",
        "annoyed",
        "joyful",
        "furious",
        "excited",
        "bored",
        "weary",
        "exhausted",
        "confused",
        "embarrassed",
        "calm",
        "relaxed",
        "shy",
        "upset",
        "unhappy",
        "depressed",
        "screaming",
        "beaming",
        "winking",
        "kissing",
        "sobbing",
        "afraid",
        "nervous",
        "anxious",
        "dizzy",
        "sick",
        "cool",
        "evil",
        "friendly",
        "cross",
        "smirking",
        "heartbroken",
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_take_articles_adjectives_and_numbers() {
        let rabbit = Noun::guessed("rabbit");
        assert_eq!(rabbit.one(&[]), "a rabbit");
        assert_eq!(rabbit.one(&["tiny", "orange"]), "a tiny orange rabbit");
        assert_eq!(rabbit.one(&["orange"]), "an orange rabbit");
        assert_eq!(rabbit.many(3, &["green"]).unwrap(), "three green rabbits");
        assert_eq!(rabbit.many(1, &[]).unwrap(), "one rabbit");
        assert_eq!(rabbit.many(7, &[]), None);
        let grapes = Noun::new("grapes", Number::Plural);
        assert_eq!((grapes.one(&["green"]).as_str(), grapes.many(2, &[])), ("green grapes", None));
        assert_eq!(Noun::new("bread", Number::Mass).one(&[]), "bread");
        assert_eq!(Noun::new("Santa Claus", Number::Proper).one(&["green"]), "a green Santa Claus");
        assert_eq!(Noun::new("Statue of Liberty", Number::The).one(&["green"]), "the green Statue of Liberty");
    }

    #[test]
    fn the_head_is_what_is_counted() {
        let many = |text| Noun::guessed(text).many(2, &[]).unwrap();
        assert_eq!(many("person* running"), "two people running");
        assert_eq!(many("woman* with red hair"), "two women with red hair");
        assert_eq!(many("cat with a wry smile"), "two cats with a wry smile");
        assert_eq!(Noun::guessed("person* running").text(), "person running");
    }

    #[test]
    fn adjectives_that_contradict_a_noun_are_found() {
        let heart = Noun::guessed("big red heart");
        let clashing = ["blue", "tiny", "dark blue", "happy", "red", "shiny"].map(|word| heart.clashes(word));
        assert_eq!(clashing, [true, true, true, false, true, false]);
        assert!(Noun::guessed("red-haired woman").clashes("green") && Noun::guessed("grumpy cat").clashes("happy"));
        assert!(!Noun::guessed("rabbit").clashes("green"));
    }
}
