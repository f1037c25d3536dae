//! Distributes work over the processor's threads. In the page there is only one.

use std::marker::PhantomData;
use std::ops::Range;

/// The number of threads that share work.
pub fn threads() -> usize {
    #[cfg(feature = "native")]
    return rayon::current_num_threads();
    #[cfg(not(feature = "native"))]
    1
}

/// Divides `0..count` into as many ranges as there are threads, or fewer.
pub fn shares(count: usize) -> Vec<Range<usize>> {
    let each = count.div_ceil(threads()).max(1);
    (0..count).step_by(each).map(|first| first..(first + each).min(count)).collect()
}

/// Runs `work` on every share, in parallel if there are threads, and returns the results in order.
pub fn for_each_share<R: Send>(shares: Vec<Range<usize>>, work: impl Fn(Range<usize>) -> R + Sync + Send) -> Vec<R> {
    #[cfg(feature = "native")]
    {
        use rayon::prelude::*;
        shares.into_par_iter().map(work).collect()
    }
    #[cfg(not(feature = "native"))]
    shares.into_iter().map(work).collect()
}

/// Numbers that several threads write, each in different places.
pub struct Share<'a, T> {
    start: *mut T,
    len: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: a caller of `slice` promises that no other thread uses that slice.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Share<'_, T> {}

#[allow(unsafe_code)]
impl<'a, T> Share<'a, T> {
    /// Shares all of `numbers`.
    pub fn new(numbers: &'a mut [T]) -> Self {
        Self { start: numbers.as_mut_ptr(), len: numbers.len(), owner: PhantomData }
    }

    /// A range of the numbers.
    ///
    /// # Safety
    /// While the slice lives, there may be no other that overlaps it.
    ///
    /// # Panics
    /// Beyond the end.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: within the numbers, and exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
