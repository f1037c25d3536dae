//! The distance between two pictures that ignores position, size, mirroring and slight rotation. Each picture is
//! cropped to what is drawn on it and scaled to `SIDE` pixels; the distance is the minimum over mirrored, slightly
//! rotated and shifted copies of one of them.

use super::raster::Layer;

/// An alternative counts as nearer only below this share of the distance, because some emoji are nearly identical.
const NEARER: f32 = 0.98;
/// Side of a descriptor in pixels.
pub const SIDE: usize = 48;
const COARSE: usize = 16;
/// Number of alternatives that are compared at full size, the nearest of a coarse comparison. There are hundreds of
/// yellow faces.
const CLOSE: usize = 320;
/// Number of these that are compared with shifts, the nearest.
const CLOSEST: usize = 32;
/// Rotations of the query, in degrees.
const TURNS: [f32; 7] = [-15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0];
/// Greatest shift in pixels of the descriptor, in each direction.
const SHIFT: isize = 1;

/// A picture cropped to what is drawn: premultiplied, 8 bits, with a small copy for a coarse comparison.
#[derive(Clone)]
pub struct Descriptor {
    fine: Vec<u8>,
    coarse: Vec<u8>,
}

/// A drawing in all variants that are compared with others.
pub struct Query {
    /// Each variant: whether it is mirrored, and its shifted copies.
    ways: Vec<(bool, Descriptor, Vec<Vec<u8>>)>,
}

/// Alternatives drawn by every artist.
pub struct Gallery {
    /// The alternative that each descriptor shows.
    pub owners: Vec<usize>,
    /// The drawings.
    pub descriptors: Vec<Descriptor>,
    /// The number of alternatives.
    pub alternatives: usize,
}

impl Descriptor {
    /// From a layer on a transparent ground; none if nothing is drawn.
    pub fn new(layer: &Layer) -> Option<Self> {
        let fine = cut(layer)?;
        Some(Self { coarse: bytes(&fine.resized(COARSE, COARSE)), fine: bytes(&fine) })
    }
}

impl Query {
    /// From a layer on a transparent ground; none if nothing is drawn.
    pub fn new(layer: &Layer) -> Option<Self> {
        // Twice the descriptor's side is enough for rotation.
        let small = padded(&cut(layer)?);
        let mut ways = Vec::new();
        for turned in TURNS.map(|degrees| if degrees == 0.0 { small.clone() } else { small.turned(degrees) }) {
            for (flipped, way) in [(true, mirrored(&turned)), (false, turned)] {
                let fine = cut(&way)?;
                let shifts = (-SHIFT..=SHIFT).flat_map(|y| (-SHIFT..=SHIFT).map(move |x| (x, y)));
                let shifted = shifts.map(|by| bytes(&moved(&fine, by))).collect();
                ways.push((
                    flipped,
                    Descriptor { coarse: bytes(&fine.resized(COARSE, COARSE)), fine: bytes(&fine) },
                    shifted,
                ));
            }
        }
        Some(Self { ways })
    }

    /// From a layer on a transparent ground, rotated about its middle by each of some angles.
    pub fn turned(layer: &Layer, degrees: &[f32]) -> Vec<Self> {
        let Some(cut) = drawn_box(layer).map(|at| part(layer, at)) else { return Vec::new() };
        // Space for the rotated corners.
        let side = (cut.width.max(cut.height) * 3).div_ceil(2);
        let mut square = Layer::clear(side, side);
        cut.onto(&mut square, ((side - cut.width) / 2) as isize, ((side - cut.height) / 2) as isize);
        degrees.iter().filter_map(|degrees| Self::new(&square.turned(*degrees))).collect()
    }

    /// Only the mirrored variants, or only the others.
    pub fn only(&self, flipped: bool) -> Self {
        Self { ways: self.ways.iter().filter(|way| way.0 == flipped).cloned().collect() }
    }

    /// Distance to each descriptor (mean square of the differences, in 8-bit levels). Only the nearest ones are
    /// compared closely; the others keep a larger distance from the coarse comparison.
    pub fn distances(&self, to: &[Descriptor]) -> Vec<f32> {
        let least = |values: &mut dyn Iterator<Item = u32>, side: usize| {
            values.min().unwrap_or(u32::MAX) as f32 / (4 * side * side) as f32
        };
        let coarse = |at: usize| least(&mut self.ways.iter().map(|w| squares(&w.1.coarse, &to[at].coarse)), COARSE);
        let fine = |at: usize| least(&mut self.ways.iter().map(|w| squares(&w.1.fine, &to[at].fine)), SIDE);
        let shifted =
            |at: usize| least(&mut self.ways.iter().flat_map(|w| &w.2).map(|s| squares(s, &to[at].fine)), SIDE);
        let mut distances = (0..to.len()).map(coarse).collect::<Vec<_>>();
        closer(&mut distances, CLOSE, &fine);
        closer(&mut distances, CLOSEST, &shifted);
        distances
    }
}

