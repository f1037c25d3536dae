//! Pictures of digits like MNIST's, from the outlines of free fonts: shifted, slanted, rotated, bent, with strokes of
//! many widths, and with noise. The lesson's classifier learns from them.

use crate::foundations::data::{PIXELS, SIDE};
use crate::random::{Generator, Mt19937, stream};
use crate::{Error, Result};

/// The font's Debian package, and the file that it installs. All fonts are free (Bitstream Vera's licence, or the SIL
/// Open Font License); about half imitate handwriting.
pub const FONTS: &[(&str, &str)] = &[
    ("fonts-dejavu-core", "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
    ("fonts-dejavu-core", "/usr/share/fonts/truetype/dejavu/DejaVuSerif.ttf"),
    ("fonts-comic-neue", "/usr/share/fonts/opentype/comic-neue/ComicNeue-Regular.otf"),
    ("fonts-humor-sans", "/usr/share/fonts/truetype/humor-sans/Humor-Sans.ttf"),
    ("fonts-breip", "/usr/share/fonts/truetype/breip/Breip.ttf"),
    ("fonts-dkg-handwriting", "/usr/share/fonts/truetype/fifthhorseman/dkg.ttf"),
    ("fonts-ecolier-court", "/usr/share/fonts/truetype/ecolier-court/Ecolier-court.ttf"),
    ("fonts-dancingscript", "/usr/share/fonts/opentype/dancingscript/DancingScript-Regular.otf"),
    ("fonts-bwht", "/usr/share/fonts/opentype/bwht/BecauseWeBuild-Regular.otf"),
    ("fonts-bwht", "/usr/share/fonts/opentype/bwht/BecauseWeConnect-Regular.otf"),
    ("fonts-bwht", "/usr/share/fonts/opentype/bwht/BecauseWeCreate-Regular.otf"),
    ("fonts-bwht", "/usr/share/fonts/opentype/bwht/BecauseWeLearn-Regular.otf"),
];

/// Closed polygons. The digit is 1 high, its box is centred on 0, and y points down.
type Outline = Vec<Vec<[f32; 2]>>;

/// The ten digits of some fonts.
pub struct DigitFonts {
    fonts: Vec<[Outline; 10]>,
}

impl DigitFonts {
    /// Reads the outlines of TrueType or OpenType fonts; names are for messages.
    ///
    /// # Errors
    /// [`Error::BadFile`] for a file that is no font or has no digits; [`Error::Request`] if there is no font.
    pub fn read(fonts: &[(String, Vec<u8>)]) -> Result<Self> {
        if fonts.is_empty() {
            return Err(Error::Request("digits need at least one font".to_owned()));
        }
        Ok(Self { fonts: fonts.iter().map(|(name, bytes)| outlines(name, bytes)).collect::<Result<_>>()? })
    }

    /// Item `index` of a set (`"train"`, `"test"`): 28 x 28 pixels from 0 (paper) to 255 (ink), and the digit. The same
    /// fonts and seed always give the same item.
    pub fn draw(&self, seed: u64, set: &str, index: u64) -> ([u8; PIXELS], u8) {
        let mut generator = stream(seed, &format!("digits {set}"), index);
        let label = (generator.next_u64() % 10) as u8;
        let font = &self.fonts[generator.next_u64() as usize % self.fonts.len()];
        let hand = Hand::new(&mut generator);
        let moved: Outline =
            font[usize::from(label)].iter().map(|line| line.iter().map(|&p| hand.place(p)).collect()).collect();
        (ink(&moved, &hand, &mut generator), label)
    }
}

/// How one digit is written: slant, stroke width and so on.
struct Hand {
    height: f32,
    aspect: f32,
    slant: f32,
    turn: f32,
    shift: [f32; 2],
    bend: [f32; 2],
    phase: [f32; 2],
    /// Pixels by which the outline grows on each side.
    growth: f32,
    noise: f32,
}

impl Hand {
    fn new(generator: &mut Mt19937) -> Self {
        let drawn = generator.rand(11);
        let between = |i: usize, least: f32, most: f32| least + (most - least) * drawn[i];
        Self {
            height: between(0, 17.0, 21.0),
            aspect: between(1, 0.85, 1.15),
            slant: between(2, -0.1, 0.35),
            turn: between(3, -0.12, 0.12),
            shift: [between(4, -1.0, 1.0), between(5, -1.0, 1.0)],
            bend: [between(6, -0.05, 0.05), between(7, -0.05, 0.05)],
            phase: [between(8, 0.0, 6.3), between(9, 0.0, 6.3)],
            growth: between(10, 0.0, 0.9),
            noise: 0.06,
        }
    }

    /// From the font's units to pixels.
    fn place(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let bent =
            [x + self.bend[0] * (5.0 * y + self.phase[0]).sin(), y + self.bend[1] * (5.0 * x + self.phase[1]).sin()];
        let slanted = [self.aspect * bent[0] - self.slant * bent[1], bent[1]];
        let (sin, cos) = self.turn.sin_cos();
        let turned = [cos * slanted[0] - sin * slanted[1], sin * slanted[0] + cos * slanted[1]];
        [0, 1].map(|i| (SIDE as f32 - 1.0) / 2.0 + self.height * turned[i] + self.shift[i])
    }
}

/// The ink of each pixel by its distance from the outline: half on it, full half a pixel inside.
fn ink(outline: &Outline, hand: &Hand, generator: &mut Mt19937) -> [u8; PIXELS] {
    let noise = generator.randn(PIXELS);
    let mut pixels = [0; PIXELS];
    for (i, pixel) in pixels.iter_mut().enumerate() {
        let at = [(i % SIDE) as f32, (i / SIDE) as f32];
        let cover = (0.5 + hand.growth - distance(outline, at)).clamp(0.0, 1.0);
        if cover > 0.0 {
            // 16 shades are enough for learning, and make smaller files.
            let shade = ((cover + hand.noise * noise[i]).clamp(0.0, 1.0) * 15.0).round();
            *pixel = (shade * 17.0) as u8;
        }
    }
    pixels
}

/// Distance in pixels from the outline to `at`, negative inside (where the lines wind around it).
fn distance(outline: &Outline, at: [f32; 2]) -> f32 {
    let (mut nearest, mut winding) = (f32::INFINITY, 0);
    for line in outline {
        for (i, &b) in line.iter().enumerate() {
            let a = line[(i + line.len() - 1) % line.len()];
            let (along, to) = ([b[0] - a[0], b[1] - a[1]], [at[0] - a[0], at[1] - a[1]]);
            let length = (along[0] * along[0] + along[1] * along[1]).max(1e-12);
            let t = ((to[0] * along[0] + to[1] * along[1]) / length).clamp(0.0, 1.0);
            let (dx, dy) = (to[0] - t * along[0], to[1] - t * along[1]);
            nearest = nearest.min(dx * dx + dy * dy);
            let side = along[0] * to[1] - along[1] * to[0];
            if a[1] <= at[1] && b[1] > at[1] && side > 0.0 {
                winding += 1;
            } else if a[1] > at[1] && b[1] <= at[1] && side < 0.0 {
                winding -= 1;
            }
        }
    }
    if winding == 0 { nearest.sqrt() } else { -nearest.sqrt() }
}

fn outlines(name: &str, bytes: &[u8]) -> Result<[Outline; 10]> {
    let bad = |reason: String| Error::BadFile { file: name.to_owned(), reason };
    let face = ttf_parser::Face::parse(bytes, 0).map_err(|e| bad(format!("no font: {e}")))?;
    let mut all: [Outline; 10] = Default::default();
    for (digit, outline) in ('0'..='9').zip(&mut all) {
        let missing = || bad(format!("the font has no outline of {digit}"));
        let glyph = face.glyph_index(digit).ok_or_else(missing)?;
        let mut pen = Pen::default();
        face.outline_glyph(glyph, &mut pen).ok_or_else(missing)?;
        *outline = pen.centred().ok_or_else(missing)?;
    }
    Ok(all)
}

/// Follows an outline and divides its curves into short straight pieces.
#[derive(Default)]
struct Pen {
    lines: Outline,
}

impl Pen {
    const PIECES: u8 = 6;

    fn at(&self) -> [f32; 2] {
        self.lines.last().and_then(|line| line.last()).copied().unwrap_or_default()
    }

    fn go(&mut self, point: [f32; 2]) {
        if let Some(line) = self.lines.last_mut() {
            line.push(point);
        }
    }

    /// Scales the outline to height 1, centred on 0, with y pointing down; `None` for an empty outline.
    fn centred(self) -> Option<Outline> {
        let bounds = |axis: usize| {
            let all = || self.lines.iter().flatten().map(|point| point[axis]);
            (all().fold(f32::INFINITY, f32::min), all().fold(f32::NEG_INFINITY, f32::max))
        };
        let ((left, right), (bottom, top)) = (bounds(0), bounds(1));
        let height = top - bottom;
        let centre = |&[x, y]: &[f32; 2]| [(x - (left + right) / 2.0) / height, ((bottom + top) / 2.0 - y) / height];
        (height > 0.0).then(|| self.lines.iter().map(|line| line.iter().map(centre).collect()).collect())
    }
}

impl ttf_parser::OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.lines.push(vec![[x, y]]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.go([x, y]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let a = self.at();
        for piece in 1..=Self::PIECES {
            let t = f32::from(piece) / f32::from(Self::PIECES);
            let s = 1.0 - t;
            let mix = |a: f32, b: f32, c: f32| s * s * a + 2.0 * s * t * b + t * t * c;
            self.go([mix(a[0], x1, x), mix(a[1], y1, y)]);
        }
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let a = self.at();
        for piece in 1..=Self::PIECES {
            let t = f32::from(piece) / f32::from(Self::PIECES);
            let s = 1.0 - t;
            let mix = |a: f32, b: f32, c: f32, d: f32| {
                s * s * s * a + 3.0 * s * s * t * b + 3.0 * s * t * t * c + t * t * t * d
            };
            self.go([mix(a[0], x1, x2, x), mix(a[1], y1, y2, y)]);
        }
    }

    fn close(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A font whose digits are all the same square: enough to see where the ink is.
    fn square() -> Outline {
        vec![vec![[10.0, 10.0], [18.0, 10.0], [18.0, 18.0], [10.0, 18.0]]]
    }

    #[test]
    fn distance_is_negative_inside() {
        for (at, expected) in [([14.0, 14.0], -4.0), ([14.0, 6.0], 4.0), ([10.0, 12.0], 0.0), ([21.0, 22.0], 5.0)] {
            assert!((distance(&square(), at) - expected).abs() < 1e-5, "{at:?}");
        }
        let hole = vec![[12.0, 12.0], [12.0, 16.0], [16.0, 16.0], [16.0, 12.0]];
        let ring = vec![square().remove(0), hole];
        assert!(distance(&ring, [14.0, 14.0]) > 0.0 && distance(&ring, [11.0, 14.0]) < 0.0);
    }

    #[test]
    fn an_item_is_decided_by_seed_set_and_index() {
        let fonts = DigitFonts {
            fonts: vec![std::array::from_fn(|_| vec![vec![[-0.3, -0.5], [0.3, -0.5], [0.3, 0.5], [-0.3, 0.5]]])],
        };
        let first = fonts.draw(1, "train", 0);
        assert_eq!(first, fonts.draw(1, "train", 0));
        for other in [fonts.draw(2, "train", 0), fonts.draw(1, "test", 0), fonts.draw(1, "train", 1)] {
            assert_ne!(first, other);
        }
        let ink: usize = first.0.iter().map(|&pixel| usize::from(pixel)).sum::<usize>() / 255;
        assert!((80..400).contains(&ink), "{ink} pixels of ink");
        let mut counts = [0; 10];
        (0..1000).for_each(|i| counts[usize::from(fonts.draw(1, "train", i).1)] += 1);
        assert!(counts.iter().all(|count| (60..150).contains(count)), "{counts:?}");
    }

    #[test]
    fn what_is_no_font_is_named() {
        let message = DigitFonts::read(&[("x.ttf".to_owned(), b"hello".to_vec())]).err().expect("refused").to_string();
        assert!(message.starts_with("x.ttf: no font"), "{message}");
        assert!(DigitFonts::read(&[]).is_err());
    }
}
