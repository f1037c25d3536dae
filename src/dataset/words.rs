//! English for captions: articles, plurals, numbers, and which names take neither.

use super::lexicon::Number;

/// The name with its article: "a fox", "an owl", but "grapes" and "bread".
pub fn with_article(name: &str) -> String {
    with_article_for(name, name)
}

/// As [`with_article`], for a `phrase` that puts adjectives before the `name`: "an orange fox", "green grapes".
pub fn with_article_for(phrase: &str, name: &str) -> String {
    match number(name) {
        Number::Countable => format!("{} {phrase}", article(phrase)),
        _ => phrase.to_owned(),
    }
}

/// "a" or "an", by the sound with which the phrase begins.
pub fn article(phrase: &str) -> &'static str {
    let first = phrase.split([' ', '-']).next().unwrap_or_default();
    // Letters that are spelled: "an SUV", "a UFO", "an X-ray".
    if first.chars().all(|c| c.is_ascii_uppercase()) && !first.is_empty() {
        return if first.starts_with(['A', 'E', 'F', 'H', 'I', 'L', 'M', 'N', 'O', 'R', 'S', 'X']) {
            "an"
        } else {
            "a"
        };
    }
    let lower = phrase.to_lowercase();
    let starts = |with: &[&str]| with.iter().any(|start| lower.starts_with(start));
    let vowel = lower.starts_with(['a', 'e', 'i', 'o', 'u']);
    let sounds_consonant =
        starts(&["uni", "uk", "eu", "one-", "one ", "once", "ute", "use", "ufo"]) && !starts(&["unim", "unin", "unid"]);
    let sounds_vowel = starts(&["hour", "x-ray", "honest", "honor", "honour", "heir", "8", "11", "18"]);
    if (vowel && !sounds_consonant) || sounds_vowel { "an" } else { "a" }
}

/// Whether the name can be counted. A picture of "three grapes" or "two breads" looks like a picture of one.
pub fn countable(name: &str) -> bool {
    number(name) == Number::Countable
}

/// The plural of a countable name. It changes the head noun, the last word before "of", "with", "in" and the like.
pub fn plural(name: &str) -> String {
    let (head, rest) = name.split_at(head_end(name));
    let start = head.rfind([' ', '-']).map_or(0, |at| at + 1);
    format!("{}{}{rest}", &head[..start], plural_word(&head[start..]))
}

/// Position of the end of the head noun.
fn head_end(name: &str) -> usize {
    AFTER_HEAD.iter().filter_map(|word| name.find(word)).min().unwrap_or(name.len())
}

/// "one" to "six".
pub fn number_word(count: usize) -> Option<&'static str> {
    ["zero", "one", "two", "three", "four", "five", "six"].get(count).copied()
}

/// How a name takes articles and numbers, guessed from its words.
pub fn number(name: &str) -> Number {
    let head = &name[..head_end(name)];
    let many = head.ends_with('s') && !["ss", "us", "is", "as"].iter().any(|end| head.ends_with(end));
    if PLURALS.contains(&name) || many {
        Number::Plural
    } else if MASS.contains(&name) {
        Number::Mass
    } else {
        Number::Countable
    }
}

fn plural_word(word: &str) -> String {
    if let Some((_, plural)) = IRREGULAR.iter().find(|(singular, _)| *singular == word) {
        return (*plural).to_owned();
    }
    if UNCHANGED.iter().any(|end| word.ends_with(end)) {
        return word.to_owned();
    }
    let before_last = word.chars().rev().nth(1);
    let after_vowel = before_last.is_some_and(|c| "aeiou".contains(c));
    if word.ends_with('y') && !after_vowel {
        return format!("{}ies", &word[..word.len() - 1]);
    }
    if let Some(stem) = word.strip_suffix("person") {
        return format!("{stem}people");
    }
    if let Some(stem) = word.strip_suffix("man").filter(|_| !IN_MANS.contains(&word)) {
        return format!("{stem}men");
    }
    if ["s", "x", "z", "ch", "sh"].iter().any(|end| word.ends_with(end)) || IN_OES.contains(&word) {
        return format!("{word}es");
    }
    format!("{word}s")
}

/// Words that can follow the head noun.
const AFTER_HEAD: &[&str] = &[
    " of ",
    " with ",
    " without ",
    " in ",
    " on ",
    " at ",
    " for ",
    " from ",
    " to ",
    " over ",
    " behind ",
    " wearing ",
    " holding ",
    " showing ",
    " facing ",
    " pointing ",
    " tilted ",
    " exhaling",
    " vomiting",
    " increasing",
    " decreasing",
];