/// Compares the `count` nearest more closely; afterwards none of the others is nearer than these.
fn closer(distances: &mut [f32], count: usize, look: &dyn Fn(usize) -> f32) {
    let mut order = (0..distances.len()).collect::<Vec<_>>();
    order.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
    let (near, far) = order.split_at(count.min(order.len()));
    let mut most = 0.0f32;
    for &at in near {
        distances[at] = look(at);
        most = most.max(distances[at]);
    }
    far.iter().for_each(|&at| distances[at] = distances[at].max(most));
}

impl Gallery {
    /// The smallest distance to each alternative.
    pub fn distances(&self, query: &Query) -> Vec<f32> {
        let mut least = vec![f32::MAX; self.alternatives];
        for (owner, distance) in self.owners.iter().zip(query.distances(&self.descriptors)) {
            least[*owner] = least[*owner].min(distance);
        }
        least
    }

    /// Whether no alternative is clearly nearer than the asked one.
    pub fn nearest(&self, query: &Query, asked: usize) -> bool {
        let distances = self.distances(query);
        let least = distances.iter().copied().fold(f32::MAX, f32::min);
        distances[asked] * NEARER <= least
    }
}

/// How much pictures of one caption differ: the mean over all pairs of the root mean square of their differences
/// (premultiplied, 0..1) at `SIDE` pixels, wherever they lie.
pub fn spread(pictures: &[Layer]) -> f32 {
    let small = pictures.iter().map(|picture| picture.resized(SIDE, SIDE)).collect::<Vec<_>>();
    let (mut sum, mut pairs) = (0.0, 0);
    for (i, one) in small.iter().enumerate() {
        for other in &small[i + 1..] {
            let squares = one.pixels.iter().zip(&other.pixels).flat_map(|(a, b)| (0..4).map(|c| (a[c] - b[c]).powi(2)));
            sum += (squares.sum::<f32>() / (4 * SIDE * SIDE) as f32).sqrt();
            pairs += 1;
        }
    }
    sum / pairs.max(1) as f32
}

/// The drawing of a layer without its background: unchanged if the border is transparent, otherwise what differs from
/// the border's median colour.
pub fn without_ground(layer: &Layer) -> Layer {
    let mut border = border(layer);
    let clear = border.iter().filter(|p| p[3] < 0.5).count();
    if 2 * clear > border.len() || border.is_empty() {
        return layer.clone();
    }
    let ground = [0, 1, 2].map(|c| {
        border.sort_unstable_by(|a, b| a[c].total_cmp(&b[c]));
        border[border.len() / 2][c]
    });
    let mut lone = layer.clone();
    for pixel in &mut lone.pixels {
        let [r, g, b, a] = *pixel;
        let away = [r, g, b].iter().zip(ground).map(|(c, g)| (c - g).powi(2)).sum::<f32>().sqrt();
        let alpha = ((away - 0.03) / 0.07).clamp(0.0, 1.0) * a;
        // Mixed pixels contain a part of the background.
        let own = |c: f32, g: f32| (c - g * (1.0 - alpha)).clamp(0.0, alpha);
        *pixel = [own(r, ground[0]), own(g, ground[1]), own(b, ground[2]), alpha];
    }
    lone
}

/// The two outermost rings of pixels.
pub fn border(layer: &Layer) -> Vec<[f32; 4]> {
    let ring = |x: usize, y: usize| x < 2 || y < 2 || x + 2 >= layer.width || y + 2 >= layer.height;
    let places = (0..layer.height).flat_map(|y| (0..layer.width).map(move |x| (x, y)));
    places.filter(|(x, y)| ring(*x, *y)).map(|(x, y)| layer.pixels[y * layer.width + x]).collect()
}

/// Left, top, right and bottom (the last two exclusive) of the drawing; nearly empty rows and columns do not count.
pub fn drawn_box(layer: &Layer) -> Option<[usize; 4]> {
    // Shadows do not count, unless the whole drawing is translucent.
    let most = layer.pixels.iter().map(|p| p[3]).fold(0.0, f32::max);
    let sum = |values: &mut dyn Iterator<Item = f32>| values.filter(|a| *a > 0.45 * most).sum::<f32>();
    let column = |x: usize| sum(&mut (0..layer.height).map(|y| layer.pixels[y * layer.width + x][3]));
    let row = |y: usize| sum(&mut (0..layer.width).map(|x| layer.pixels[y * layer.width + x][3]));
    let least = (layer.width.max(layer.height) as f32 / 80.0).max(0.6);
    let columns = (0..layer.width).filter(|x| column(*x) >= least).collect::<Vec<_>>();
    let rows = (0..layer.height).filter(|y| row(*y) >= least).collect::<Vec<_>>();
    Some([*columns.first()?, *rows.first()?, columns.last()? + 1, rows.last()? + 1])
}

