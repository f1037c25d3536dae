//! Operations on glyphs: decoding, premultiplied layers, area resampling, rotation, compositing.
//!
//! All averages are of premultiplied values, so the colour of fully transparent pixels never shows at an edge.

use crate::picture::Picture;

/// A decoded glyph: straight (not premultiplied) 8-bit RGBA. [`Glyph::layer`] multiplies by alpha.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glyph {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Rows from the top.
    pub rgba: Vec<[u8; 4]>,
}

impl Glyph {
    /// Decodes a PNG file of any colour type.
    ///
    /// # Errors
    /// A description if the bytes are no PNG or are truncated.
    pub fn from_png(bytes: &[u8]) -> std::result::Result<Self, String> {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::normalize_to_color8() | png::Transformations::ALPHA);
        let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
        let mut buffer = vec![0; reader.output_buffer_size().ok_or("too large")?];
        let frame = reader.next_frame(&mut buffer).map_err(|e| e.to_string())?;
        let (width, height) = (frame.width as usize, frame.height as usize);
        let rgba = match frame.color_type {
            png::ColorType::Rgba => buffer.chunks_exact(4).map(|p| [p[0], p[1], p[2], p[3]]).collect::<Vec<_>>(),
            png::ColorType::GrayscaleAlpha => buffer.chunks_exact(2).map(|p| [p[0], p[0], p[0], p[1]]).collect(),
            other => return Err(format!("colour type {other:?} was not expanded")),
        };
        Ok(Self { width, height, rgba: rgba[..width * height].to_vec() })
    }

    /// The pixel at column `x`, row `y`; panics outside the glyph.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 4] {
        self.rgba[y * self.width + x]
    }

    /// The glyph premultiplied, in 0..1, with each colour first mapped by `change`, cropped or padded to a square as
    /// high as the glyph (Noto's bitmaps are 136 x 128 with 4 transparent columns at each side).
    pub fn layer(&self, change: impl Fn([f32; 3]) -> [f32; 3]) -> Layer {
        let side = self.height;
        let shift = (self.width as isize - side as isize).div_euclid(2);
        let mut layer = Layer::clear(side, side);
        for y in 0..side {
            for x in 0..side {
                let from = x as isize + shift;
                if from < 0 || from >= self.width as isize {
                    continue;
                }
                let [r, g, b, a] = self.pixel(from as usize, y);
                if a > 0 {
                    let a = f32::from(a) / 255.0;
                    let colour = change([r, g, b].map(|c| f32::from(c) / 255.0));
                    layer.pixels[y * side + x] = [colour[0] * a, colour[1] * a, colour[2] * a, a];
                }
            }
        }
        layer
    }
}

/// Premultiplied RGBA pixels in 0..1, rows from the top.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Red, green and blue times alpha, then alpha.
    pub pixels: Vec<[f32; 4]>,
}

