//! Python's iterators and generators, and their counterparts in Rust.

// cell: chunks-slice
/// `chunks(x, size)` of the lesson, a generator with `yield`. Rust's slices have it, and it copies nothing.
pub fn rows(pixels: &[f32], width: usize) -> Vec<Vec<f32>> {
    pixels.chunks(width).map(|row| row.to_vec()).collect()
}
// end

// cell: iterators
/// `iter(callable, sentinel)`: calls repeatedly until the sentinel is returned.
pub fn iter_until<T: PartialEq>(mut call: impl FnMut() -> T, sentinel: T) -> impl Iterator<Item = T> {
    std::iter::from_fn(move || Some(call()).filter(|value| *value != sentinel)).fuse()
}

/// `list(islice(it, n))`: the next `n` items, fewer at the end. The iterator remembers its position.
pub fn islice<I: Iterator>(items: &mut I, n: usize) -> Vec<I::Item> {
    items.take(n).collect()
}

/// Both together, for any iterator: `iter(lambda: list(islice(it, size)), [])`.
pub fn chunks<T: PartialEq>(mut items: impl Iterator<Item = T>, size: usize) -> impl Iterator<Item = Vec<T>> {
    iter_until(move || islice(&mut items, size), vec![])
}
// end

// cell: generator
/// A generator returns the next number each time it is asked. Each is the sum of the two before: 1, 1, 2, 3, 5, 8, ...
pub fn fibonacci() -> impl Iterator<Item = u64> {
    let mut pair = (0u64, 1u64);
    std::iter::from_fn(move || {
        pair = (pair.1, pair.0.checked_add(pair.1)?);
        Some(pair.0)
    })
}
// end

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_cut_agree() {
        let pixels: Vec<f32> = (0..784u16).map(f32::from).collect();
        let cut: Vec<_> = chunks(pixels.iter().copied(), 28).collect();
        assert_eq!(cut, rows(&pixels, 28));
        assert_eq!((cut.len(), cut[27][27]), (28, 783.0));
    }

    #[test]
    fn the_last_piece_may_be_short() {
        let found: Vec<Vec<u8>> = chunks(0..7, 3).collect();
        assert_eq!(found, [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(chunks(std::iter::empty::<u8>(), 3).count(), 0);
    }

    #[test]
    fn islice_goes_on_where_it_stopped() {
        let mut items = "python".chars();
        assert_eq!(islice(&mut items, 2), ['p', 'y']);
        assert_eq!(islice(&mut items, 9), ['t', 'h', 'o', 'n']);
        assert!(islice(&mut items, 1).is_empty());
    }

    #[test]
    fn calls_end_at_the_sentinel_and_stay_ended() {
        let mut left = 4;
        let mut counting = iter_until(
            move || {
                left -= 1;
                left
            },
            0,
        );
        assert_eq!(counting.by_ref().collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(counting.next(), None);
    }

    #[test]
    fn a_generator_is_asked_for_as_much_as_is_wanted() {
        assert_eq!(fibonacci().take(8).collect::<Vec<_>>(), [1, 1, 2, 3, 5, 8, 13, 21]);
        assert_eq!(fibonacci().count(), 92, "it ends before 64 bits are full");
    }
}
