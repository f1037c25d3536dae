//! Weights in blocks of 32 numbers that share a scale. The arithmetic is that of GGUF's `Q8_0` and `Q4_0`, so it can be
//! checked against their known accuracy and reference code.
//!
//! A weight `[out, in]` or `[out, in, kh, kw]` has `out` rows. A row runs over kh, then kw, then in: if `in` is a
//! multiple of 32, a block belongs to one tap of the convolution, and a kernel computes the position and border of a
//! tap once for each block. Only the last block of a row may be incomplete; it is padded with zeros.

use half::f16;

/// Numbers that share a scale.
pub const BLOCK: usize = 32;

/// How the 32 numbers of a block are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockFormat {
    /// x = d · q with q in -127..=127, one signed byte each.
    Q8_0,
    /// x = d · (q - 8) with q in 0..=15: byte j holds number j in its low half and number j + 16 in its high half.
    Q4_0,
}

impl BlockFormat {
    /// The format with this many bits a number: 8 or 4.
    pub fn from_bits(bits: u32) -> Option<Self> {
        match bits {
            8 => Some(Self::Q8_0),
            4 => Some(Self::Q4_0),
            _ => None,
        }
    }

    /// Bits for each number, without the scale's half bit.
    pub fn bits(self) -> u32 {
        match self {
            Self::Q8_0 => 8,
            Self::Q4_0 => 4,
        }
    }

    /// Bytes of a block's codes, without the scale.
    pub fn code_bytes(self) -> usize {
        BLOCK * self.bits() as usize / 8
    }

    /// The code of zero, which pads a block.
    fn zero(self) -> i32 {
        match self {
            Self::Q8_0 => 0,
            Self::Q4_0 => 8,
        }
    }

    /// The code of number `j` of a block.
    fn code(self, codes: &[u8], j: usize) -> i32 {
        match self {
            Self::Q8_0 => i32::from(codes[j] as i8),
            Self::Q4_0 => i32::from(codes[j % 16] >> (j / 16 * 4)) & 15,
        }
    }

    fn write(self, codes: &mut [u8], numbers: [i32; BLOCK]) {
        match self {
            Self::Q8_0 => codes.iter_mut().zip(numbers).for_each(|(code, q)| *code = q as i8 as u8),
            Self::Q4_0 => (0..BLOCK / 2).for_each(|j| codes[j] = (numbers[j] | numbers[j + 16] << 4) as u8),
        }
    }

    /// Scale (not rounded yet) and codes of a full block, in f32 as in GGUF's reference.
    fn quantize(self, block: &[f32; BLOCK]) -> (f32, [i32; BLOCK]) {
        // The first of the largest, if several are equally large.
        let largest = block.iter().fold(0f32, |largest, x| if x.abs() > largest.abs() { *x } else { largest });
        let scale = match self {
            Self::Q8_0 => largest.abs() / 127.0,
            Self::Q4_0 => largest / -8.0,
        };
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        let code = |x: f32| match self {
            Self::Q8_0 => (x * inverse).round() as i32,
            Self::Q4_0 => ((x * inverse + 8.5) as i32).clamp(0, 15),
        };
        (scale, block.map(code))
    }
}

/// Why numbers cannot be quantized, or blocks not be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BlockError {
    /// A number is not finite.
    #[error("holds values that are not finite")]
    NotFinite,
    /// The scale exceeds the range of f16.
    #[error("holds values too large for a block with an f16 scale")]
    TooLarge,
    /// The shape has neither 2 nor 4 dimensions, or one of them is 0.
    #[error("has shape {0:?}; only [out, in] and [out, in, kh, kw] go into blocks")]
    Shape(Vec<usize>),
    /// Codes or scales of the wrong length.
    #[error("has {found} {what}, its shape asks for {expected}")]
    Length {
        /// `bytes of codes` or `scales`.
        what: &'static str,
        /// The actual length.
        found: usize,
        /// The length by shape and format.
        expected: usize,
    },
    /// A scale that quantization never writes: not finite, or negative where it is a magnitude.
    #[error("has the scale {scale} in block {block}")]
    Scale {
        /// Index of the block in the file.
        block: usize,
        /// The scale.
        scale: f32,
    },
    /// A number that is not zero in the padding of this row.
    #[error("has numbers behind the end of row {0}")]
    Padding(usize),
}

/// A weight in blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    format: BlockFormat,
    shape: Vec<usize>,
    codes: Vec<u8>,
    scales: Vec<f16>,
}

