//! A small bitmap font for sheets and charts: printable ASCII, 5 x 8 pixels a character with one row below the
//! baseline.

use crate::picture::Picture;

/// Pixels from one character to the next.
pub const ADVANCE: usize = 6;
/// Pixels from one line to the next.
pub const LINE: usize = 10;

/// Writes one line with its upper left corner at (`left`, `top`). Parts beyond the picture's edge are dropped, and
/// characters that the font lacks become '?'.
pub fn write(picture: &mut Picture, (left, top): (usize, usize), text: &str, colour: [u8; 3]) {
    for (place, character) in text.chars().enumerate() {
        for (y, row) in rows(character).into_iter().enumerate() {
            for x in (0..5).filter(|x| row >> (4 - x) & 1 == 1) {
                let (to_x, to_y) = (left + place * ADVANCE + x, top + y);
                if to_x < picture.width && to_y < picture.height {
                    picture.set(to_x, to_y, colour);
                }
            }
        }
    }
}

/// Breaks text into lines of at most `width` characters, between words if possible; line breaks in `text` stay.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            let mut word = word;
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            while word.chars().count() > width {
                let cut = word.char_indices().nth(width).map_or(word.len(), |(at, _)| at);
                lines.push(word[..cut].to_owned());
                word = &word[cut..];
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

fn rows(character: char) -> [u8; 8] {
    let index = (character as usize).checked_sub(0x20).filter(|&i| i < GLYPHS.len()).unwrap_or('?' as usize - 0x20);
    let mut rows = [0; 8];
    for (row, digit) in rows.iter_mut().zip(GLYPHS[index].bytes()) {
        *row = if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 };
    }
    rows
}

/// The characters from the space: eight rows from the top, each a digit of base 32 (0-9, a-v) whose five bits are the
/// pixels.
#[rustfmt::skip]
const GLYPHS: [&str; 95] = [
    "00000000", "44444040", "aaa00000", "aavavaa0", "4fke5u40", "op248j30", "cik8lid0", "44800000", // space !"#$%&'
    "24888420", "84222480", "04lel400", "044v4400", "00000448", "000v0000", "00000cc0", "01248g00", // ()*+,-./
    "ehjlphe0", "4c4444e0", "eh1248v0", "v2421he0", "26aiv220", "vgu11he0", "68guhhe0", "v1248880", // 01234567
    "ehhehhe0", "ehhf12c0", "0cc0cc00", "0cc0c480", "248g8420", "00v0v000", "84212480", "eh124040", // 89:;<=>?
    "eh1dlle0", "ehhvhhh0", "uhhuhhu0", "ehggghe0", "sihhhis0", "vgguggv0", "vgguggg0", "ehgnhhf0", // @ABCDEFG
    "hhhvhhh0", "e44444e0", "72222ic0", "hikokih0", "ggggggv0", "hrllhhh0", "hhpljhh0", "ehhhhhe0", // HIJKLMNO
    "uhhuggg0", "ehhhlid0", "uhhukih0", "fgge11u0", "v4444440", "hhhhhhe0", "hhhhha40", "hhhllla0", // PQRSTUVW
    "hha4ahh0", "hhha4440", "v1248gv0", "e88888e0", "0g842100", "e22222e0", "4ah00000", "0000000v", // XYZ[\]^_
    "84200000", "00e1fhf0", "ggmphhu0", "00egghe0", "11djhhf0", "00ehvge0", "698s8880", "00fhhf1e", // `abcdefg
    "ggmphhh0", "40c444e0", "206222ic", "ggikoki0", "c44444e0", "00qllhh0", "00mphhh0", "00ehhhe0", // hijklmno
    "00uhhugg", "00fhhf11", "00mpggg0", "00ege1u0", "88s88960", "00hhhjd0", "00hhha40", "00hhlla0", // pqrstuvw
    "00ha4ah0", "00hhhf1e", "00v248v0", "24484420", "44444440", "84424480", "008l2000",             // xyz{|}~
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_l_is_an_upright_with_a_foot() {
        let mut picture = Picture::filled(7, 9, [255; 3]);
        write(&mut picture, (1, 1), "L", [0; 3]);
        let black = (0..63).filter(|i| picture.pixel(i % 7, i / 7) == [0; 3]).map(|i| (i % 7, i / 7));
        let expected = (1..7).map(|y| (1, y)).chain((1..6).map(|x| (x, 7)));
        assert!(black.eq(expected));
    }

    #[test]
    fn every_character_but_the_space_differs_and_fits() {
        let all = (0x21..0x7fu8).map(|c| rows(c.into())).collect::<std::collections::HashSet<_>>();
        assert_eq!(all.len(), 94);
        assert!(all.iter().flatten().all(|row| *row < 32) && all.iter().all(|rows| rows.iter().any(|r| *r > 0)));
        assert_eq!(rows('é'), rows('?'));
    }

    #[test]
    fn wrapping_keeps_words_together_and_every_letter() {
        assert_eq!(wrap("a fox on a blue background", 11), ["a fox on a", "blue", "background"]);
        assert_eq!(wrap("one\ntwo three", 20), ["one", "two three"]);
        assert_eq!(wrap("abcdefgh i", 3), ["abc", "def", "gh", "i"]);
    }
}
