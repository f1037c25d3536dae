//! Pictures in memory, for the pipeline, the dataset and contact sheets.
//!
//! A picture's alpha is straight, as in PNG files and on a canvas. Networks with four channels read and write colours
//! multiplied by alpha, so that edges have no halo. [`Picture::planes`] and [`Picture::from_planes`] are the only
//! conversions between the two. Networks with three channels see transparent pictures on white, as in A1111.

#[cfg(feature = "native")]
mod cover;
#[cfg(feature = "native")]
mod jpeg;
mod outline;

use std::borrow::Cow;

use burn::tensor::{Device, Tensor, TensorData};

use crate::error::{Error, Result};

/// 8-bit sRGB, rows from the top, `rgb.len() == 3 * width * height`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Red, green, blue for each pixel, not multiplied by alpha.
    pub rgb: Vec<u8>,
    /// For each pixel 0 (transparent) to 255 (opaque); none if every pixel is opaque.
    pub alpha: Option<Vec<u8>>,
}

/// The ground on which transparent pictures are shown where transparency is not supported.
pub const WHITE: [u8; 3] = [255; 3];

impl Picture {
    /// An opaque picture from red, green and blue for each pixel.
    pub fn opaque(width: usize, height: usize, rgb: Vec<u8>) -> Self {
        Self { width, height, rgb, alpha: None }
    }

