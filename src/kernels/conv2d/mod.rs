//! Two-dimensional convolution with floats or blocks as weights, for the GPU and the CPU.

#[allow(unsafe_code)]
pub mod cpu;
pub mod gpu;

/// Sizes of a convolution without groups and dilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dSizes {
    /// Pictures.
    pub batch: usize,
    /// Of the input.
    pub channels_in: usize,
    /// Of the output.
    pub channels_out: usize,
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Between two windows, down and across.
    pub stride: usize,
    /// Zeros above and to the left, below and to the right.
    pub padding: [usize; 2],
}

impl Conv2dSizes {
    /// Height and width of the output.
    ///
    /// # Panics
    /// When not even one window fits.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|i| (self.size[i] + self.padding[0] + self.padding[1] - self.kernel[i]) / self.stride + 1)
    }

    /// Numbers in a window.
    pub(super) fn window(&self) -> usize {
        self.channels_in * self.kernel[0] * self.kernel[1]
    }

    /// Of the output, in one channel.
    pub(super) fn places(&self) -> usize {
        self.output().iter().product()
    }
}
