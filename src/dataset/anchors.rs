//! Finds a sprite's eyes, head and belly: a hat sits on the head, sunglasses on the eyes, and a face is drawn where a
//! thing has room for it.
//!
//! Eyes are two dark blobs of about the same size and height, left and right of the middle. The belly is the centre of
//! the largest circle that fits into the outline. The top of the head is the outline between the ears.

use super::affine::Affine;
use super::sprite::Sprite;
use super::style::luma;

/// In the sprite's coordinates (see the module `sprite`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Anchors {
    /// Both eyes, if two were found.
    pub eyes: Option<Eyes>,
    /// Where a hat sits: the middle of the outline's top, and the thing's width a little below.
    pub head: Head,
    /// Centre (x, y) and radius of the largest circle inside the outline.
    pub belly: (f32, f32, f32),
}

/// A pair of eyes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eyes {
    /// x of the point midway between the two.
    pub x: f32,
    /// y of that point.
    pub y: f32,
    /// Distance between the centres of the two.
    pub gap: f32,
    /// Width of one.
    pub width: f32,
    /// Height of one.
    pub height: f32,
}

/// The top of a head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// x of the middle of the top.
    pub x: f32,
    /// y of the top.
    pub y: f32,
    /// Width of the thing a sixth of its height below the top.
    pub width: f32,
}

/// Side of the grid of samples; it spans -0.55 to 0.55.
const GRID: usize = 72;
const SPAN: f32 = 1.1;
/// If the top is narrower than this, it is a stem or a leaf.
const LEAST_HEAD: f32 = 0.26;

/// Finds all of them.
pub fn find(sprite: &Sprite) -> Anchors {
    let grid = Grid::of(sprite);
    let eyes = grid.eyes();
    Anchors { eyes, head: grid.head(eyes.map(|e| e.x)), belly: grid.belly() }
}

struct Grid {
    /// Alpha, 0..1.
    alpha: Vec<f32>,
    /// Luma of the colour over black, 0..1; 1 where little is drawn.
    luma: Vec<f32>,
}

struct Blob {
    area: usize,
    x: f32,
    y: f32,
    width: usize,
    height: usize,
}

fn place(at: usize) -> f32 {
    ((at as f32 + 0.5) / GRID as f32 - 0.5) * SPAN
}

fn length(pixels: f32) -> f32 {
    pixels / GRID as f32 * SPAN
}

impl Grid {
    fn of(sprite: &Sprite) -> Self {
        let (level, to_level) = sprite.level(GRID as f32 / SPAN);
        let (mut alpha, mut lumas) = (Vec::new(), Vec::new());
        for (y, x) in (0..GRID).flat_map(|y| (0..GRID).map(move |x| (y, x))) {
            let to = Affine::moved(place(x), place(y)).then(to_level);
            let (u, v) = to.apply(0.0, 0.0);
            let [r, g, b, a] = level.between(u, v).map(|c| c / 255.0);
            alpha.push(a);
            lumas.push(if a > 0.5 { luma([r / a, g / a, b / a]) } else { 1.0 });
        }
        Self { alpha, luma: lumas }
    }

    fn inside(&self, x: usize, y: usize) -> bool {
        self.alpha[y * GRID + x] > 0.5
    }

    fn area(&self) -> f32 {
        self.alpha.iter().filter(|a| **a > 0.5).count() as f32
    }

    fn eyes(&self) -> Option<Eyes> {
        let area = self.area();
        let mut best: Option<(f32, Eyes)> = None;
        for threshold in [0.22, 0.32, 0.42] {
            let blobs = self.blobs(|i| self.alpha[i] > 0.5 && self.luma[i] < threshold);
            for (i, one) in blobs.iter().enumerate() {
                for two in &blobs[i + 1..] {
                    let found = pair(one, two, area).filter(|(score, _)| best.is_none_or(|(least, _)| *score < least));
                    best = found.or(best);
                }
            }
            if best.is_some() {
                break;
            }
        }
        best.map(|(_, eyes)| eyes)
    }