    /// A picture from 8-bit red, green, blue and alpha, with straight colours.
    ///
    /// # Errors
    /// [`Error::Request`] if the bytes are not `width` x `height` pixels.
    pub fn from_rgba(width: usize, height: usize, rgba: &[u8]) -> Result<Self> {
        let pixels = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(4));
        if pixels != Some(rgba.len()) || rgba.is_empty() {
            return Err(Error::Request(format!("{} bytes are no picture of {width} x {height}", rgba.len())));
        }
        let rgb = rgba.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
        Ok(Self { width, height, rgb, alpha: alpha(rgba.iter().skip(3).step_by(4).copied()) })
    }

    /// Red, green, blue and alpha for each pixel, with straight colours, as a canvas takes them.
    pub fn rgba(&self) -> Vec<u8> {
        self.pixels().flatten().collect()
    }

    /// A picture from a network's `planes` `[3, height, width]` or `[4, height, width]` in [-1, 1]. Four planes are
    /// red, green and blue multiplied by alpha, and alpha. A byte is round((x/2 + 1/2) · 255), clamped, with ties to
    /// even as in diffusers' image processor. Colours are divided by alpha before they are rounded, and are 0 where
    /// alpha is 0.
    pub fn from_planes(width: usize, height: usize, planes: &[f32]) -> Self {
        let size = width * height;
        let level = |plane: usize, p: usize| (planes[plane * size + p] / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0;
        let byte = |level: f32| level.round_ties_even() as u8;
        if planes.len() == 3 * size {
            let rgb = (0..size).flat_map(|p| [0, 1, 2].map(|plane| byte(level(plane, p)))).collect();
            return Self::opaque(width, height, rgb);
        }
        let opacity: Vec<u8> = (0..size).map(|p| byte(level(3, p))).collect();
        let colour = |p: usize| {
            let share = match opacity[p] {
                0 => 0.0,
                255 => 1.0,
                _ => 255.0 / level(3, p),
            };
            [0, 1, 2].map(|plane| byte((level(plane, p) * share).min(255.0)))
        };
        Self { width, height, rgb: (0..size).flat_map(colour).collect(), alpha: alpha(opacity.iter().copied()) }
    }

    /// The input of a network with 3 or 4 `channels`: planes `[channels, height, width]` in [-1, 1], as in
    /// [`Self::from_planes`]. With three, transparent pictures are put on white.
    pub fn planes(&self, channels: usize) -> Vec<f32> {
        let value = |level: f32| level / 255.0 * 2.0 - 1.0;
        let of = |picture: &Self, plane: usize| picture.rgb.iter().skip(plane).step_by(3).copied().collect::<Vec<u8>>();
        if channels == 3 {
            let opaque = self.over(WHITE);
            return (0..3).flat_map(|plane| of(&opaque, plane)).map(|byte| value(f32::from(byte))).collect();
        }
        let opacity: Vec<f32> = self.pixels().map(|p| f32::from(p[3])).collect();
        let multiplied = |plane: usize| {
            let bytes = of(self, plane).into_iter().zip(&opacity);
            bytes.map(|(byte, alpha)| value(f32::from(byte) * (alpha / 255.0))).collect::<Vec<f32>>()
        };
        (0..3).flat_map(multiplied).chain(opacity.iter().map(|alpha| value(*alpha))).collect()
    }

    /// Pictures from a decoder's output `[n, c, height, width]`, where c is 3 or 4; see [`Self::from_planes`].
    ///
    /// # Errors
    /// [`Error::Device`] if the device does not return its data, and for values that are not finite, which would
    /// otherwise become black.
    pub async fn from_tensor(decoded: Tensor<4>) -> Result<Vec<Self>> {
        let [_, channels, height, width] = decoded.dims();
        let data = decoded.into_data_async().await.map_err(|error| Error::Device(format!("{error:?}")))?;
        let values: Vec<f32> = data.iter::<f32>().collect();
        if !values.iter().all(|value| value.is_finite()) {
            return Err(Error::Device("the decoded picture holds values that are not finite".into()));
        }
        let each = values.chunks_exact(channels * height * width);
        Ok(each.map(|planes| Self::from_planes(width, height, planes)).collect())
    }

    /// The input of an encoder: `[1, channels, height, width]` in [-1, 1]; see [`Self::planes`].
    pub fn to_tensor(&self, channels: usize, device: &Device) -> Tensor<4> {
        Tensor::from_data(TensorData::new(self.planes(channels), [1, channels, self.height, self.width]), device)
    }

    /// This picture composited on an opaque ground of one colour.
    pub fn over(&self, ground: [u8; 3]) -> Cow<'_, Self> {
        if self.alpha.is_none() {
            return Cow::Borrowed(self);
        }
        let rgb = self.pixels().flat_map(|pixel| blend(pixel, ground)).collect();
        Cow::Owned(Self::opaque(self.width, self.height, rgb))
    }

    /// The lightness of each pixel on white, by ITU-R 601 in the fixed-point arithmetic of Python's Pillow.
    pub fn luminance(&self) -> impl Iterator<Item = u8> + '_ {
        self.pixels().map(|pixel| {
            let [r, g, b] = blend(pixel, WHITE).map(u32::from);
            ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as u8
        })
    }

    /// Red, green, blue and alpha of each pixel.
    pub fn pixels(&self) -> impl Iterator<Item = [u8; 4]> + '_ {
        let opacity = |i: usize| self.alpha.as_ref().map_or(255, |alpha| alpha[i]);
        self.rgb.chunks_exact(3).enumerate().map(move |(i, p)| [p[0], p[1], p[2], opacity(i)])
    }

    /// An opaque picture of one colour.
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self::opaque(width, height, colour.repeat(width * height))
    }

    /// The colour of the pixel at column `x`, row `y`; panics outside the picture.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = 3 * (y * self.width + x);
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    /// Sets the pixel at column `x`, row `y` to an opaque colour; panics outside the picture.
    pub fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        let at = y * self.width + x;
        self.rgb[3 * at..3 * at + 3].copy_from_slice(&colour);
        if let Some(alpha) = &mut self.alpha {
            alpha[at] = 255;
        }
    }

    /// Composites `other` over an opaque picture, with its upper left corner at (`left`, `top`); panics if it does not
    /// fit.
    pub fn paste(&mut self, other: &Picture, left: usize, top: usize) {
        for (i, pixel) in other.pixels().enumerate() {
            let (x, y) = (left + i % other.width, top + i / other.width);
            assert!(x < self.width, "a picture of {} across does not fit", other.width);
            self.set(x, y, blend(pixel, self.pixel(x, y)));
        }
    }

    /// Enlarges each pixel to a square of `times` x `times`.
    pub fn enlarged(&self, times: usize) -> Self {
        let (width, height) = (self.width * times, self.height * times);
        let places = (0..width * height).map(|i| i / width / times * self.width + i % width / times);
        let rgb = places.clone().flat_map(|at| [0, 1, 2].map(|k| self.rgb[3 * at + k])).collect();
        let alpha = self.alpha.as_ref().map(|alpha| places.map(|at| alpha[at]).collect());
        Self { width, height, rgb, alpha }
    }

    /// Reduces each square of `times` x `times` pixels to one, the mean of its colours weighted by alpha.
    ///
    /// # Errors
    /// [`Error::Request`] for a picture whose sides are not multiples of `times`.
    pub fn reduced(&self, times: usize) -> Result<Self> {
        if times == 0 || !self.width.is_multiple_of(times) || !self.height.is_multiple_of(times) {
            let reason = format!("a picture of {} x {} cannot be made {times} times smaller", self.width, self.height);
            return Err(Error::Request(reason));
        }
        let (width, height) = (self.width / times, self.height / times);
        let whole = self.planes(4);
        let square = |plane: usize, x: usize, y: usize| {
            let row = |dy: usize| &whole[(plane * self.height + y * times + dy) * self.width + x * times..][..times];
            (0..times).flat_map(row).map(|value| f64::from(*value)).sum::<f64>() / (times * times) as f64
        };
        let places = (0..4).flat_map(|plane| (0..width * height).map(move |at| (plane, at % width, at / width)));
        let planes: Vec<f32> = places.map(|(plane, x, y)| square(plane, x, y) as f32).collect();
        Ok(Self::from_planes(width, height, &planes))
    }

    /// Reads a PNG file of any colour type, with its alpha.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::BadFile`] if it is no PNG file.
    #[cfg(feature = "native")]
    pub fn read_png(path: &std::path::Path) -> Result<Self> {
        Self::from_png(std::fs::read(path).map_err(Error::io(path))?, &path.display().to_string())
    }

    /// As [`Self::read_png`], from memory; `file` is for messages.
    #[cfg(feature = "native")]
    fn from_png(bytes: Vec<u8>, file: &str) -> Result<Self> {
        let bad = |error: String| Error::BadFile { file: file.to_owned(), reason: format!("no PNG file: {error}") };
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().map_err(|error| bad(error.to_string()))?;
        let size = reader.output_buffer_size().ok_or_else(|| bad("it is too large".into()))?;
        let mut samples = vec![0; size];
        let info = reader.next_frame(&mut samples).map_err(|error| bad(error.to_string()))?;
        let channels = info.color_type.samples();
        let pixels = samples[..info.buffer_size()].chunks_exact(channels);
        let rgba = |p: &[u8]| match *p {
            [grey] => [grey, grey, grey, 255],
            [grey, alpha] => [grey, grey, grey, alpha],
            [r, g, b] => [r, g, b, 255],
            _ => [p[0], p[1], p[2], p[3]],
        };
        Self::from_rgba(info.width as usize, info.height as usize, &pixels.flat_map(rgba).collect::<Vec<u8>>())
    }
}