impl Blocks {
    /// Quantizes `values`, in the order of `shape` (`[out, in]` or `[out, in, kh, kw]`).
    ///
    /// # Errors
    /// [`BlockError::Shape`], [`BlockError::Length`], [`BlockError::NotFinite`], [`BlockError::TooLarge`].
    pub fn quantize(format: BlockFormat, shape: &[usize], values: &[f32]) -> Result<Self, BlockError> {
        let layout = Layout::new(shape)?;
        check_length("values", values.len(), shape.iter().product())?;
        if !values.iter().all(|value| value.is_finite()) {
            return Err(BlockError::NotFinite);
        }
        let blocks = layout.rows * layout.blocks;
        let mut codes = vec![0; blocks * format.code_bytes()];
        let mut scales = Vec::with_capacity(blocks);
        for (i, codes) in codes.chunks_exact_mut(format.code_bytes()).enumerate() {
            let (row, first) = (i / layout.blocks, i % layout.blocks * BLOCK);
            let place = |j: usize| (first + j < layout.columns).then(|| layout.place(row, first + j));
            let (scale, numbers) = format.quantize(&std::array::from_fn(|j| place(j).map_or(0.0, |at| values[at])));
            let scale = f16::from_f32(scale);
            if !scale.is_finite() {
                return Err(BlockError::TooLarge);
            }
            scales.push(scale);
            format.write(codes, numbers);
        }
        Ok(Self { format, shape: shape.to_vec(), codes, scales })
    }

    /// Blocks from a file's codes and scales, which are checked.
    ///
    /// # Errors
    /// [`BlockError::Shape`], [`BlockError::Length`], [`BlockError::Scale`], [`BlockError::Padding`].
    pub fn from_parts(
        format: BlockFormat,
        shape: &[usize],
        codes: Vec<u8>,
        scales: Vec<f16>,
    ) -> Result<Self, BlockError> {
        let layout = Layout::new(shape)?;
        let blocks = layout.rows * layout.blocks;
        check_length("bytes of codes", codes.len(), blocks * format.code_bytes())?;
        check_length("scales", scales.len(), blocks)?;
        let odd = |scale: &f16| !scale.is_finite() || format == BlockFormat::Q8_0 && scale.is_sign_negative();
        if let Some(block) = scales.iter().position(odd) {
            return Err(BlockError::Scale { block, scale: scales[block].to_f32() });
        }
        let this = Self { format, shape: shape.to_vec(), codes, scales };
        let filled = layout.columns..layout.blocks * BLOCK;
        let clean = |row: &usize| filled.clone().all(|column| this.code(&layout, *row, column) == format.zero());
        match (0..layout.rows).find(|row| !clean(row)) {
            Some(row) => Err(BlockError::Padding(row)),
            None => Ok(this),
        }
    }

    /// The numbers in the order of [`Self::shape`].
    pub fn dequantize(&self) -> Vec<f32> {
        let layout = Layout::new(&self.shape).expect("checked when it was made");
        let mut values = vec![0.0; self.shape.iter().product()];
        for row in 0..layout.rows {
            for column in 0..layout.columns {
                let scale = self.scales[row * layout.blocks + column / BLOCK].to_f32();
                let number = self.code(&layout, row, column) - self.format.zero();
                values[layout.place(row, column)] = scale * number as f32;
            }
        }
        values
    }

    /// How the numbers are stored.
    pub fn format(&self) -> BlockFormat {
        self.format
    }

    /// Shape of the weight that was quantized.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// All blocks' codes, row after row.
    pub fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// All blocks' scales, row after row.
    pub fn scales(&self) -> &[f16] {
        &self.scales
    }

    fn code(&self, layout: &Layout, row: usize, column: usize) -> i32 {
        let bytes = self.format.code_bytes();
        let start = (row * layout.blocks + column / BLOCK) * bytes;
        self.format.code(&self.codes[start..start + bytes], column % BLOCK)
    }
}

/// How the numbers of a row are ordered in the weight.
struct Layout {
    rows: usize,
    /// Numbers in each row.
    columns: usize,
    /// Blocks in each row.
    blocks: usize,
    channels: usize,
    taps: usize,
}

impl Layout {
    fn new(shape: &[usize]) -> Result<Self, BlockError> {
        let (rows, channels, taps) = match *shape {
            [rows, channels] => (rows, channels, 1),
            [rows, channels, height, width] => (rows, channels, height * width),
            _ => return Err(BlockError::Shape(shape.to_vec())),
        };
        let columns = channels * taps;
        match rows * columns {
            0 => Err(BlockError::Shape(shape.to_vec())),
            _ => Ok(Self { rows, columns, blocks: columns.div_ceil(BLOCK), channels, taps }),
        }
    }

    /// Index into the weight of a row's number.
    fn place(&self, row: usize, column: usize) -> usize {
        let (tap, channel) = (column / self.channels, column % self.channels);
        (row * self.channels + channel) * self.taps + tap
    }
}

