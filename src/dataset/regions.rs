//! The regions of a picture in which the things of pairs and numbers lie.

use super::arrange::places;
use super::likeness::drawn_box;
use super::raster::Layer;
use super::scene::Place;

/// The regions of the copies in a drawing.
pub fn cells(lone: &Layer, count: usize) -> Vec<[usize; 4]> {
    let Some([left, top, right, bottom]) = drawn_box(lone) else { return Vec::new() };
    let middles = places(count);
    let reach = |axis: fn(&(f32, f32)) -> f32| middles.iter().map(axis).fold(0.0, f32::max) + 0.5;
    let (far_x, far_y) = (reach(|p| p.0), reach(|p| p.1));
    let at = |from: usize, to: usize, share: f32| from + ((to - from) as f32 * share.clamp(0.0, 1.0)).round() as usize;
    let cell = |(x, y): &(f32, f32)| {
        let span = |middle: f32, far: f32| ((middle - 0.5 + far) / (2.0 * far), (middle + 0.5 + far) / (2.0 * far));
        let ((x0, x1), (y0, y1)) = (span(*x, far_x), span(*y, far_y));
        [at(left, right, x0), at(top, bottom, y0), at(left, right, x1).max(1), at(top, bottom, y1).max(1)]
    };
    middles.iter().map(cell).collect()
}

/// The regions of the first and the second of a pair: the drawing is divided where the least is drawn.
pub fn halves(lone: &Layer, place: Option<Place>) -> (Option<[usize; 4]>, Option<[usize; 4]>) {
    let Some([left, top, right, bottom]) = drawn_box(lone) else { return (None, None) };
    let across = !matches!(place, Some(Place::Above | Place::Below));
    let (from, to) = if across { (left, right) } else { (top, bottom) };
    let mass = |at: usize| -> f32 {
        match across {
            true => (top..bottom).map(|y| lone.pixels[y * lone.width + at][3]).sum(),
            false => (left..right).map(|x| lone.pixels[at * lone.width + x][3]).sum(),
        }
    };
    let (low, high) = (from + (to - from) / 5, to - (to - from) / 5);
    let middle = (from + to) as f32 / 2.0;
    // Among equally empty lines, the one nearest to the middle.
    let cost = |at: usize| mass(at) + 0.02 * (at as f32 - middle).abs();
    let cut = (low..high.max(low + 1)).min_by(|a, b| cost(*a).total_cmp(&cost(*b))).unwrap_or(low);
    let (one, two) = match across {
        true => ([left, top, cut.max(left + 1), bottom], [cut.min(right - 1), top, right, bottom]),
        false => ([left, top, right, cut.max(top + 1)], [left, cut.min(bottom - 1), right, bottom]),
    };
    match place {
        Some(Place::RightOf | Place::Below) => (Some(two), Some(one)),
        _ => (Some(one), Some(two)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_part_what_is_drawn_and_halves_where_nothing_is() {
        let mut layer = Layer::clear(60, 60);
        for (x, y) in (0..60).flat_map(|y| (0..60).map(move |x| (x, y))) {
            if (20..40).contains(&y) && ((5..15).contains(&x) || (20..55).contains(&x)) {
                layer.pixels[y * 60 + x] = [1.0; 4];
            }
        }
        assert_eq!(cells(&layer, 2), [[5, 20, 30, 40], [30, 20, 55, 40]]);
        assert_eq!(cells(&layer, 3)[0], [18, 20, 43, 30]);
        assert_eq!(cells(&layer, 6).len(), 6);
        let (left, right) = halves(&layer, Some(Place::LeftOf));
        assert!((15..=20).contains(&left.unwrap()[2]) && (15..=20).contains(&right.unwrap()[0]));
        assert_eq!(halves(&layer, Some(Place::RightOf)), (right, left));
        assert_eq!(halves(&Layer::clear(9, 9), Some(Place::Above)), (None, None));
    }
}