/// None if every pixel is opaque.
fn alpha(values: impl Iterator<Item = u8> + Clone) -> Option<Vec<u8>> {
    values.clone().any(|alpha| alpha < 255).then(|| values.collect())
}

/// The colour of a pixel composited on a ground.
fn blend([r, g, b, alpha]: [u8; 4], ground: [u8; 3]) -> [u8; 3] {
    let part = |level: u8, ground: u8| {
        let (level, ground, alpha) = (u32::from(level), u32::from(ground), u32::from(alpha));
        ((level * alpha + ground * (255 - alpha) + 127) / 255) as u8
    };
    [part(r, ground[0]), part(g, ground[1]), part(b, ground[2])]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Generator, stream};

    fn noise(count: usize) -> Vec<u8> {
        let mut random = stream(7, "picture", 0);
        (0..count).map(|_| (random.next_u32() >> 24) as u8).collect()
    }

    #[test]
    fn what_is_transparent_lies_on_white_where_there_is_no_alpha() {
        let picture = Picture::from_rgba(3, 1, &[9, 8, 7, 255, 9, 8, 7, 0, 0, 100, 255, 128]).unwrap();
        assert_eq!(picture.over(WHITE).rgb, [9, 8, 7, 255, 255, 255, 127, 177, 255]);
        assert_eq!(picture.planes(3), picture.over(WHITE).planes(3));
        assert!(picture.luminance().eq(picture.over(WHITE).luminance()));
        for (width, height) in [(2, 1), (0, 0), (usize::MAX, 2)] {
            assert!(Picture::from_rgba(width, height, &[0; 4]).unwrap_err().to_string().contains("4 bytes"));
        }
    }

    #[test]
    fn bytes_with_and_without_alpha_come_back() {
        let bytes = noise(4 * 5 * 3);
        assert_eq!(Picture::from_rgba(5, 3, &bytes).unwrap().rgba(), bytes);
        let opaque = Picture::opaque(5, 3, noise(3 * 5 * 3));
        assert_eq!(Picture::from_rgba(5, 3, &opaque.rgba()).unwrap(), opaque);
    }

    /// A network with four channels that draws an opaque picture gives the same bytes as one with three.
    #[test]
    fn opaque_planes_give_the_same_bytes_with_three_and_four_channels() {
        let values: Vec<f32> = stream(8, "planes", 0).randn(3 * 600);
        let opaque = values.iter().copied().chain(std::iter::repeat_n(1.0, 600)).collect::<Vec<f32>>();
        let (three, four) = (Picture::from_planes(30, 20, &values), Picture::from_planes(30, 20, &opaque));
        assert_eq!(three, four);
        // The rule of three channels, written out.
        let byte = |x: f32| ((x / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
        assert!((0..600).all(|p| (0..3).all(|k| three.rgb[3 * p + k] == byte(values[600 * k + p]))));
        assert_eq!(three.planes(4)[..1800], three.planes(3));
    }

    #[test]
    fn every_level_of_colour_and_alpha_survives_the_multiplication() {
        let all: Vec<u8> = (0..=255u8).flat_map(|a| (0..=255u8).flat_map(move |c| [c, 255 - c, 77, a])).collect();
        let picture = Picture::from_rgba(256, 256, &all).unwrap();
        let back = Picture::from_planes(256, 256, &picture.planes(4));
        for (was, is) in picture.pixels().zip(back.pixels()) {
            // Colours with alpha 0 are lost.
            assert_eq!(is, if was[3] == 0 { [0; 4] } else { was });
        }
    }

    #[test]
    fn colours_are_multiplied_by_alpha_in_a_network() {
        let planes = Picture::from_rgba(2, 1, &[255, 51, 0, 51, 10, 20, 30, 0]).unwrap().planes(4);
        let wanted = [-0.6, -1.0, -0.92, -1.0, -1.0, -1.0, -0.6, -1.0];
        assert!(planes.iter().zip(wanted).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6), "{planes:?}");
        // A colour that exceeds alpha is clamped.
        assert_eq!(Picture::from_planes(1, 1, &[1.0, -1.0, -0.5, 0.0]).rgba(), [255, 0, 128, 128]);
    }

    #[test]
    fn sheets_show_what_lies_behind() {
        let mut sheet = Picture::filled(3, 2, [100, 0, 200]);
        sheet.paste(&Picture::from_rgba(1, 2, &[0, 0, 0, 0, 0, 255, 0, 51]).unwrap(), 1, 0);
        assert_eq!(sheet.rgb, [100, 0, 200, 100, 0, 200, 100, 0, 200, 100, 0, 200, 80, 51, 160, 100, 0, 200]);
        assert_eq!(sheet.alpha, None);
    }

    #[test]
    fn larger_and_smaller_again_is_the_same() {
        let mut rgba = noise(4 * 4 * 3);
        rgba.chunks_exact_mut(4).filter(|p| p[3] == 0).for_each(|p| p.fill(0));
        for picture in [Picture::from_rgba(4, 3, &rgba).unwrap(), Picture::opaque(4, 3, noise(36))] {
            let large = picture.enlarged(3);
            assert_eq!((large.width, large.height), (12, 9));
            assert_eq!(large.reduced(3).unwrap(), picture);
        }
        // Half of the square is red, half is transparent: the result is half transparent red, not pink and not dark.
        let edge = Picture::from_rgba(2, 2, &[255, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 255, 0, 0, 0, 0]).unwrap();
        assert_eq!(edge.reduced(2).unwrap().rgba(), [255, 0, 0, 128]);
        assert!(edge.reduced(3).unwrap_err().to_string().contains("2 x 2"));
    }

    #[cfg(feature = "native")]
    #[test]
    fn a_png_file_keeps_its_alpha() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.png");
        for picture in [Picture::from_rgba(5, 4, &noise(80)).unwrap(), Picture::opaque(5, 4, noise(60))] {
            picture.write_png(&path).unwrap();
            assert_eq!(Picture::read_png(&path).unwrap(), picture);
        }
    }
}
