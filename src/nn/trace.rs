//! Records where a network's cross-attention looks, for the view that takes a picture apart. When nobody records, a
//! layer only checks a flag of its thread.

use std::cell::RefCell;

use burn::tensor::Tensor;

/// The cross-attention of one layer in one run of the network.
pub struct CrossAttention {
    /// Rows and columns of positions.
    pub size: [usize; 2],
    /// How much of each token each position takes, `[batch, heads, positions, tokens]`; the sum over the tokens is 1.
    pub weights: Tensor<4>,
}

thread_local! {
    static RECORD: RefCell<Option<Vec<CrossAttention>>> = const { RefCell::new(None) };
}

/// Runs `network` and returns its cross-attentions, in the order in which they ran.
pub fn cross_attention<R>(network: impl FnOnce() -> R) -> (R, Vec<CrossAttention>) {
    RECORD.set(Some(Vec::new()));
    let result = network();
    (result, RECORD.take().unwrap_or_default())
}

/// Records a cross-attention if somebody records; otherwise `weights` is not called.
pub(super) fn offer(size: [usize; 2], weights: impl FnOnce() -> Tensor<4>) {
    if RECORD.with_borrow(Option::is_some) {
        let one = CrossAttention { size, weights: weights() };
        RECORD.with_borrow_mut(|record| record.get_or_insert_default().push(one));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn is_kept_while_somebody_records_and_not_asked_for_elsewhere() {
        let ones = || Tensor::<4>::ones([1, 1, 4, 2], &Device::flex());
        offer([2, 2], || unreachable!("nobody records"));
        let (answer, kept) = cross_attention(|| {
            offer([2, 2], ones);
            offer([4, 1], ones);
            7
        });
        assert_eq!((answer, kept.len(), kept[1].size), (7, 2, [4, 1]));
        offer([2, 2], || unreachable!("nobody records any more"));
    }
}