impl Layer {
    /// A fully transparent layer.
    pub fn clear(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![[0.0; 4]; width * height] }
    }

    /// Resampled to `width` x `height`: each new pixel is the mean over the area that it covers (linear interpolation
    /// if the layer grows).
    pub fn resized(&self, width: usize, height: usize) -> Self {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let mut wide = Self::clear(width, self.height);
        for (x, taps) in taps(self.width, width).iter().enumerate() {
            for y in 0..self.height {
                let row = &self.pixels[y * self.width..(y + 1) * self.width];
                wide.pixels[y * width + x] = weighted(taps.iter().map(|&(from, weight)| (row[from], weight)));
            }
        }
        let mut done = Self::clear(width, height);
        for (y, taps) in taps(self.height, height).iter().enumerate() {
            for x in 0..width {
                done.pixels[y * width + x] =
                    weighted(taps.iter().map(|&(from, weight)| (wide.pixels[from * width + x], weight)));
            }
        }
        done
    }

    /// Rotated clockwise about its centre by `degrees`, with the same size: corners outside are lost.
    pub fn turned(&self, degrees: f32) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        let (cx, cy) = ((self.width as f32 - 1.0) / 2.0, (self.height as f32 - 1.0) / 2.0);
        let mut done = Self::clear(self.width, self.height);
        for y in 0..self.height {
            for x in 0..self.width {
                let (dx, dy) = (x as f32 - cx, y as f32 - cy);
                done.pixels[y * self.width + x] = self.between(cx + cos * dx + sin * dy, cy - sin * dx + cos * dy);
            }
        }
        done
    }

    /// Maps the colour of each pixel (not premultiplied) by `change`.
    pub fn recolour(&mut self, change: impl Fn([f32; 3]) -> [f32; 3]) {
        for pixel in self.pixels.iter_mut().filter(|p| p[3] > 1e-4) {
            let [r, g, b, a] = *pixel;
            let [r, g, b] = change([r / a, g / a, b / a]);
            *pixel = [r * a, g * a, b * a, a];
        }
    }

    /// A layer of one opaque colour, 8-bit sRGB.
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        let [r, g, b] = colour.map(|c| f32::from(c) / 255.0);
        Self { width, height, pixels: vec![[r, g, b, 1.0]; width * height] }
    }

    /// Composites this layer over another, with its upper left corner at (`left`, `top`); parts outside are dropped.
    pub fn onto(&self, below: &mut Self, left: isize, top: isize) {
        for y in 0..self.height {
            for x in 0..self.width {
                let (to_x, to_y) = (left + x as isize, top + y as isize);
                if to_x < 0 || to_y < 0 || to_x >= below.width as isize || to_y >= below.height as isize {
                    continue;
                }
                let pixel = self.pixels[y * self.width + x];
                let under = &mut below.pixels[to_y as usize * below.width + to_x as usize];
                *under = [0, 1, 2, 3].map(|c| pixel[c] + under[c] * (1.0 - pixel[3]));
            }
        }
    }

    /// The layer in 8 bits: red, green, blue (times alpha) and alpha for each pixel, rows from the top. No colour
    /// exceeds alpha.
    pub fn bytes(&self) -> Vec<u8> {
        let byte = |value: f32| (value * 255.0).round().clamp(0.0, 255.0) as u8;
        let pixels = self.pixels.iter().flat_map(|pixel| {
            let [r, g, b, a] = pixel.map(byte);
            [r.min(a), g.min(a), b.min(a), a]
        });
        pixels.collect()
    }

    /// A layer from the bytes of [`Layer::bytes`].
    ///
    /// # Errors
    /// A description if the bytes are not `width` x `height` pixels.
    #[cfg(test)]
    pub fn from_bytes(width: usize, height: usize, bytes: &[u8]) -> std::result::Result<Self, String> {
        if bytes.is_empty() || bytes.len() != 4 * width * height {
            return Err(format!("{} bytes are no layer of {width} x {height}", bytes.len()));
        }
        let pixels = bytes.chunks_exact(4).map(|p| [0, 1, 2, 3].map(|c| f32::from(p[c]) / 255.0)).collect();
        Ok(Self { width, height, pixels })
    }

    /// The layer as a picture: straight 8-bit colours and alpha, without alpha if everything is opaque.
    pub fn picture(&self) -> Picture {
        let byte = |value: f32| (value * 255.0).round().clamp(0.0, 255.0) as u8;
        let straight = |&[r, g, b, a]: &[f32; 4]| match byte(a) {
            0 => [0; 4],
            alpha => [byte(r / a), byte(g / a), byte(b / a), alpha],
        };
        let pixels = self.pixels.iter().map(straight).collect::<Vec<_>>();
        let opaque = pixels.iter().all(|p| p[3] == 255);
        let alpha = (!opaque).then(|| pixels.iter().map(|p| p[3]).collect());
        let rgb = pixels.iter().flat_map(|p| [p[0], p[1], p[2]]).collect();
        Picture { width: self.width, height: self.height, rgb, alpha }
    }

    /// Composites this layer over an opaque picture, with its upper left corner at (`left`, `top`); parts outside are
    /// dropped.
    pub fn over(&self, picture: &mut Picture, left: isize, top: isize) {
        for y in 0..self.height {
            for x in 0..self.width {
                let (to_x, to_y) = (left + x as isize, top + y as isize);
                if to_x < 0 || to_y < 0 || to_x >= picture.width as isize || to_y >= picture.height as isize {
                    continue;
                }
                let pixel = self.pixels[y * self.width + x];
                if pixel[3] > 0.0 {
                    let below = picture.pixel(to_x as usize, to_y as usize);
                    let blend = |c: usize| pixel[c] * 255.0 + f32::from(below[c]) * (1.0 - pixel[3]);
                    let mixed = [blend(0), blend(1), blend(2)].map(|v| v.round().clamp(0.0, 255.0) as u8);
                    picture.set(to_x as usize, to_y as usize, mixed);
                }
            }
        }
    }

    /// The value at a place between pixels by linear interpolation; transparent outside.
    fn between(&self, x: f32, y: f32) -> [f32; 4] {
        let (left, top) = (x.floor(), y.floor());
        let (fx, fy) = (x - left, y - top);
        let corners =
            [(0, 0, (1.0 - fx) * (1.0 - fy)), (1, 0, fx * (1.0 - fy)), (0, 1, (1.0 - fx) * fy), (1, 1, fx * fy)];
        weighted(corners.into_iter().map(|(dx, dy, weight)| {
            let (x, y) = (left as isize + dx, top as isize + dy);
            let inside = x >= 0 && y >= 0 && x < self.width as isize && y < self.height as isize;
            (if inside { self.pixels[y as usize * self.width + x as usize] } else { [0.0; 4] }, weight)
        }))
    }
}

