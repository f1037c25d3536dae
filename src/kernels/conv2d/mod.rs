//! Two-dimensional convolution with floats or blocks as weights, for the GPU and the CPU.

#[allow(unsafe_code)]
pub mod cpu;
pub mod gpu;

/// Sizes of a convolution without groups or dilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dSizes {
    /// Number of pictures.
    pub batch: usize,
    /// Channels of the input.
    pub channels_in: usize,
    /// Channels of the output.
    pub channels_out: usize,
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Distance between two windows, down and across.
    pub stride: usize,
    /// Number of zeros above and to the left, and below and to the right.
    pub padding: [usize; 2],
}

impl Conv2dSizes {
    /// Height and width of the output.
    ///
    /// # Panics
    /// If not even one window fits.
    pub fn output(&self) -> [usize; 2] {
        [0, 1].map(|i| (self.size[i] + self.padding[0] + self.padding[1] - self.kernel[i]) / self.stride + 1)
    }

    /// Numbers in a window.
    pub(super) fn window(&self) -> usize {
        self.channels_in * self.kernel[0] * self.kernel[1]
    }

    /// Places of the output in one channel.
    pub(super) fn places(&self) -> usize {
        self.output().iter().product()
    }
}