/// A part of a layer as a layer.
pub fn part(layer: &Layer, [left, top, right, bottom]: [usize; 4]) -> Layer {
    let mut done = Layer::clear(right - left, bottom - top);
    for y in 0..done.height {
        for x in 0..done.width {
            done.pixels[y * done.width + x] = layer.pixels[(top + y) * layer.width + left + x];
        }
    }
    done
}

/// The drawing in the middle of a square of `SIDE` pixels that its longer side fills.
fn cut(layer: &Layer) -> Option<Layer> {
    let at = drawn_box(layer)?;
    let own = part(layer, at);
    let side = own.width.max(own.height);
    let mut square = Layer::clear(side, side);
    own.onto(&mut square, ((side - own.width) / 2) as isize, ((side - own.height) / 2) as isize);
    // A margin, so that shifts lose nothing.
    let inner = square.resized(SIDE - 4, SIDE - 4);
    let mut done = Layer::clear(SIDE, SIDE);
    inner.onto(&mut done, 2, 2);
    Some(done)
}

/// With space for rotated corners, at twice the size.
fn padded(layer: &Layer) -> Layer {
    let large = layer.resized(2 * SIDE, 2 * SIDE);
    let mut done = Layer::clear(3 * SIDE, 3 * SIDE);
    large.onto(&mut done, SIDE as isize / 2, SIDE as isize / 2);
    done
}

fn mirrored(layer: &Layer) -> Layer {
    let mut done = layer.clone();
    done.pixels.chunks_exact_mut(layer.width).for_each(<[[f32; 4]]>::reverse);
    done
}

fn moved(layer: &Layer, (x, y): (isize, isize)) -> Layer {
    let mut done = Layer::clear(layer.width, layer.height);
    layer.onto(&mut done, x, y);
    done
}

fn bytes(layer: &Layer) -> Vec<u8> {
    layer.bytes()
}

fn squares(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (i32::from(*a) - i32::from(*b)).pow(2) as u32).sum()
}

#[cfg(test)]
mod tests {
    use super::super::Scene;
    use super::super::testing_open;
    use super::*;

    #[test]
    fn sides_turns_places_and_grounds_do_not_matter_and_things_do() {
        let stickers = testing_open::stickers();
        let layer = |name: &str, change: &dyn Fn(&mut Scene)| {
            let mut scene = Scene::plain(name);
            change(&mut scene);
            stickers.render_layer(&scene, 64).unwrap()
        };
        let things = ["fish", "fox", "key", "pizza"].map(|name| Descriptor::new(&layer(name, &|_| ())).unwrap());
        for look in 0..20 {
            for background in [None, Some("white"), Some("blue")] {
                let drawn = layer("fish", &|scene| {
                    scene.more.look = Some(look);
                    scene.artist = Some(super::super::Artist::Noto);
                    scene.background = background.map(str::to_owned);
                });
                let distances = Query::new(&without_ground(&drawn)).unwrap().distances(&things);
                assert!(distances[1..].iter().all(|other| *other > 2.0 * distances[0]), "{look}: {distances:?}");
            }
        }
        assert!(Query::new(&Layer::clear(16, 16)).is_none() && Descriptor::new(&Layer::clear(16, 16)).is_none());
    }

    #[test]
    fn equal_pictures_have_no_spread() {
        let stickers = testing_open::stickers();
        let looks = |from: u64| {
            let scene = |look| Scene { more: super::super::More { look, ..Default::default() }, ..Scene::plain("fox") };
            let drawn = (from..from + 6).map(|look| scene((from > 0).then_some(look)));
            drawn.map(|scene| stickers.render_layer(&scene, 64).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(spread(&looks(0)), 0.0);
        assert!(spread(&looks(1)) > 0.05, "{}", spread(&looks(1)));
    }

    #[test]
    fn a_picture_is_nearer_to_itself_than_mirrored() {
        let stickers = testing_open::stickers();
        let fish = stickers.render_layer(&Scene::plain("fish"), 64).unwrap();
        let (own, query) = ([Descriptor::new(&fish).unwrap()], Query::new(&fish).unwrap());
        assert!(query.only(false).distances(&own)[0] < 0.3 * query.only(true).distances(&own)[0]);
        assert_eq!(query.distances(&own)[0], query.only(false).distances(&own)[0]);
    }
}