const PLURALS: &[&str] = &[
    "ballet shoes",
    "beans",
    "blueberries",
    "books",
    "briefs",
    "cherries",
    "chopsticks",
    "crossed swords",
    "clinking beer mugs",
    "clinking glasses",
    "french fries",
    "glasses",
    "gloves",
    "goggles",
    "grapes",
    "hammer and pick",
    "headphones",
    "houses",
    "jeans",
    "maracas",
    "pancakes",
    "paw prints",
    "peanuts",
    "scissors",
    "shopping bags",
    "shorts",
    "skis",
    "socks",
    "sparkles",
    "sunglasses",
    "fork and knife",
];

const MASS: &[&str] = &[
    "bacon",
    "bread",
    "broccoli",
    "butter",
    "canned food",
    "cooked rice",
    "coral",
    "curry rice",
    "custard",
    "falafel",
    "fire",
    "garlic",
    "ginger root",
    "ice",
    "mate",
    "oden",
    "popcorn",
    "salt",
    "shaved ice",
    "soap",
    "spaghetti",
    "sushi",
    "wood",
    "yarn",
    "thread",
    "soft serve",
];

const UNCHANGED: &[&str] =
    &["fish", "sheep", "deer", "bison", "moose", "shrimp", "squid", "salmon", "craft", "dice", "sushi", "rice"];

const IN_OES: &[&str] =
    &["potato", "tomato", "mango", "volcano", "buffalo", "tornado", "mosquito", "hero", "superhero", "torpedo"];

/// Not "humen".
const IN_MANS: &[&str] = &["human", "shaman", "talisman"];

const IRREGULAR: &[(&str, &str)] = &[
    ("child", "children"),
    ("grandchild", "grandchildren"),
    ("mouse", "mice"),
    ("goose", "geese"),
    ("ox", "oxen"),
    ("wolf", "wolves"),
    ("elf", "elves"),
    ("leaf", "leaves"),
    ("knife", "knives"),
    ("wife", "wives"),
    ("calf", "calves"),
    ("thief", "thieves"),
    ("shelf", "shelves"),
    ("scarf", "scarves"),
    ("loaf", "loaves"),
    ("half", "halves"),
    ("sheaf", "sheaves"),
    ("fungus", "fungi"),
    ("cactus", "cacti"),
    ("tooth", "teeth"),
    ("foot", "feet"),
    ("die", "dice"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles() {
        let said = ["fox", "owl", "unicorn", "hourglass", "grapes", "bread", "ear of corn"].map(with_article);
        assert_eq!(said, ["a fox", "an owl", "a unicorn", "an hourglass", "grapes", "bread", "an ear of corn"]);
        assert_eq!(with_article_for("orange fox", "fox"), "an orange fox");
        assert_eq!(with_article_for("green grapes", "grapes"), "green grapes");
        let said = ["SUV", "UFO", "T-shirt", "unimpressed face", "ukulele", "one-eyed cat", "umbrella", "X-ray"];
        assert_eq!(said.map(article), ["an", "a", "a", "an", "a", "a", "an", "an"]);
    }

    #[test]
    fn plurals() {
        let pairs = [
            ("pizza", "pizzas"),
            ("fox", "foxes"),
            ("butterfly", "butterflies"),
            ("monkey", "monkeys"),
            ("mouse", "mice"),
            ("tropical fish", "tropical fish"),
            ("pot of food", "pots of food"),
            ("maple leaf", "maple leaves"),
            ("octopus", "octopuses"),
            ("peach", "peaches"),
            ("tomato", "tomatoes"),
            ("flamingo", "flamingos"),
            ("nest with eggs", "nests with eggs"),
            ("child in a car", "children in a car"),
            ("snowman without snow", "snowmen without snow"),
            ("human", "humans"),
            ("firewoman", "firewomen"),
            ("elf", "elves"),
            ("merperson", "merpeople"),
            ("hand pointing up", "hands pointing up"),
            ("sunset over the sea", "sunsets over the sea"),
            ("teddy-bear", "teddy-bears"),
        ];
        for (one, many) in pairs {
            assert_eq!(plural(one), many);
        }
        assert!(
            !countable("praying hands") && !countable("towels on a shelf") && countable("bus") && countable("glass")
        );
        assert!(countable("fox") && !countable("grapes") && !countable("bread"));
        assert_eq!((number_word(6), number_word(7)), (Some("six"), None));
    }
}