fn check_length(what: &'static str, found: usize, expected: usize) -> Result<(), BlockError> {
    match found == expected {
        true => Ok(()),
        false => Err(BlockError::Length { what, found, expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Generator, stream};

    const FORMATS: [BlockFormat; 2] = [BlockFormat::Q8_0, BlockFormat::Q4_0];

    /// Numbers of a random shape, of a random magnitude, some of them zero.
    fn odd_weight(seed: u64) -> (Vec<usize>, Vec<f32>) {
        let mut random = stream(seed, "odd weights", 0);
        let mut below = |n: u32| 1 + (random.next_u32() % n) as usize;
        let shape = match below(2) {
            1 => vec![below(9), below(100)],
            _ => vec![below(5), below(70), below(4), below(4)],
        };
        let magnitude = 10f32.powi(below(7) as i32 - 5);
        let some_zero = below(3) == 1;
        let mut values = random.randn(shape.iter().product());
        let zeroed = |i: usize| some_zero && (i / 40).is_multiple_of(2);
        values.iter_mut().enumerate().for_each(|(i, x)| *x *= if zeroed(i) { 0.0 } else { magnitude });
        (shape, values)
    }

    #[test]
    fn a_number_is_off_by_at_most_its_blocks_step() {
        for seed in 0..300 {
            let (shape, values) = odd_weight(seed);
            let layout = Layout::new(&shape).unwrap();
            for format in FORMATS {
                println!("seed {seed}: {shape:?} {format:?}");
                let blocks = Blocks::quantize(format, &shape, &values).unwrap();
                let widened = blocks.dequantize();
                for (row, column) in (0..layout.rows).flat_map(|r| (0..layout.columns).map(move |c| (r, c))) {
                    let at = layout.place(row, column);
                    let scale = blocks.scales()[row * layout.blocks + column / BLOCK].to_f32().abs();
                    // Half a step, or a whole one at the far end of Q4_0, and the rounding of the scale to f16.
                    let (steps, most) = if format == BlockFormat::Q8_0 { (0.5, 127.0) } else { (1.0, 8.0) };
                    let bound = scale * (steps + most / 1024.0) + most * 6e-8;
                    let apart = (values[at] - widened[at]).abs();
                    assert!(apart <= bound, "row {row}, column {column}: {apart} > {bound}");
                }
                let parts = (blocks.codes().to_vec(), blocks.scales().to_vec());
                assert_eq!(Blocks::from_parts(format, &shape, parts.0, parts.1).unwrap(), blocks);
            }
        }
    }

    #[test]
    fn what_cannot_be_quantized_is_refused() {
        let quantize = |shape: &[usize], value: f32| {
            let values = vec![value; shape.iter().product()];
            Blocks::quantize(BlockFormat::Q8_0, shape, &values).unwrap_err()
        };
        assert_eq!(quantize(&[2, 2], f32::NAN), BlockError::NotFinite);
        assert_eq!(quantize(&[2, 2], f32::NEG_INFINITY), BlockError::NotFinite);
        assert_eq!(quantize(&[2, 2], 1e9), BlockError::TooLarge);
        assert_eq!(quantize(&[7], 1.0), BlockError::Shape(vec![7]));
        assert_eq!(quantize(&[0, 7], 1.0), BlockError::Shape(vec![0, 7]));
        assert!(matches!(
            Blocks::quantize(BlockFormat::Q4_0, &[2, 2], &[0.0; 3]),
            Err(BlockError::Length { found: 3, expected: 4, .. })
        ));
    }

    #[test]
    fn broken_blocks_are_refused() {
        let good = Blocks::quantize(BlockFormat::Q8_0, &[2, 33], &[1.0; 66]).unwrap();
        let read = |edit: &dyn Fn(&mut Vec<u8>, &mut Vec<f16>)| {
            let (mut codes, mut scales) = (good.codes().to_vec(), good.scales().to_vec());
            edit(&mut codes, &mut scales);
            Blocks::from_parts(BlockFormat::Q8_0, &[2, 33], codes, scales)
        };
        assert_eq!(read(&|_, _| ()).unwrap(), good);
        for bad in [f16::NAN, f16::INFINITY, f16::from_f32(-0.5), f16::NEG_ZERO] {
            let error = read(&|_, scales| scales[2] = bad).unwrap_err();
            assert!(matches!(error, BlockError::Scale { block: 2, .. }), "{error}");
        }
        let length = |found, expected, what| BlockError::Length { what, found, expected };
        assert_eq!(read(&|codes, _| codes.truncate(127)).unwrap_err(), length(127, 128, "bytes of codes"));
        assert_eq!(read(&|_, scales| scales.push(f16::ONE)).unwrap_err(), length(5, 4, "scales"));
        assert_eq!(read(&|codes, _| codes[100] = 1).unwrap_err(), BlockError::Padding(1));
    }
}
