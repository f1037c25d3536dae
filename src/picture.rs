//! Pictures in memory: what the pipeline draws, what the dataset renders, what sheets are laid out of.

use burn::tensor::{Device, Tensor, TensorData};

use crate::error::{Error, Result};

/// Opaque 8-bit sRGB, rows from the top, `rgb.len() == 3 * width * height`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Red, green, blue for each pixel.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Pictures from a decoder's output `[n, 3, height, width]`: round((x/2 + 1/2) · 255), clamped, ties to even as
    /// diffusers' image processor has them.
    ///
    /// # Errors
    /// [`Error::Device`] if the device does not give its data back; [`Error::NotFinite`] never draws a black picture.
    pub async fn from_tensor(decoded: Tensor<4>) -> Result<Vec<Self>> {
        let [n, _, height, width] = decoded.dims();
        let data = decoded.into_data_async().await.map_err(|error| Error::Device(format!("{error:?}")))?;
        let values: Vec<f32> = data.iter::<f32>().collect();
        let size = height * width;
        let picture = |i: usize| {
            let planes = &values[i * 3 * size..(i + 1) * 3 * size];
            let byte = |value: f32| ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
            let rgb = (0..size).flat_map(|p| [planes[p], planes[size + p], planes[2 * size + p]].map(byte)).collect();
            Self { width, height, rgb }
        };
        match values.iter().all(|value| value.is_finite()) {
            true => Ok((0..n).map(picture).collect()),
            false => Err(Error::Device("the decoded picture holds values that are not finite".into())),
        }
    }

    /// What an encoder takes: `[1, 3, height, width]` in [-1, 1].
    pub fn to_tensor(&self, device: &Device) -> Tensor<4> {
        let size = self.width * self.height;
        let value = |i: usize| f32::from(self.rgb[i % size * 3 + i / size]) / 255.0 * 2.0 - 1.0;
        let values: Vec<f32> = (0..3 * size).map(value).collect();
        Tensor::from_data(TensorData::new(values, [1, 3, self.height, self.width]), device)
    }

    /// The lightness of each pixel, by ITU-R 601 in the fixed point arithmetic of Python's Pillow.
    pub fn luminance(&self) -> impl Iterator<Item = u8> + '_ {
        self.rgb.chunks_exact(3).map(|pixel| {
            let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
            ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as u8
        })
    }

    /// With an opaque alpha channel, as a canvas takes it.
    pub fn rgba(&self) -> Vec<u8> {
        self.rgb.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect()
    }

    /// From 8-bit red, green, blue and alpha; what is transparent lies on white, as in A1111.
    ///
    /// # Errors
    /// [`Error::Request`] when the bytes are not `width` x `height` pixels.
    pub fn from_rgba(width: usize, height: usize, rgba: &[u8]) -> Result<Self> {
        let pixels = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(4));
        if pixels != Some(rgba.len()) || rgba.is_empty() {
            return Err(Error::Request(format!("{} bytes are no picture of {width} x {height}", rgba.len())));
        }
        let over_white = |level: u8, alpha: u8| {
            let (level, alpha) = (u32::from(level), u32::from(alpha));
            ((level * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        };
        let rgb = rgba.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]].map(|level| over_white(level, p[3]))).collect();
        Ok(Self { width, height, rgb })
    }

    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self { width, height, rgb: colour.repeat(width * height) }
    }

    /// The pixel at column `x`, row `y`; panics outside.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = 3 * (y * self.width + x);
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    /// Sets the pixel at column `x`, row `y`; panics outside.
    pub fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        let at = 3 * (y * self.width + x);
        self.rgb[at..at + 3].copy_from_slice(&colour);
    }

    /// Copies `other` to the place whose upper left corner is (`left`, `top`); panics where it does not fit.
    pub fn paste(&mut self, other: &Picture, left: usize, top: usize) {
        for y in 0..other.height {
            let to = 3 * ((top + y) * self.width + left);
            let from = 3 * y * other.width;
            self.rgb[to..to + 3 * other.width].copy_from_slice(&other.rgb[from..from + 3 * other.width]);
        }
    }

    /// Each pixel as a square of `times` x `times`.
    pub fn enlarged(&self, times: usize) -> Self {
        let mut large = Self::filled(self.width * times, self.height * times, [0; 3]);
        for y in 0..large.height {
            for x in 0..large.width {
                large.set(x, y, self.pixel(x / times, y / times));
            }
        }
        large
    }

    /// Reads a PNG file of any colour type; what is transparent lies on white.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::BadFile`] for something that is no PNG file.
    #[cfg(feature = "native")]
    pub fn read_png(path: &std::path::Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let bad = |error: String| Error::BadFile {
            file: path.display().to_string(),
            reason: format!("no PNG file: {error}"),
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_transparent_lies_on_white() {
        let picture = Picture::from_rgba(3, 1, &[9, 8, 7, 255, 9, 8, 7, 0, 0, 100, 255, 128]).unwrap();
        assert_eq!(picture.rgb, [9, 8, 7, 255, 255, 255, 127, 177, 255]);
        assert_eq!(Picture::from_rgba(1, 1, &picture.rgba()[..4]).unwrap().rgb, [9, 8, 7]);
        for (width, height) in [(2, 1), (0, 0), (usize::MAX, 2)] {
            assert!(Picture::from_rgba(width, height, &[0; 4]).unwrap_err().to_string().contains("4 bytes"));
        }
    }
}
