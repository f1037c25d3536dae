//! Distributes work over the processor's threads. In the page there is only one.

use std::marker::PhantomData;
use std::ops::Range;

/// Threads that share work.
pub fn threads() -> usize {
    #[cfg(feature = "native")]
    return rayon::current_num_threads();
    #[cfg(not(feature = "native"))]
    1
}

/// `0..count` in as many runs as there are threads, or fewer.
pub fn shares(count: usize) -> Vec<Range<usize>> {
    let each = count.div_ceil(threads()).max(1);
    (0..count).step_by(each).map(|first| first..(first + each).min(count)).collect()
}

/// Runs `work` on every share, at the same time where there are threads; its results in order.
pub fn for_each_share<R: Send>(shares: Vec<Range<usize>>, work: impl Fn(Range<usize>) -> R + Sync + Send) -> Vec<R> {
    #[cfg(feature = "native")]
    {
        use rayon::prelude::*;
        shares.into_par_iter().map(work).collect()
    }
    #[cfg(not(feature = "native"))]
    shares.into_iter().map(work).collect()
}

/// Numbers that several threads write, each its own places.
pub struct Share<'a, T> {
    start: *mut T,
    len: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: whoever takes a slice promises that it is nobody else's.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Share<'_, T> {}

#[allow(unsafe_code)]
impl<'a, T> Share<'a, T> {
    /// Of all of `numbers`.
    pub fn new(numbers: &'a mut [T]) -> Self {
        Self { start: numbers.as_mut_ptr(), len: numbers.len(), owner: PhantomData }
    }

    /// Some of the numbers.
    ///
    /// # Safety
    /// While the slice lives, no other that overlaps it may.
    ///
    /// # Panics
    /// Past the end.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: within the numbers; alone by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
