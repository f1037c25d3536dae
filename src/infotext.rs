//! AUTOMATIC1111's infotext: the settings of a picture as text, so that other programs can read ours and we can read
//! theirs.
//!
//! It contains the prompt, then `Negative prompt: …` on separate lines, then one line of `key: value` pairs separated
//! by commas. A value with a comma, colon or newline is in quotes, escaped as in JSON.

use std::fmt::{Display, Formatter, Result};

const NEGATIVE: &str = "Negative prompt:";

/// The adapters that a picture was drawn with, `name: hash` of each.
pub const LORA_HASHES: &str = "Lora hashes";

/// A picture's settings as text. White space around the prompts is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Infotext {
    /// The prompt; may have several lines.
    pub prompt: String,
    /// The negative prompt; may have several lines.
    pub negative_prompt: String,
    /// `Steps`, `Sampler`, `CFG scale` and so on, in the order of the text.
    pub settings: Vec<(String, String)>,
}

impl Infotext {
    /// Parses what A1111 or this program wrote. Any text is valid: without a line of settings, all of it is the prompt.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let (mut above, last) = text.rsplit_once('\n').unwrap_or(("", text));
        let mut settings = pairs(last);
        // As in A1111, fewer than three pairs count as words of the prompt.
        if settings.len() < 3 {
            (above, settings) = (text, Vec::new());
        }
        let (mut prompt, mut negative, mut in_prompt) = (Vec::new(), Vec::new(), true);
        for line in above.lines().map(str::trim) {
            match line.strip_prefix(NEGATIVE) {
                Some(rest) => {
                    in_prompt = false;
                    negative.push(rest.trim());
                }
                None if in_prompt => prompt.push(line),
                None => negative.push(line),
            }
        }
        let joined = |lines: Vec<&str>| lines.join("\n").trim().to_owned();
        Self { prompt: joined(prompt), negative_prompt: joined(negative), settings }
    }

    /// The same for a picture that was drawn with adapters, as `weights::Lora::label` names them. Their weights are not told: A1111
    /// has those in the prompt.
    pub fn with_adapters(mut self, labels: &[String]) -> Self {
        if !labels.is_empty() {
            let at = self.settings.iter().position(|(key, _)| key == "Version").unwrap_or(self.settings.len());
            self.settings.insert(at, (LORA_HASHES.to_owned(), labels.join(", ")));
        }
        self
    }

    /// The value of a setting.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

impl Display for Infotext {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut parts = Vec::new();
        if !self.prompt.trim().is_empty() {
            parts.push(self.prompt.trim().to_owned());
        }
        if !self.negative_prompt.trim().is_empty() {
            parts.push(format!("{NEGATIVE} {}", self.negative_prompt.trim()));
        }
        let pairs = self.settings.iter().map(|(key, value)| format!("{key}: {}", quoted(value)));
        parts.push(pairs.collect::<Vec<_>>().join(", "));
        f.write_str(&parts.join("\n"))
    }
}

fn quoted(value: &str) -> String {
    match value.contains([',', '\n', ':']) {
        true => serde_json::Value::from(value).to_string(),
        false => value.to_owned(),
    }
}

fn unquoted(value: &str) -> String {
    let inside = value.starts_with('"') && value.ends_with('"');
    let text = inside.then(|| serde_json::from_str::<String>(value).ok()).flatten();
    text.unwrap_or_else(|| value.to_owned())
}

/// All `key: value` pairs of a line.
fn pairs(line: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(colon) = rest.find(':') {
        let key = key_at_end(&rest[..colon]);
        let after = rest[colon + 1..].trim_start();
        let Some(key) = key else {
            rest = &rest[colon + 1..];
            continue;
        };
        let length = quoted_length(after).unwrap_or_else(|| after.find(',').unwrap_or(after.len()));
        found.push((key.to_owned(), unquoted(after[..length].trim())));
        rest = after[length..].strip_prefix(',').unwrap_or("");
    }
    found
}

