//! Tensors of rank 0 to 4: numbers with a shape, and strides that say how far apart neighbours are in memory.
//!
//! A view (a transpose, a slice, a stretched axis) is a new shape and new strides over the same list; no number is
//! copied.

use std::ops::Range;
use std::sync::Arc;

use crate::{Error, Result};

/// The greatest number of axes: pictures in a batch need four (picture, channel, row, column).
pub const MAX_RANK: usize = 4;
/// The greatest number of values that an operation may create: 256 MiB of them.
const MAX_NUMBERS: usize = 1 << 26;

// cell: tensor
/// A list of numbers, and how to index it: index [i, j, k] is at `offset + i * strides[0] + j * strides[1] + ...`
#[derive(Clone, Debug)]
pub struct Tensor {
    values: Arc<Vec<f32>>,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Tensor {
    /// The number at an index with one entry for each axis.
    pub fn at(&self, index: &[usize]) -> Result<f32> {
        let fits = index.len() == self.rank() && index.iter().zip(&self.shape).all(|(i, size)| i < size);
        if !fits {
            return Err(Error::Request(format!("no index {index:?} in a tensor of shape {:?}", self.shape)));
        }
        let steps: usize = index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum();
        Ok(self.values[self.offset + steps])
    }
}
// end

// cell: broadcast
/// The shape of `a` combined with `b`. The shapes are aligned at the right. Two sizes fit if they are equal or if one
/// of them is 1 (or missing); that axis is stretched, without a copy, by a stride of 0.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            (x, y) => Err(Error::Request(format!(
                "shapes {a:?} and {b:?} do not fit: axis {axis} has {x} on one side and {y} on the other"
            ))),
        })
        .collect()
}
// end

impl Tensor {
    /// A tensor with these numbers, the last axis fastest. Without axes it is a single number.
    ///
    /// # Errors
    /// [`Error::Request`] for more than [`MAX_RANK`] axes, or if the number of values does not fit the shape.
    pub fn new(values: Vec<f32>, shape: &[usize]) -> Result<Self> {
        let count = count(shape)?;
        if values.len() != count {
            return Err(Error::Request(format!("{} numbers for shape {shape:?}, which has {count}", values.len())));
        }
        Ok(Self { values: Arc::new(values), offset: 0, strides: dense(shape), shape: shape.to_vec() })
    }