/// Blurs the values of a square: the mean within `reach` across and down, twice, which is nearly a Gaussian. Values
/// outside count as 0.
pub fn softened(values: &[f32], side: usize, reach: usize) -> Vec<f32> {
    let mut soft = values.to_vec();
    for _ in 0..2 {
        soft = transposed(&blurred(&soft, side, reach), side);
        soft = transposed(&blurred(&soft, side, reach), side);
    }
    soft
}

/// Each value becomes the mean of its row within `reach`; values outside count as 0.
fn blurred(values: &[f32], width: usize, reach: usize) -> Vec<f32> {
    let mut done = Vec::with_capacity(values.len());
    for row in values.chunks_exact(width) {
        let mut sum: f32 = row[..reach.min(width)].iter().sum();
        for x in 0..width {
            sum += row.get(x + reach).copied().unwrap_or(0.0);
            sum -= if x > reach { row[x - reach - 1] } else { 0.0 };
            done.push(sum / (2 * reach + 1) as f32);
        }
    }
    done
}

/// Transposes a square.
fn transposed(values: &[f32], side: usize) -> Vec<f32> {
    (0..values.len()).map(|i| values[i % side * side + i / side]).collect()
}

impl From<&Picture> for Layer {
    fn from(picture: &Picture) -> Self {
        let multiplied = |[r, g, b, a]: [u8; 4]| {
            let alpha = f32::from(a) / 255.0;
            let [r, g, b] = [r, g, b].map(|c| f32::from(c) / 255.0 * alpha);
            [r, g, b, alpha]
        };
        Self { width: picture.width, height: picture.height, pixels: picture.pixels().map(multiplied).collect() }
    }
}

/// For each of `to` pixels, the source pixels (of `from`) that it is made of, with their weights, which sum to 1.
fn taps(from: usize, to: usize) -> Vec<Vec<(usize, f32)>> {
    let scale = from as f32 / to as f32;
    // Half the width of the filter: a box when shrinking, a tent of one source pixel when growing.
    let weight = |place: f32, pixel: usize| {
        if scale >= 1.0 {
            let (low, high) = (place - scale / 2.0, place + scale / 2.0);
            (high.min(pixel as f32 + 1.0) - low.max(pixel as f32)).max(0.0)
        } else {
            (1.0 - (place - 0.5 - pixel as f32).abs()).max(0.0)
        }
    };
    let reach = scale.max(2.0) / 2.0 + 1.0;
    (0..to)
        .map(|i| {
            let place = (i as f32 + 0.5) * scale;
            let first = (place - reach).floor().max(0.0) as usize;
            let last = ((place + reach).ceil() as usize).min(from);
            let near = (first..last).map(|p| (p, weight(place, p))).filter(|t| t.1 > 1e-6).collect::<Vec<_>>();
            let sum: f32 = near.iter().map(|t| t.1).sum();
            near.into_iter().map(|(p, w)| (p, w / sum)).collect()
        })
        .collect()
}

