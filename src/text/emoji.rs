//! Splits a prompt into words and emoji.

/// A part of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbol<'a> {
    /// A word: letters and digits, with hyphens and apostrophes inside.
    Word {
        /// Byte position.
        start: usize,
        /// The text as written.
        text: &'a str,
    },
    /// An emoji: everything that is drawn as one character.
    Emoji {
        /// Byte position.
        start: usize,
        /// The text as written.
        text: &'a str,
    },
}

/// The words and emoji of a prompt, in order. Punctuation is skipped.
pub fn symbols(prompt: &str) -> impl Iterator<Item = Symbol<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = &prompt[at..];
            let first = rest.chars().next()?;
            let start = at;
            if let Some(length) = emoji_length(rest) {
                at += length;
                return Some(Symbol::Emoji { start, text: &rest[..length] });
            }
            if first.is_alphanumeric() {
                let length = word_length(rest);
                at += length;
                return Some(Symbol::Word { start, text: &rest[..length] });
            }
            at += first.len_utf8();
        }
    })
}

/// An emoji without presentation selectors (U+FE0F), the form in which the lexicon compares them.
pub fn plain(emoji: &str) -> String {
    emoji.chars().filter(|c| *c != PRESENTATION).collect()
}

/// An emoji without skin tones.
pub fn toneless(emoji: &str) -> String {
    emoji.chars().filter(|c| !is_tone(*c)).collect()
}

/// Whether it is the flag of a country or region.
pub fn is_flag(plain: &str) -> bool {
    plain.chars().any(|c| is_regional(c) || is_tag(c))
}

/// Whether it is a letter, digit or word in a box.
pub fn is_letter(plain: &str) -> bool {
    plain
        .chars()
        .any(|c| c == KEYCAP || ('\u{1f170}'..='\u{1f251}').contains(&c) || ('\u{1f520}'..='\u{1f524}').contains(&c))
}

const PRESENTATION: char = '\u{fe0f}';
const JOINER: char = '\u{200d}';
const KEYCAP: char = '\u{20e3}';

fn is_tone(c: char) -> bool {
    ('\u{1f3fb}'..='\u{1f3ff}').contains(&c)
}

fn is_regional(c: char) -> bool {
    ('\u{1f1e6}'..='\u{1f1ff}').contains(&c)
}

fn is_tag(c: char) -> bool {
    ('\u{e0020}'..='\u{e007f}').contains(&c)
}

/// The Unicode blocks that contain emoji. They contain no letters of any script.
fn is_pictograph(c: char) -> bool {
    ('\u{1f000}'..='\u{1faff}').contains(&c)
        || ('\u{2190}'..='\u{2bff}').contains(&c)
        || matches!(
            c,
            '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}'
        )
}

/// The length in bytes of an emoji at the beginning of the text; none if it begins otherwise (UTS #51, ED-17).
fn emoji_length(text: &str) -> Option<usize> {
    let mut rest = text.chars().peekable();
    let first = rest.next()?;
    let mut length = first.len_utf8();
    let mut take = |rest: &mut std::iter::Peekable<std::str::Chars>, wanted: &dyn Fn(char) -> bool| {
        let next = rest.next_if(|c| wanted(*c));
        length += next.map_or(0, char::len_utf8);
        next.is_some()
    };
    if first.is_ascii_digit() || matches!(first, '#' | '*') {
        take(&mut rest, &|c| c == PRESENTATION);
        return take(&mut rest, &|c| c == KEYCAP).then_some(length);
    }
    if is_regional(first) {
        take(&mut rest, &is_regional);
        return Some(length);
    }
    if !is_pictograph(first) {
        return None;
    }
    loop {
        while take(&mut rest, &|c| c == PRESENTATION || is_tone(c) || is_tag(c)) {}
        if !take(&mut rest, &|c| c == JOINER) || !take(&mut rest, &is_pictograph) {
            return Some(length);
        }
    }
}

fn word_length(text: &str) -> usize {
    let mut end = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let next_is_letter = characters.peek().is_some_and(|(_, next)| next.is_alphanumeric());
        if c.is_alphanumeric() || (matches!(c, '\'' | '’' | '-') && next_is_letter) {
            end = at + c.len_utf8();
        } else {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(prompt: &str) -> Vec<&str> {
        let text = |symbol| match symbol {
            Symbol::Word { text, .. } | Symbol::Emoji { text, .. } => text,
        };
        symbols(prompt).map(text).collect()
    }

    #[test]
    fn prompts_come_apart() {
        assert_eq!(texts("a cat's t-shirt, don’t -- 3D!"), ["a", "cat's", "t-shirt", "don’t", "3D"]);
        assert_eq!(texts("two😀🐱hats"), ["two", "😀", "🐱", "hats"]);
        assert_eq!(texts("👩🏽‍🚀 ❤️‍🔥 🇫🇷🇩🇪 1️⃣ 12"), ["👩🏽‍🚀", "❤️‍🔥", "🇫🇷", "🇩🇪", "1️⃣", "12"]);
        assert_eq!(texts("猫 größer"), ["猫", "größer"]);
        assert_eq!(texts("🏴󠁧󠁢󠁳󠁣󠁴󠁿 👋🏿"), ["🏴󠁧󠁢󠁳󠁣󠁴󠁿", "👋🏿"]);
        assert_eq!(symbols("x 😀").nth(1), Some(Symbol::Emoji { start: 2, text: "😀" }));
    }

    #[test]
    fn flags_letters_and_tones_are_told_apart() {
        assert!(is_flag("🇫🇷") && is_flag("🏴󠁧󠁢󠁳󠁣󠁴󠁿") && !is_flag("🏴‍☠"));
        assert!(is_letter(&plain("1️⃣")) && is_letter("🆗") && is_letter("🔤") && !is_letter("😀"));
        assert_eq!(toneless("👩🏽‍🚀"), "👩‍🚀");
        assert_eq!(plain("❤️"), "❤");
    }
}
