//! Data: IDX files, lists, and Python's iterators.

use js_sys::{Array, Float32Array, JsString};
use wasm_bindgen::prelude::*;

use crate::Thrown;
use crate::foundations::data::{Digits, Idx, lists};

/// Pictures of digits and their labels.
#[wasm_bindgen]
pub struct Pictures {
    pub(crate) digits: Digits,
}

#[wasm_bindgen]
impl Pictures {
    /// The first `limit` pictures of two IDX files, gzipped or not; the names are for messages.
    pub fn read(images_name: &str, images: &[u8], labels_name: &str, labels: &[u8], limit: usize) -> Thrown<Pictures> {
        Ok(Self { digits: Digits::read((images_name, images), (labels_name, labels), limit)? })
    }

    /// The number of pictures.
    pub fn count(&self) -> usize {
        self.digits.len()
    }

    /// The pictures from `from` up to `to`, with their labels.
    pub fn part(&self, from: usize, to: usize) -> Thrown<Pictures> {
        if from >= to || to > self.count() {
            return Err(JsError::new(&format!("no pictures {from} to {to}: there are {}", self.count())));
        }
        let wanted: Vec<usize> = (from..to).collect();
        let labels = self.digits.labels[from..to].to_vec();
        Ok(Self { digits: Digits { images: self.digits.images.pick(&wanted), labels } })
    }

    /// The first `n` pictures, 784 numbers each, one after the other.
    pub fn pixels(&self, n: usize) -> Vec<f32> {
        self.digits.images.values()[..28 * 28 * n.min(self.count())].to_vec()
    }

    /// Picture `i`: 784 numbers from 0 (paper) to 1 (ink).
    pub fn picture(&self, i: usize) -> Thrown<Vec<f32>> {
        self.check(i)?;
        Ok(self.digits.images.row(i).to_vec())
    }

    /// The digits that the pictures show.
    pub fn labels(&self) -> Vec<u8> {
        self.digits.labels.clone()
    }

    /// `m[(row, column)]` of picture `i` as a matrix.
    pub fn number_at(&self, i: usize, row: usize, column: usize) -> Thrown<f32> {
        self.check(i)?;
        if row >= 28 || column >= 28 {
            return Err(JsError::new(&format!("({row}, {column}): a picture has rows and columns 0 to 27")));
        }
        let picture = self.digits.images.row(i).to_vec();
        Ok(crate::foundations::Matrix::new(28, 28, picture)?[(row, column)])
    }

    fn check(&self, i: usize) -> Thrown<()> {
        let count = self.count();
        if i < count { Ok(()) } else { Err(JsError::new(&format!("no picture {i}: there are 0 to {}", count - 1))) }
    }
}

/// The sizes in an IDX file's header.
#[wasm_bindgen]
pub fn idx_shape(name: &str, bytes: &[u8]) -> Thrown<Vec<usize>> {
    Ok(Idx::open(name, bytes)?.shape().to_vec())
}

/// Item `at` of an IDX file, and how many bytes were decompressed for it: a lazy reader takes no more.
#[wasm_bindgen]
pub fn idx_item(name: &str, bytes: &[u8], at: usize) -> Thrown<Vec<u8>> {
    let mut items = Idx::open(name, bytes)?;
    let count = items.shape()[0];
    let item = items.nth(at).ok_or_else(|| JsError::new(&format!("no item {at}: there are 0 to {}", count - 1)))?;
    Ok(item?)
}

/// A list split into rows of `width`.
#[wasm_bindgen]
pub fn rows(pixels: &[f32], width: usize) -> Thrown<Array> {
    if width == 0 {
        return Err(JsError::new("rows of 0 numbers never end: take a width of 1 or more"));
    }
    Ok(lists::rows(pixels, width).iter().map(|row| Float32Array::from(&row[..])).collect())
}

/// The characters of `text` in pieces of `size`, made with `iter_until` and `islice`.
#[wasm_bindgen]
pub fn chunks(text: &str, size: usize) -> Thrown<Array> {
    if size == 0 {
        return Err(JsError::new("pieces of 0 characters never end: take 1 or more"));
    }
    Ok(lists::chunks(text.chars(), size).map(|piece| JsString::from(piece.iter().collect::<String>())).collect())
}

/// The first `n` numbers of the Fibonacci generator.
#[wasm_bindgen]
pub fn fibonacci(n: usize) -> Vec<u64> {
    lists::fibonacci().take(n).collect()
}
