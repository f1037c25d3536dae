//! A simulated device memory: buffers are allocated and freed as tensors are in a forward pass, and the maximum is
//! recorded.

use std::cell::RefCell;
use std::rc::Rc;

/// All layers compute in 32-bit floats.
pub const FLOAT: u64 = 4;

/// Counts the bytes of the [`Map`]s that are alive.
#[derive(Clone, Default)]
pub struct Meter(Rc<RefCell<Counts>>);

/// The state of a [`Meter`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    live: u64,
    /// The greatest number of bytes held together.
    pub peak: u64,
    /// The largest single buffer in bytes.
    pub largest: u64,
    /// The content of that buffer.
    pub largest_is: &'static str,
}

impl Meter {
    /// A buffer of `channels` numbers at each of `height` x `width` positions of each picture of the batch.
    pub fn map(&self, what: &'static str, [batch, channels, height, width]: [usize; 4]) -> Map {
        let bytes = [batch, channels, height, width].iter().map(|n| *n as u64).product::<u64>() * FLOAT;
        let mut counts = self.0.borrow_mut();
        counts.live += bytes;
        counts.peak = counts.peak.max(counts.live);
        if bytes > counts.largest {
            (counts.largest, counts.largest_is) = (bytes, what);
        }
        Map { shape: [batch, channels, height, width], _buffer: Rc::new(Buffer { bytes, meter: self.clone() }) }
    }

    /// The counts up to now.
    pub fn counts(&self) -> Counts {
        self.0.borrow().clone()
    }
}

/// A tensor without numbers. Its shape counts on the meter until its last clone is dropped.
#[derive(Clone)]
pub struct Map {
    /// Batch, channels, height, width.
    pub shape: [usize; 4],
    _buffer: Rc<Buffer>,
}

struct Buffer {
    bytes: u64,
    meter: Meter,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.meter.0.borrow_mut().live -= self.bytes;
    }
}

impl Map {
    /// Another buffer with the same batch and size.
    pub fn with_channels(&self, what: &'static str, channels: usize) -> Self {
        let [batch, _, height, width] = self.shape;
        self.meter().map(what, [batch, channels, height, width])
    }

    /// Another buffer with the same batch and channels.
    pub fn with_size(&self, what: &'static str, [height, width]: [usize; 2]) -> Self {
        let [batch, channels, ..] = self.shape;
        self.meter().map(what, [batch, channels, height, width])
    }

    /// Another buffer with the same shape.
    pub fn like(&self, what: &'static str) -> Self {
        self.meter().map(what, self.shape)
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.shape[1]
    }

    fn meter(&self) -> &Meter {
        &self._buffer.meter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_counts_until_its_last_clone_goes() {
        let meter = Meter::default();
        let a = meter.map("a", [2, 3, 4, 5]);
        let (b, again) = (a.with_channels("b", 1), a.clone());
        drop(a);
        let c = b.like("c");
        drop((again, b, c));
        let d = meter.map("d", [1, 1, 1, 1]);
        let counts = meter.counts();
        assert_eq!((counts.live, counts.peak, counts.largest, counts.largest_is), (4, 4 * (120 + 40 + 40), 480, "a"));
        drop(d);
        assert_eq!(meter.counts().live, 0);
    }
}