/// The key at the end of `text`: letters, digits, spaces, `_`, `-` and `/`, at least two characters, the first a letter
/// or digit.
fn key_at_end(text: &str) -> Option<&str> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let start = text
        .rfind(|c: char| !(word(c) || matches!(c, ' ' | '-' | '/')))
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    let key = text[start..].trim_start_matches(|c| !word(c));
    (key.chars().count() >= 2).then_some(key)
}

/// The length of a quoted value that is followed by a comma or the end.
fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let end = at + 1;
                let closed = text.starts_with('"') && (end == text.len() || text[end..].starts_with(','));
                return closed.then_some(end);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    // In the format of A1111 1.6 to 1.10.
    const A1111: &str = "a photo of a cat, (masterpiece:1.2)\nsitting on a mat\nNegative prompt: blurry, dog\nugly\n\
        Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 965400086, Size: 512x768, \
        Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Clip skip: 2, \
        Lora hashes: \"add_detail: 7c6bad76eb54, more: 1\", Version: v1.7.0";

    #[test]
    fn a_text_of_a1111_is_read() {
        let info = Infotext::parse(A1111);
        assert_eq!(info.prompt, "a photo of a cat, (masterpiece:1.2)\nsitting on a mat");
        assert_eq!(info.negative_prompt, "blurry, dog\nugly");
        let wanted = [
            ("Steps", "20"),
            ("Sampler", "DPM++ 2M"),
            ("Schedule type", "Karras"),
            ("CFG scale", "7"),
            ("Seed", "965400086"),
            ("Size", "512x768"),
            ("Model hash", "6ce0161689"),
            ("Model", "v1-5-pruned-emaonly"),
            ("Clip skip", "2"),
            ("Lora hashes", "add_detail: 7c6bad76eb54, more: 1"),
            ("Version", "v1.7.0"),
        ];
        assert_eq!(info.settings, settings(&wanted));
        assert_eq!(info.to_string(), A1111);
    }

    #[test]
    fn adapters_stand_before_the_version() {
        let mut info = Infotext::parse(A1111);
        assert_eq!(info.clone().with_adapters(&[]), info);
        info.settings.retain(|(key, _)| key != LORA_HASHES);
        let labels = ["add_detail: 7c6bad76eb54", "more: 1"].map(str::to_owned);
        assert_eq!(info.with_adapters(&labels).to_string(), A1111);
    }

    #[test]
    fn quotes_commas_colons_and_newlines_survive() {
        let info = Infotext {
            prompt: "a \"quoted\" fox: red, green\nsecond line: yes, 5".into(),
            negative_prompt: "a, b: c\nd".into(),
            settings: settings(&[
                ("Steps", "4"),
                ("Model", "my \"best\", model: 2\nnew"),
                ("Path", "C\\d"),
                ("Version", "Fourstep 0.1.0"),
            ]),
        };
        assert_eq!(Infotext::parse(&info.to_string()), info);
    }

    #[test]
    fn without_prompt_or_settings() {
        let bare = "Steps: 4, Sampler: DDIM, CFG scale: 2.5, Seed: 7";
        let info = Infotext::parse(bare);
        assert_eq!((info.prompt.as_str(), info.get("CFG scale"), info.get("Seed")), ("", Some("2.5"), Some("7")));
        assert_eq!(info.to_string(), bare);
        let info = Infotext::parse("a fox: red\nwith one pair, so: no");
        assert_eq!(info, Infotext { prompt: "a fox: red\nwith one pair, so: no".into(), ..Infotext::default() });
        assert_eq!(Infotext::parse(""), Infotext::default());
    }

    #[test]
    fn strange_lines_are_read_as_a1111_reads_them() {
        // An unclosed quote ends at the comma; a value may be empty; a key begins with a letter.
        let info = Infotext::parse("x\nSteps: 4, Odd: \"un, closed: 1, -Seed: 3, Empty: , Ünïcode: ja");
        let wanted =
            [("Steps", "4"), ("Odd", "\"un"), ("closed", "1"), ("Seed", "3"), ("Empty", ""), ("Ünïcode", "ja")];
        assert_eq!(info.settings, settings(&wanted));
        assert_eq!(Infotext::parse("::: , :,\n\":\"").settings, settings(&[]));
    }
}