    /// 0, 1, 2, ... in a shape: `torch.arange(n).reshape(shape)`.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn arange(shape: &[usize]) -> Result<Self> {
        Self::new((0..count(shape)?).map(|i| i as f32).collect(), shape)
    }

    /// The number of axes: 0 for a number, 1 for a list, 2 for a matrix, 3 for a picture, 4 for a batch of pictures.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The size of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// For each axis, the distance in memory between neighbours along it.
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// The position of the first number.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether both use the same list in memory.
    pub fn shares_memory(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.values, &other.values)
    }

    /// The numbers in the order of the shape, copied.
    pub fn to_vec(&self) -> Vec<f32> {
        let count: usize = self.shape.iter().product();
        let mut index = vec![0; self.rank()];
        let mut at = self.offset;
        let mut out = Vec::with_capacity(count);
        for _ in 0..count {
            out.push(self.values[at]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= self.strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
        out
    }

    /// The same numbers in another shape: a view if they are in order in memory, otherwise a copy.
    ///
    /// # Errors
    /// [`Error::Request`] if the shape has another number of values.
    pub fn reshaped(&self, shape: &[usize]) -> Result<Self> {
        if count(shape)? != self.shape.iter().product::<usize>() {
            return Err(Error::Request(format!("shape {:?} cannot become {shape:?}", self.shape)));
        }
        if self.strides == dense(&self.shape) {
            return Ok(Self { strides: dense(shape), shape: shape.to_vec(), ..self.clone() });
        }
        Self::new(self.to_vec(), shape)
    }

    // cell: views
    /// Two axes change places; only their sizes and strides are swapped.
    pub fn transposed(&self, a: usize, b: usize) -> Result<Self> {
        let mut view = self.on_axis(a)?.on_axis(b)?.clone();
        view.shape.swap(a, b);
        view.strides.swap(a, b);
        Ok(view)
    }

    /// A part of one axis: only the offset and the size change.
    pub fn slice(&self, axis: usize, range: Range<usize>) -> Result<Self> {
        let mut view = self.on_axis(axis)?.clone();
        if range.start > range.end || range.end > self.shape[axis] {
            return Err(Error::Request(format!("no part {range:?} of axis {axis} in shape {:?}", self.shape)));
        }
        view.offset += range.start * self.strides[axis];
        view.shape[axis] = range.len();
        Ok(view)
    }

    /// One entry of an axis, which disappears. `t.select(0, 3)` is `t[3]`.
    pub fn select(&self, axis: usize, entry: usize) -> Result<Self> {
        let mut view = self.slice(axis, entry..entry.saturating_add(1))?;
        view.shape.remove(axis);
        view.strides.remove(axis);
        Ok(view)
    }

    /// A new axis of size 1: `t[:, None]`.
    pub fn unsqueezed(&self, axis: usize) -> Result<Self> {
        if axis > self.rank() || self.rank() == MAX_RANK {
            return Err(Error::Request(format!("no new axis {axis} in shape {:?}", self.shape)));
        }
        let mut view = self.clone();
        view.shape.insert(axis, 1);
        view.strides.insert(axis, 0);
        Ok(view)
    }

    /// Stretched to `shape` by the rules of [`broadcast`]: a stride of 0 reads the same number repeatedly.
    pub fn expanded(&self, shape: &[usize]) -> Result<Self> {
        count(shape)?;
        if broadcast(&self.shape, shape)? != shape {
            return Err(Error::Request(format!("shape {:?} does not stretch to {shape:?}", self.shape)));
        }
        let new = shape.len() - self.rank();
        let mut strides = vec![0; shape.len()];
        for axis in 0..self.rank() {
            strides[new + axis] = if self.shape[axis] == shape[new + axis] { self.strides[axis] } else { 0 };
        }
        Ok(Self { shape: shape.to_vec(), strides, ..self.clone() })
    }
    // end

    /// Combines two tensors number by number, after broadcasting.
    ///
    /// # Errors
    /// [`Error::Request`] if the shapes do not fit.
    pub fn zip(&self, other: &Self, combine: impl Fn(f32, f32) -> f32) -> Result<Self> {
        let shape = broadcast(&self.shape, &other.shape)?;
        let (a, b) = (self.expanded(&shape)?.to_vec(), other.expanded(&shape)?.to_vec());
        Self::new(a.into_iter().zip(b).map(|(a, b)| combine(a, b)).collect(), &shape)
    }

    /// The sum along an axis, which disappears.
    ///
    /// # Errors
    /// [`Error::Request`] if there is no such axis.
    pub fn sum(&self, axis: usize) -> Result<Self> {
        self.on_axis(axis)?;
        let mut shape = self.shape.clone();
        let size = shape.remove(axis);
        let mut sums = vec![0.0; shape.iter().product()];
        for entry in 0..size {
            for (sum, value) in sums.iter_mut().zip(self.select(axis, entry)?.to_vec()) {
                *sum += value;
            }
        }
        Self::new(sums, &shape)
    }

    // cell: matmul-by-broadcasting
    /// The matrix product without a loop: (m, k, 1) times (1, k, n), summed over k.
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        self.unsqueezed(2)?.zip(&other.unsqueezed(0)?, |a, b| a * b)?.sum(1)
    }
    // end

    fn on_axis(&self, axis: usize) -> Result<&Self> {
        if axis < self.rank() {
            return Ok(self);
        }
        Err(Error::Request(format!("no axis {axis} in a tensor of rank {}", self.rank())))
    }
}

/// The number of values of a shape, checked against the limits.
fn count(shape: &[usize]) -> Result<usize> {
    if shape.len() > MAX_RANK {
        return Err(Error::Request(format!("shape {shape:?} has {} axes; at most {MAX_RANK} here", shape.len())));
    }
    let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    count
        .filter(|&count| count <= MAX_NUMBERS)
        .ok_or_else(|| Error::Request(format!("shape {shape:?} has more than {MAX_NUMBERS} numbers")))
}