    /// Connected sets of pixels, by their four neighbours.
    fn blobs(&self, takes: impl Fn(usize) -> bool) -> Vec<Blob> {
        let mut seen = vec![false; GRID * GRID];
        let mut found = Vec::new();
        for start in 0..GRID * GRID {
            if seen[start] || !takes(start) {
                continue;
            }
            let (mut open, mut all) = (vec![start], Vec::new());
            seen[start] = true;
            while let Some(at) = open.pop() {
                all.push(at);
                let (x, y) = (at % GRID, at / GRID);
                let near = [
                    (x > 0, at.wrapping_sub(1)),
                    (x + 1 < GRID, at + 1),
                    (y > 0, at.wrapping_sub(GRID)),
                    (y + 1 < GRID, at + GRID),
                ];
                for (_, next) in near.into_iter().filter(|(there, _)| *there) {
                    if !seen[next] && takes(next) {
                        seen[next] = true;
                        open.push(next);
                    }
                }
            }
            let (xs, ys) = (all.iter().map(|i| i % GRID), all.iter().map(|i| i / GRID));
            let mean = |sum: f32| sum / all.len() as f32;
            let extent = |values: &mut dyn Iterator<Item = usize>| {
                let (low, high) = values.fold((GRID, 0), |(low, high), v| (low.min(v), high.max(v)));
                high + 1 - low
            };
            found.push(Blob {
                area: all.len(),
                x: mean(xs.clone().map(place).sum()),
                y: mean(ys.clone().map(place).sum()),
                width: extent(&mut xs.clone()),
                height: extent(&mut ys.clone()),
            });
        }
        found
    }

    fn head(&self, eyes_at: Option<f32>) -> Head {
        let rows: Vec<usize> = (0..GRID).filter(|y| (0..GRID).any(|x| self.inside(x, *y))).collect();
        let (Some(&first), Some(&last)) = (rows.first(), rows.last()) else {
            return Head { x: 0.0, y: -0.5, width: 0.5 };
        };
        let height = last + 1 - first;
        // Without eyes, the hat sits over the middle of the top eighth.
        let top = first..first + (height / 8).max(1);
        let columns: Vec<usize> = top.flat_map(|y| (0..GRID).filter(move |x| self.inside(*x, y))).collect();
        let over = columns.iter().map(|x| place(*x)).sum::<f32>() / columns.len().max(1) as f32;
        let x = eyes_at.unwrap_or(over);
        let column = |x: usize| (first..=last).find(|y| self.inside(x, *y)).unwrap_or(last);
        let near = |at: f32| (0..GRID).filter(move |c| (place(*c) - at).abs() < 0.07);
        let mut tops: Vec<usize> = near(x).map(column).collect();
        tops.sort_unstable();
        let y = tops.get(tops.len() / 2).copied().unwrap_or(first);
        // The interval of a row below the top.
        let middle =
            (0..GRID).min_by(|a, b| (place(*a) - x).abs().total_cmp(&(place(*b) - x).abs())).unwrap_or(GRID / 2);
        let run = |row: usize| {
            let left = (0..middle).rev().take_while(|x| self.inside(*x, row)).count();
            length((left + (middle..GRID).take_while(|x| self.inside(*x, row)).count()) as f32)
        };
        // A hat covers a stem.
        let y = (y..=(y + height * 2 / 5).min(last)).find(|row| run(*row) >= LEAST_HEAD).unwrap_or(y);
        let width = run((y + height / 6).min(last)).max(0.12);
        Head { x, y: place(y) - length(0.5), width }
    }

    fn belly(&self) -> (f32, f32, f32) {
        // Distance to the nearest pixel outside, by comparison with the whole outline.
        let outside: Vec<(f32, f32)> = (0..GRID * GRID)
            .map(|i| (i % GRID, i / GRID))
            .filter(|&(x, y)| !self.inside(x, y) && self.touches(x, y))
            .map(|(x, y)| (x as f32, y as f32))
            .collect();
        let mut best = (0.0, 0.0, 0.0f32);
        let mut most = 0.0f32;
        for (y, x) in (0..GRID).step_by(2).flat_map(|y| (0..GRID).step_by(2).map(move |x| (y, x))) {
            if self.inside(x, y) {
                let square = |p: &(f32, f32)| (p.0 - x as f32).powi(2) + (p.1 - y as f32).powi(2);
                let reach = outside.iter().map(square).fold(f32::MAX, f32::min).sqrt();
                // Among equal circles, prefer the one nearest to a point slightly above the middle.
                let score = reach - 0.05 * place(x).hypot(place(y) + 0.05) * GRID as f32;
                if score > most {
                    most = score;
                    best = (place(x), place(y), length(reach - 0.5));
                }
            }
        }
        best
    }

