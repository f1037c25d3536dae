//! Pictures in memory: what the dataset renders, what sheets are laid out of, what a decoder's output becomes.

use std::path::Path;

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

    /// Writes a PNG file.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn write_png(&self, path: &Path) -> Result<()> {
        let file = std::fs::File::create(path).map_err(Error::io(path))?;
        let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&self.rgb));
        written.map_err(|e| Error::io(path)(std::io::Error::other(e)))
    }
}
