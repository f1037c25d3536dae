//! English for captions: articles, plurals, and which names take neither.

/// The name with its article: "a fox", "an owl", but "grapes" and "bread".
pub fn with_article(name: &str) -> String {
    with_article_for(name, name)
}

/// As [`with_article`], for a `phrase` that puts adjectives before the `name`: "an orange fox", "green grapes".
pub fn with_article_for(phrase: &str, name: &str) -> String {
    if number(name) != Number::Singular {
        return phrase.to_owned();
    }
    let lower = phrase.to_lowercase();
    let vowel = lower.starts_with(['a', 'e', 'i', 'o', 'u']);
    let sounds_consonant = ["uni", "uk", "eu", "one-", "ute", "use"].iter().any(|start| lower.starts_with(start));
    let sounds_vowel = ["hourglass", "x-ray", "honest", "8"].iter().any(|start| lower.starts_with(start));
    let article = if (vowel && !sounds_consonant) || sounds_vowel { "an" } else { "a" };
    format!("{article} {phrase}")
}

/// Whether the name can be counted: "three grapes" and "two breads" cannot be told from one picture of them.
pub fn countable(name: &str) -> bool {
    number(name) == Number::Singular
}

/// The plural of a countable name: of its head noun, the last word before "of", "with", "in" or "on".
pub fn plural(name: &str) -> String {
    let head_end = [" of ", " with ", " in ", " on "].iter().filter_map(|w| name.find(w)).min().unwrap_or(name.len());
    let (head, rest) = name.split_at(head_end);
    let start = head.rfind(' ').map_or(0, |at| at + 1);
    format!("{}{}{rest}", &head[..start], plural_word(&head[start..]))
}

/// "two", "three", "four".
pub fn number_word(count: usize) -> Option<&'static str> {
    ["zero", "one", "two", "three", "four"].get(count).copied()
}

#[derive(PartialEq)]
enum Number {
    Singular,
    /// Already a plural.
    Plural,
    /// No article, no plural.
    Mass,
}

fn number(name: &str) -> Number {
    if PLURALS.contains(&name) {
        Number::Plural
    } else if MASS.contains(&name) {
        Number::Mass
    } else {
        Number::Singular
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
    if let Some(stem) = word.strip_suffix("man") {
        return format!("{stem}men");
    }
    if ["s", "x", "z", "ch", "sh"].iter().any(|end| word.ends_with(end)) || IN_OES.contains(&word) {
        return format!("{word}es");
    }
    format!("{word}s")
}

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

const UNCHANGED: &[&str] = &["fish", "sheep", "deer", "bison", "moose", "shrimp", "squid"];

const IN_OES: &[&str] = &["potato", "tomato", "mango", "volcano", "buffalo", "tornado", "mosquito"];

const IRREGULAR: &[(&str, &str)] = &[
    ("mouse", "mice"),
    ("goose", "geese"),
    ("ox", "oxen"),
    ("wolf", "wolves"),
    ("leaf", "leaves"),
    ("knife", "knives"),
    ("scarf", "scarves"),
    ("loaf", "loaves"),
    ("cactus", "cacti"),
    ("tooth", "teeth"),
    ("foot", "feet"),
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
        ];
        for (one, many) in pairs {
            assert_eq!(plural(one), many);
        }
        assert!(countable("fox") && !countable("grapes") && !countable("bread"));
    }
}