fn weighted(pixels: impl Iterator<Item = ([f32; 4], f32)>) -> [f32; 4] {
    let mut sum = [0.0; 4];
    for (pixel, weight) in pixels {
        for (total, channel) in sum.iter_mut().zip(pixel) {
            *total += channel * weight;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A red disc with black transparent surroundings, as in many PNG files.
    fn disc() -> Glyph {
        let inside = |x: i32, y: i32| (x - 16).pow(2) + (y - 16).pow(2) < 150;
        let rgba = (0..32 * 32).map(|i| if inside(i % 32, i / 32) { [255, 0, 0, 255] } else { [0, 0, 0, 0] });
        Glyph { width: 32, height: 32, rgba: rgba.collect() }
    }

    #[test]
    fn edges_have_no_dark_fringe() {
        let mut picture = Picture::filled(7, 7, [255, 255, 255]);
        disc().layer(|c| c).resized(7, 7).over(&mut picture, 0, 0);
        let reds = (0..49).map(|i| picture.pixel(i % 7, i / 7));
        assert!(reds.clone().all(|[r, g, b]| r == 255 && g == b), "red over white keeps full red everywhere");
        assert!(reds.filter(|p| p[1] > 0 && p[1] < 255).count() > 4, "and there are mixed pixels at the edge");
    }

    #[test]
    fn resampling_keeps_the_total_coverage() {
        let layer = disc().layer(|c| c);
        let mean = |l: &Layer| l.pixels.iter().map(|p| p[3]).sum::<f32>() / l.pixels.len() as f32;
        for side in [5, 13, 31] {
            assert!((mean(&layer) - mean(&layer.resized(side, side))).abs() < 1e-3, "to {side}");
        }
        let grown = layer.resized(64, 64);
        assert!((mean(&layer) - mean(&grown)).abs() < 1e-2 && grown.pixels[32 * 64 + 32] == [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_layer_over_nothing_is_itself_and_over_a_colour_is_the_picture() {
        let layer = disc().layer(|c| c).resized(7, 7);
        let mut clear = Layer::clear(7, 7);
        layer.onto(&mut clear, 0, 0);
        assert_eq!(clear.pixels, layer.pixels);
        let (mut below, mut picture) = (Layer::filled(9, 9, [10, 200, 90]), Picture::filled(9, 9, [10, 200, 90]));
        layer.onto(&mut below, 4, -2);
        layer.over(&mut picture, 4, -2);
        let bytes = below.bytes();
        assert!(bytes.chunks_exact(4).all(|p| p[3] == 255));
        assert_eq!(Layer::from_bytes(9, 9, &bytes).unwrap().bytes(), bytes);
        assert_eq!(Layer::from(&picture).picture(), picture);
        assert!(Layer::from(&layer.picture()).bytes().iter().zip(layer.bytes()).all(|(a, b)| a.abs_diff(b) <= 1));
        assert!(Layer::from_bytes(9, 8, &bytes).unwrap_err().contains("9 x 8"));
        let colours = bytes.chunks_exact(4).flat_map(|p| &p[..3]);
        assert!(colours.zip(&picture.rgb).all(|(a, b)| a.abs_diff(*b) <= 1));
    }

    #[test]
    fn half_a_turn_swaps_corners() {
        let mut layer = Layer::clear(8, 8);
        layer.pixels[0] = [1.0; 4];
        assert!(layer.turned(180.0).pixels[63][3] > 0.99);
        assert!(layer.turned(90.0).pixels[7][3] > 0.99, "clockwise: the upper left corner goes to the upper right");
    }

    #[test]
    fn a_wide_glyph_loses_its_outer_columns() {
        let mut glyph = Glyph { width: 6, height: 4, rgba: vec![[0; 4]; 24] };
        glyph.rgba[1] = [255; 4];
        let layer = glyph.layer(|c| c);
        assert_eq!((layer.width, layer.height, layer.pixels[0]), (4, 4, [1.0; 4]));
    }
}
