//! Pictures of digits with their labels: the two files of MNIST, or of `fourstep digits`, as a matrix and a list.

use std::io::Read;

use super::Idx;
use crate::foundations::Matrix;
use crate::{Error, Result};

/// Width and height in pixels.
pub const SIDE: usize = 28;
/// Numbers in a picture.
pub const PIXELS: usize = SIDE * SIDE;

/// Pictures, one in each row of 784 numbers from 0 (paper) to 1 (ink), and the digit of each.
#[derive(Clone, Debug)]
pub struct Digits {
    /// n x 784.
    pub images: Matrix,
    /// n digits, 0 to 9.
    pub labels: Vec<u8>,
}

impl Digits {
    /// Reads the first `limit` pictures and labels of two IDX files, gzipped or not. Names are for messages.
    ///
    /// # Errors
    /// [`Error::BadFile`] for files that are not IDX, not 28 x 28, of different lengths, or with a label above 9.
    pub fn read(images: (&str, impl Read), labels: (&str, impl Read), limit: usize) -> Result<Self> {
        let pictures = Idx::open(images.0, images.1)?;
        let answers = Idx::open(labels.0, labels.1)?;
        let bad = |file: &str, reason: String| Err(Error::BadFile { file: file.to_owned(), reason });
        let count = match (pictures.shape(), answers.shape()) {
            (&[_], &[_, _, _]) => return bad(images.0, format!("it has the labels, and {} the pictures", labels.0)),
            (&[n, SIDE, SIDE], &[m]) if n == m => n.min(limit),
            (&[n, SIDE, SIDE], &[m]) => return bad(labels.0, format!("{m} labels for {n} pictures")),
            (&[_, SIDE, SIDE], other) => return bad(labels.0, format!("its shape is {other:?}; labels are one list")),
            (other, _) => return bad(images.0, format!("its shape is {other:?}; pictures of 28 x 28 are needed")),
        };
        let mut values = vec![];
        for_each(pictures, count, |item| values.extend(item.iter().map(|&byte| f32::from(byte) / 255.0)))?;
        let mut given = vec![];
        for_each(answers, count, |item| given.extend(item))?;
        if let Some(at) = given.iter().position(|&label| label > 9) {
            return bad(labels.0, format!("label {at} is {}; digits are 0 to 9", given[at]));
        }
        Ok(Self { images: Matrix::new(count, PIXELS, values)?, labels: given })
    }

    /// The number of pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// Calls `take` for the first `count` items. If the last one of the file is among them, also checks that the file ends
/// there.
fn for_each(mut items: Idx, count: usize, mut take: impl FnMut(&[u8])) -> Result<()> {
    for item in items.by_ref().take(count) {
        take(&item?);
    }
    let whole = count == items.shape()[0];
    items.next().filter(|_| whole).map_or(Ok(()), |item| item.map(drop))
}

#[cfg(test)]
mod tests {
    use super::super::write_idx;
    use super::*;

    fn idx(count: usize, shape: &[usize], byte: u8) -> Vec<u8> {
        let mut bytes = vec![];
        let item = vec![byte; shape.iter().product()];
        write_idx(&mut bytes, count, shape, std::iter::repeat_n(&item[..], count)).expect("memory");
        bytes
    }

    fn read(images: &[u8], labels: &[u8]) -> Result<Digits> {
        Digits::read(("images", images), ("labels", labels), 1000)
    }

    #[test]
    fn reads_pictures_from_0_to_1() {
        let (images, labels) = (idx(5, &[28, 28], 51), idx(5, &[], 7));
        let digits = read(&images, &labels).expect("a good pair");
        assert_eq!((digits.images.shape(), digits.len(), digits.is_empty()), ([5, 784], 5, false));
        assert_eq!((digits.images[(4, 783)], digits.labels[4]), (0.2, 7));
        let two = Digits::read(("images", &images[..]), ("labels", &labels[..]), 2).expect("a part");
        assert_eq!(two.len(), 2);
    }

    #[test]
    fn pairs_that_do_not_fit_are_named() {
        let (images, labels) = (idx(5, &[28, 28], 51), idx(5, &[], 7));
        let words = |images: &[u8], labels: &[u8]| read(images, labels).expect_err("refused").to_string();
        assert!(words(&labels, &images).contains("images: it has the labels"));
        assert!(words(&images, &idx(4, &[], 7)).contains("labels: 4 labels for 5 pictures"));
        assert!(words(&images, &idx(5, &[], 10)).contains("label 0 is 10"));
        assert!(words(&idx(5, &[32, 32], 0), &labels).contains("pictures of 28 x 28 are needed"));
        assert!(words(&images, &images).contains("labels are one list"));
        assert!(words(&images[..images.len() - 1], &labels).contains("ends after 4"));
        assert!(words(&[&images[..], &[0]].concat(), &labels).contains("goes on after"));
    }
}
