//! Rasterises SVG drawings with the crate resvg.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use super::raster::Glyph;

/// Share of a fitted drawing's side that stays empty at each side.
pub const MARGIN: f32 = 1.0 / 32.0;

/// Rasterises the drawing on a square of `side` pixels, with its view in the middle if that is not square.
///
/// # Errors
/// A description if the text is no SVG file, or if the side is 0.
pub fn rasterised(svg: &str, side: usize) -> Result<Glyph, String> {
    let tree = parse(svg)?;
    let (width, height) = (tree.size().width(), tree.size().height());
    let scale = side as f32 / width.max(height);
    let place = Transform::from_translate((width.max(height) - width) / 2.0, (width.max(height) - height) / 2.0);
    let pixmap = drawn(&tree, place.post_scale(scale, scale), side)?;
    // Dividing by alpha loses nothing: multiplied and rounded again, the result has the same 8 bits.
    let straight = pixmap.pixels().iter().map(|pixel| pixel.demultiply());
    let rgba = straight.map(|p| [p.red(), p.green(), p.blue(), p.alpha()]).collect();
    Ok(Glyph { width: side, height: side, rgba })
}

/// Crops a drawing to what is visible: the same `body` in a square view that leaves [`MARGIN`] free around everything
/// visible inside `view` (left, top, width, height). None if nothing is visible.
///
/// # Errors
/// A description if the text is no SVG.
pub fn fitted(body: &str, view: [f32; 4]) -> Result<Option<String>, String> {
    let tree = parse(&document(body, view))?;
    let [left, top, width, height] = view;
    let scale = PROBE as f32 / width.max(height);
    let frame = PROBE / 8;
    let place = Transform::from_scale(scale, scale).post_translate(frame as f32, frame as f32);
    let pixmap = drawn(&tree, place, PROBE + 2 * frame)?;
    let side = pixmap.width() as usize;
    let inside = |x: usize, y: usize| {
        let within = |at: usize, length: f32| at >= frame && at < frame + (length * scale).ceil() as usize;
        within(x, width) && within(y, height)
    };
    let (mut low, mut high, mut spills) = ([usize::MAX; 2], [0; 2], false);
    for (i, pixel) in pixmap.pixels().iter().enumerate() {
        let (x, y) = (i % side, i / side);
        match (pixel.alpha() > INK, inside(x, y)) {
            (true, true) => {
                low = [low[0].min(x), low[1].min(y)];
                high = [high[0].max(x + 1), high[1].max(y + 1)];
            }
            (true, false) => spills = true,
            (false, _) => {}
        }
    }
    if low[0] == usize::MAX {
        return Ok(None);
    }
    let extent = |axis: usize| (high[axis] - low[axis]) as f32 / scale;
    let centre = |axis: usize| (low[axis] + high[axis]) as f32 / 2.0 - frame as f32;
    let new = extent(0).max(extent(1)) / (1.0 - 2.0 * MARGIN);
    let corner = [left + centre(0) / scale - new / 2.0, top + centre(1) / scale - new / 2.0];
    // A nested view clips parts outside the artist's own view.
    let body = match spills {
        true => format!(
            r#"<svg x="{left}" y="{top}" width="{width}" height="{height}" viewBox="{left} {top} {width} {height}">{body}</svg>"#
        ),
        false => body.to_owned(),
    };
    Ok(Some(document(&body, [corner[0], corner[1], new, new].map(thousandths))))
}

/// Side in pixels at which visible parts are searched.
const PROBE: usize = 256;
/// Alpha above which a pixel counts as visible.
const INK: u8 = 12;

fn document(body: &str, [left, top, width, height]: [f32; 4]) -> String {
    let link = if body.contains("xlink:") { r#" xmlns:xlink="http://www.w3.org/1999/xlink""# } else { "" };
    let namespace = "http://www.w3.org/2000/svg";
    format!(r#"<svg xmlns="{namespace}"{link} viewBox="{left} {top} {width} {height}">{body}</svg>"#)
}

fn parse(svg: &str) -> Result<Tree, String> {
    Tree::from_str(svg, &Options::default()).map_err(|e| format!("no SVG drawing: {e}"))
}

fn drawn(tree: &Tree, place: Transform, side: usize) -> Result<Pixmap, String> {
    let too_large = || format!("{side} pixels a side cannot be drawn");
    let side = u32::try_from(side).map_err(|_| too_large())?;
    let mut pixmap = Pixmap::new(side, side).ok_or_else(too_large)?;
    resvg::render(tree, place, &mut pixmap.as_mut());
    Ok(pixmap)
}

fn thousandths(value: f32) -> f32 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First and last column and row with visible pixels.
    fn ink(glyph: &Glyph) -> [usize; 4] {
        let places = (0..glyph.rgba.len()).map(|i| (i % glyph.width, i / glyph.width));
        let inked = places.filter(|&(x, y)| glyph.pixel(x, y)[3] > 100).collect::<Vec<_>>();
        let columns = inked.iter().map(|p| p.0);
        let rows = inked.iter().map(|p| p.1);
        [columns.clone().min(), columns.max(), rows.clone().min(), rows.max()].map(Option::unwrap)
    }

    #[test]
    fn a_fitted_drawing_fills_its_square_but_for_the_margin() {
        for (body, expected) in [
            (r##"<path fill="#00f" d="M10 12h8v4h-8z"/>"##, [2, 61, 17, 46]),
            (r##"<path fill="#00f" d="M0 0h4v8H0z"/>"##, [17, 46, 2, 61]),
            // Parts outside of the view stay invisible.
            (r##"<path fill="#00f" d="M-4 0h8v8h-8z"/>"##, [17, 46, 2, 61]),
        ] {
            let svg = fitted(body, [0.0, 0.0, 32.0, 32.0]).unwrap().unwrap();
            let found = ink(&rasterised(&svg, 64).unwrap());
            assert!(found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 1), "{body}: {found:?}");
        }
        assert_eq!(fitted(r#"<path d="M40 40h4v4z"/>"#, [0.0, 0.0, 32.0, 32.0]).unwrap(), None);
    }

    #[test]
    fn half_transparent_colours_come_back_straight() {
        let svg = document(r##"<path fill="#f08040" fill-opacity=".5" d="M0 0h8v8H0z"/>"##, [0.0, 0.0, 8.0, 8.0]);
        let [r, g, b, a] = rasterised(&svg, 8).unwrap().pixel(4, 4);
        assert!(a.abs_diff(128) < 2 && r.abs_diff(0xf0) < 3 && g.abs_diff(0x80) < 3 && b.abs_diff(0x40) < 3);
    }

    #[test]
    fn what_is_no_drawing_is_refused() {
        assert!(rasterised("<svg", 8).unwrap_err().contains("no SVG"));
        assert!(rasterised(&document("", [0.0, 0.0, 8.0, 8.0]), 0).is_err());
    }
}
