//! The weights of a prompt's words, in the syntax of AUTOMATIC1111's web UI.

/// A piece of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text, and the factor for its features.
    Text(String, f32),
    /// The word `BREAK`, which begins a new chunk.
    Break,
}

const ROUND: f32 = 1.1;

/// Parses `(a)`, `(a:1.3)`, `[a]`, also nested, escapes like `\(`, and `BREAK`. A bracket that is never closed counts
/// to the end; a closing one without an opening one is text; a backslash before anything else is dropped.
pub fn pieces(prompt: &str) -> Vec<Piece> {
    let mut found: Vec<Piece> = Vec::new();
    let (mut round, mut square) = (Vec::new(), Vec::new());
    let mut rest = prompt;
    while let Some(first) = rest.chars().next() {
        let mut taken = first.len_utf8();
        match first {
            '\\' => {
                let escaped = rest[1..].chars().next().filter(|next| "\\()[]".contains(*next));
                taken += escaped.map_or(0, char::len_utf8);
                text(&mut found, &rest[1..taken]);
            }
            '(' => round.push(found.len()),
            '[' => square.push(found.len()),
            ':' if !round.is_empty() => match closing_weight(rest) {
                Some((weight, length)) => {
                    multiply(&mut found, round.pop(), weight);
                    taken = length;
                }
                None => text(&mut found, ":"),
            },
            ')' if !round.is_empty() => multiply(&mut found, round.pop(), ROUND),
            ']' if !square.is_empty() => multiply(&mut found, square.pop(), 1.0 / ROUND),
            ')' | ']' | ':' => text(&mut found, &rest[..taken]),
            _ => {
                taken = rest.find(['\\', '(', ')', '[', ']', ':']).unwrap_or(rest.len());
                words(&mut found, &rest[..taken]);
            }
        }
        rest = &rest[taken..];
    }
    round.into_iter().for_each(|from| multiply(&mut found, Some(from), ROUND));
    square.into_iter().for_each(|from| multiply(&mut found, Some(from), 1.0 / ROUND));
    joined(found)
}

fn text(found: &mut Vec<Piece>, text: &str) {
    found.push(Piece::Text(text.to_string(), 1.0));
}

/// Text without brackets, split at the word `BREAK` and the white space around it.
fn words(found: &mut Vec<Piece>, mut rest: &str) {
    const BREAK: &str = "BREAK";
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut from = 0;
    while let Some(at) = rest[from..].find(BREAK).map(|at| at + from) {
        let (before, after) = (&rest[..at], &rest[at + BREAK.len()..]);
        if before.ends_with(in_word) || after.starts_with(in_word) {
            from = at + BREAK.len();
            continue;
        }
        text(found, before.trim_end());
        found.push(Piece::Break);
        (rest, from) = (after.trim_start(), 0);
    }
    text(found, rest);
}

/// `: 1.3 )` at the start of `rest`: the number, and the bytes up to and including the bracket.
fn closing_weight(rest: &str) -> Option<(f32, usize)> {
    let end = rest.find(')')?;
    let number = rest[1..end].trim();
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    let plain = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let weight: f32 = number.parse().ok().filter(|_| plain)?;
    weight.is_finite().then_some((weight, end + 1))
}

fn multiply(found: &mut [Piece], from: Option<usize>, by: f32) {
    for piece in &mut found[from.unwrap_or(0)..] {
        if let Piece::Text(_, weight) = piece {
            *weight *= by;
        }
    }
}

/// Removes empty pieces, and joins neighbours of the same weight, because words are tokenized together.
fn joined(found: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::new();
    for piece in found {
        match (joined.last_mut(), piece) {
            (_, Piece::Text(words, _)) if words.is_empty() => {}
            (Some(Piece::Text(last, weight)), Piece::Text(words, of)) if *weight == of => last.push_str(&words),
            (_, piece) => joined.push(piece),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(prompt: &str) -> Vec<(String, f32)> {
        let said = |piece| match piece {
            Piece::Text(words, weight) => (words, (weight * 1e4).round() / 1e4),
            Piece::Break => ("BREAK".to_string(), -1.0),
        };
        pieces(prompt).into_iter().map(said).collect()
    }

    fn expect(prompt: &str, expected: &[(&str, f32)]) {
        let expected: Vec<(String, f32)> =
            expected.iter().map(|(words, weight)| (words.to_string(), *weight)).collect();
        assert_eq!(read(prompt), expected, "{prompt}");
    }

    /// The examples in the documentation of the web UI's parser, and edge cases.
    #[test]
    fn reads_what_the_web_ui_reads() {
        expect("normal text", &[("normal text", 1.0)]);
        expect("an (important) word", &[("an ", 1.0), ("important", 1.1), (" word", 1.0)]);
        expect("(unbalanced", &[("unbalanced", 1.1)]);
        expect(r"\(literal\]", &[("(literal]", 1.0)]);
        expect("(unnecessary)(parens)", &[("unnecessaryparens", 1.1)]);
        expect(
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            &[
                ("a ", 1.0),
                ("house", 1.573),
                (" ", 1.1),
                ("on", 1.0),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641),
                (".", 1.1),
            ],
        );
        expect("3:4) is: a ratio]", &[("3:4) is: a ratio]", 1.0)]);
        expect("(a: b)(c:1e3)", &[("a: bc:1e3", 1.1)]);
        expect("(a : 1.5 )(b:-1)(c:.5)", &[("a ", 1.5), ("b", -1.0), ("c", 0.5)]);
        expect("one BREAK two, BREAKING", &[("one", 1.0), ("BREAK", -1.0), ("two, BREAKING", 1.0)]);
        expect("лиса\\ (狐:2)", &[("лиса ", 1.0), ("狐", 2.0)]);
        expect("", &[]);
    }
}
