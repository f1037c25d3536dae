//! Contact sheets: pictures in rows, each with a text below, for people to look at.

use super::font;
use crate::picture::Picture;

/// Arranges pictures in rows of `columns`, each with its text below (wrapped; '\n' starts a line), on light grey.
///
/// # Panics
/// If `columns` is 0.
pub fn sheet(cells: &[(Picture, String)], columns: usize) -> Picture {
    assert!(columns > 0, "a sheet without columns");
    let width = cells.iter().map(|(p, _)| p.width).max().unwrap_or(0).max(LEAST_WIDTH);
    let height = cells.iter().map(|(p, _)| p.height).max().unwrap_or(0);
    let texts = cells.iter().map(|(_, text)| font::wrap(text, width / font::ADVANCE)).collect::<Vec<_>>();
    // Each row has the height of its longest text.
    let rows =
        texts.chunks(columns).map(|row| height + TEXT_GAP + font::LINE * row.iter().map(Vec::len).max().unwrap_or(0));
    let tops = rows
        .scan(MARGIN, |y, row| Some(std::mem::replace(y, *y + row + MARGIN)).map(|top| (top, *y)))
        .collect::<Vec<_>>();
    let columns = columns.min(cells.len().max(1));
    let bottom = tops.last().map_or(MARGIN, |(_, end)| *end);
    let mut picture = Picture::filled(MARGIN + columns * (width + MARGIN), bottom, GROUND);
    for (i, ((cell, _), lines)) in cells.iter().zip(&texts).enumerate() {
        let (left, top) = (MARGIN + i % columns * (width + MARGIN), tops[i / columns].0);
        picture.paste(cell, left + (width - cell.width) / 2, top);
        for (line, text) in lines.iter().enumerate() {
            font::write(&mut picture, (left, top + height + TEXT_GAP + line * font::LINE), text, [0; 3]);
        }
    }
    picture
}

const GROUND: [u8; 3] = [226, 226, 228];
const MARGIN: usize = 10;
const TEXT_GAP: usize = 4;
/// 16 characters, so that a caption fits into three or four lines.
const LEAST_WIDTH: usize = 16 * font::ADVANCE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_and_texts_are_where_they_belong() {
        let red = Picture::filled(100, 20, [255, 0, 0]);
        let cells = [("one", red.clone()), ("a text of two lines", red.clone()), ("three", red)];
        let sheet = sheet(&cells.map(|(text, picture)| (picture, text.to_owned())), 2);
        assert_eq!((sheet.width, sheet.height), (10 + 2 * 110, 10 + (20 + 4 + 20 + 10) + (20 + 4 + 10 + 10)));
        for (left, top) in [(10, 10), (120, 10), (10, 64)] {
            assert_eq!(sheet.pixel(left, top), [255, 0, 0]);
            assert_eq!(sheet.pixel(left + 99, top + 19), [255, 0, 0]);
            assert_eq!(sheet.pixel(left - 1, top), GROUND);
            let ink = (0..600).filter(|i| sheet.pixel(left + i % 30, top + 24 + i / 30 % 8) == [0; 3]).count();
            assert!(ink > 10, "text below the picture at {left}, {top}");
        }
        assert_eq!(sheet.pixel(120, 64), GROUND, "nothing in the fourth place");
    }
}