/// The strides of numbers that are contiguous in order.
fn dense(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::super::testing::{matrix, reference_product};
    use super::*;

    #[test]
    fn ranks_0_to_4_have_shape_and_strides() {
        for (shape, strides) in [
            (vec![], vec![]),
            (vec![5], vec![1]),
            (vec![2, 3], vec![3, 1]),
            (vec![4, 2, 3], vec![6, 3, 1]),
            (vec![2, 4, 2, 3], vec![24, 6, 3, 1]),
        ] {
            let t = Tensor::arange(&shape).expect("small");
            assert_eq!((t.rank(), t.shape(), t.strides()), (shape.len(), &shape[..], &strides[..]));
            let last: Vec<usize> = shape.iter().map(|size| size - 1).collect();
            assert_eq!(t.at(&last).expect("the last"), t.to_vec().len() as f32 - 1.0);
        }
        assert!(Tensor::arange(&[1; 5]).is_err(), "rank 5");
        assert!(Tensor::arange(&[usize::MAX, 2]).is_err() && Tensor::arange(&[1 << 20, 1 << 20]).is_err());
    }

    #[test]
    fn views_share_memory_and_read_the_right_numbers() {
        let t = Tensor::arange(&[2, 3, 4]).expect("small");
        let turned = t.transposed(0, 2).expect("axes");
        assert_eq!((turned.shape(), turned.strides()), (&[4, 3, 2][..], &[1, 4, 12][..]));
        assert_eq!(turned.at(&[3, 1, 1]).expect("inside"), t.at(&[1, 1, 3]).expect("inside"));
        let part = t.slice(1, 1..3).expect("inside").select(0, 1).expect("inside");
        assert_eq!(part.to_vec(), [16., 17., 18., 19., 20., 21., 22., 23.]);
        assert!(turned.shares_memory(&t) && part.shares_memory(&t));
        assert!(t.reshaped(&[6, 4]).expect("24").shares_memory(&t));
        let copied = turned.reshaped(&[24]).expect("24");
        assert!(!copied.shares_memory(&t), "numbers out of order are copied");
        assert_eq!(copied.to_vec()[..4], [0., 12., 4., 16.]);
    }

    /// The table of numpy's manual ("Broadcasting", general rules).
    #[test]
    fn broadcasting_follows_numpy() {
        for (a, b, result) in [
            (vec![256, 256, 3], vec![3], vec![256, 256, 3]),
            (vec![8, 1, 6, 1], vec![7, 1, 5], vec![8, 7, 6, 5]),
            (vec![5, 4], vec![1], vec![5, 4]),
            (vec![5, 4], vec![4], vec![5, 4]),
            (vec![15, 3, 5], vec![15, 1, 5], vec![15, 3, 5]),
            (vec![15, 3, 5], vec![3, 1], vec![15, 3, 5]),
            (vec![], vec![2, 2], vec![2, 2]),
            (vec![0], vec![1], vec![0]),
        ] {
            assert_eq!(broadcast(&a, &b).expect("fits"), result);
            assert_eq!(broadcast(&b, &a).expect("fits"), result);
        }
        for (a, b) in [(vec![3], vec![4]), (vec![2, 1], vec![8, 4, 3])] {
            assert!(broadcast(&a, &b).expect_err("refused").to_string().contains("do not fit"));
        }
    }

    #[test]
    fn a_row_or_a_column_is_added_to_each() {
        let m = Tensor::arange(&[2, 3]).expect("small");
        let row = Tensor::new(vec![10., 20., 30.], &[3]).expect("3");
        let sum = m.zip(&row, |a, b| a + b).expect("fits");
        assert_eq!(sum.to_vec(), [10., 21., 32., 13., 24., 35.]);
        let column = Tensor::new(vec![100., 200.], &[2]).expect("2").unsqueezed(1).expect("rank 2");
        let sum = m.zip(&column, |a, b| a + b).expect("fits");
        assert_eq!(sum.to_vec(), [100., 101., 102., 203., 204., 205.]);
        assert_eq!(column.expanded(&[2, 3]).expect("stretches").strides(), [1, 0]);
        assert_eq!(m.sum(0).expect("axis").to_vec(), [3., 5., 7.]);
        assert_eq!(m.sum(1).expect("axis").to_vec(), [3., 12.]);
    }

    #[test]
    fn matmul_by_broadcasting_is_the_product() {
        let (a, b) = (matrix(7, 5, 1), matrix(5, 3, 2));
        let tensor = |m: &super::super::Matrix| Tensor::new(m.values().to_vec(), &m.shape()).expect("fits");
        let found = tensor(&a).matmul(&tensor(&b)).expect("fits");
        assert_eq!(found.shape(), [7, 3]);
        for (found, expected) in found.to_vec().iter().zip(reference_product(&a, &b)) {
            assert!((f64::from(*found) - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let t = Tensor::arange(&[2, 3]).expect("small");
        let words = |e: Result<Tensor>| e.expect_err("refused").to_string();
        assert!(words(t.transposed(0, 2)).contains("no axis 2"));
        assert!(words(t.slice(1, 2..4)).contains("no part 2..4 of axis 1"));
        assert!(words(t.select(0, usize::MAX)).contains("no part"));
        assert!(words(t.reshaped(&[4])).contains("cannot become [4]"));
        assert!(words(t.expanded(&[2])).contains("[2, 3]"));
        assert!(t.at(&[0]).is_err() && t.at(&[2, 0]).is_err());
    }
}
