//! Group normalisation with the activation after it, for the GPU and the CPU.

pub mod cpu;
pub mod gpu;

/// Sizes of a normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNormSizes {
    /// Number of pictures.
    pub batch: usize,
    /// Channels of the input, a multiple of `groups`.
    pub channels: usize,
    /// Numbers in a channel.
    pub places: usize,
    /// Number of groups of channels that are normalised together.
    pub groups: usize,
    /// Added to the variance, to avoid division by zero.
    pub eps: f32,
    /// Whether x · sigmoid(x) follows.
    pub silu: bool,
}

impl GroupNormSizes {
    /// Numbers that are normalised together.
    pub(super) fn group(&self) -> usize {
        self.channels / self.groups * self.places
    }

    /// The channels of group `i` of all pictures' groups.
    pub(super) fn channels_of(&self, i: usize) -> std::ops::Range<usize> {
        let each = self.channels / self.groups;
        let first = i % self.groups * each;
        first..first + each
    }
}