    fn touches(&self, x: usize, y: usize) -> bool {
        let near = |at: usize| at.saturating_sub(1)..=(at + 1).min(GRID - 1);
        near(y).any(|y| near(x).any(|x| self.inside(x, y)))
    }
}

/// Two blobs as a pair of eyes, with a penalty (0 for the best); none if they cannot be eyes.
fn pair(one: &Blob, two: &Blob, area: f32) -> Option<(f32, Eyes)> {
    let (left, right) = if one.x < two.x { (one, two) } else { (two, one) };
    let gap = right.x - left.x;
    let (middle, down) = ((left.x + right.x) / 2.0, (left.y + right.y) / 2.0);
    let share = |blob: &Blob| blob.area as f32 / area;
    let fits = |blob: &Blob| {
        let long = blob.width as f32 / blob.height as f32;
        (0.002..0.07).contains(&share(blob)) && (0.3..4.0).contains(&long)
    };
    let ratio = (left.area as f32 / right.area as f32).ln().abs();
    let lean = (left.y - right.y).abs();
    let near = |value: f32, most: f32| value <= most;
    let possible = fits(left)
        && fits(right)
        && near(ratio, 0.55)
        && near(lean, 0.05)
        && near(middle.abs(), 0.12)
        && (0.12..0.62).contains(&gap)
        && (-0.36..0.2).contains(&down);
    let score = ratio + 8.0 * lean + 4.0 * middle.abs() + (down + 0.08).abs() - 6.0 * share(left).min(0.03);
    let width = length(left.width.max(right.width) as f32);
    let height = length(left.height.max(right.height) as f32);
    possible.then_some((score, Eyes { x: middle, y: down, gap, width, height }))
}

#[cfg(test)]
mod tests {
    use super::super::testing_open;
    use super::super::{Artist, raster::Glyph};
    use super::*;

    fn anchors(name: &str) -> Anchors {
        let pack = testing_open::pack();
        let concept = pack.concepts.iter().position(|c| c.name == name).unwrap();
        let glyph: &Glyph = pack.glyph(concept, Artist::Noto).unwrap();
        find(&Sprite::new(glyph))
    }

    #[test]
    fn eyes_are_found_on_faces_alone() {
        // Eyes at 11 and 21 of 32 in a face of 28: 10 / 28 apart, 3 / 28 above the middle.
        let eyes = anchors("grinning face").eyes.unwrap();
        assert!(eyes.x.abs() < 0.02 && (eyes.y + 0.107).abs() < 0.02, "{eyes:?}");
        assert!(
            (eyes.gap - 0.357).abs() < 0.02 && (eyes.height - 0.214).abs() < 0.04 && (eyes.width - 0.143).abs() < 0.04,
            "{eyes:?}"
        );
        assert!(anchors("fox").eyes.is_some());
        for faceless in ["fish", "pizza", "key", "red heart"] {
            assert_eq!(anchors(faceless).eyes, None, "{faceless}");
        }
    }

    #[test]
    fn heads_lie_between_the_ears_and_bellies_inside() {
        let fox = anchors("fox");
        assert!(fox.head.x.abs() < 0.03 && fox.head.y > -0.4 && fox.head.y < -0.2, "between the ears: {:?}", fox.head);
        let face = anchors("grinning face");
        assert!((face.head.y + 0.5).abs() < 0.03 && face.head.width > 0.6, "{:?}", face.head);
        let (x, y, radius) = face.belly;
        assert!(x.abs() < 0.05 && y.abs() < 0.08 && (radius - 0.5).abs() < 0.06, "{:?}", face.belly);
    }
}
