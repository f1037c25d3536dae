//! Tensors of a golden file, and how far off others are.

use std::cell::RefCell;
use std::collections::BTreeSet;

use burn::tensor::{Device, Tensor, TensorData};
use fourstep::weights::Checkpoint;

use super::manifest::{Described, Tensors, Tolerance};
use super::{Failure, Measured};

/// Tensors of a golden file. It remembers which of them were read.
pub struct Golden<'a> {
    file: Checkpoint<'a>,
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Golden<'a> {
    /// Parses a file, whose tensors must be those of its manifest.
    pub fn parse(name: &str, bytes: &'a [u8], described: &Tensors) -> Result<Self, Failure> {
        let file = Checkpoint::parse(name, bytes)?;
        let held: Tensors = file.keys().map(|key| (key.to_string(), description(&file, key))).collect();
        if held != *described {
            let differs = |key: &&String| held.get(*key) != described.get(*key);
            let first = held.keys().chain(described.keys()).find(differs);
            return Err(format!("{name}: {first:?} is not as the manifest describes it").into());
        }
        Ok(Self { file, read: RefCell::default() })
    }

    pub fn has(&self, name: &str) -> bool {
        self.file.shape(name).is_some()
    }

    pub fn shape(&self, name: &str) -> Result<Vec<usize>, Failure> {
        self.mark(name);
        Ok(self.file.shape(name).ok_or_else(|| format!("the golden {name} is missing"))?.to_vec())
    }

    pub fn values(&self, name: &str) -> Result<Vec<f32>, Failure> {
        self.shape(name)?;
        Ok(self.file.f32(name)?.iter::<f32>().collect())
    }

    pub fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Result<Tensor<D>, Failure> {
        self.shape(name)?;
        Ok(Tensor::from_data(self.file.f32(name)?, device))
    }

    /// The rows of a table of token ids.
    pub fn ids(&self, name: &str) -> Result<Vec<Vec<i64>>, Failure> {
        let row = self.shape(name)?[1];
        Ok(self.file.i64(name)?.chunks(row).map(<[i64]>::to_vec).collect())
    }

    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, Failure> {
        self.shape(name)?;
        Ok(self.file.u8(name)?.to_vec())
    }

    /// Fails where tensors were left unread that are not of `exempt`: beginnings of names, each with the reason.
    pub fn all_read(&self, exempt: &[(&str, &str)]) -> Result<(), Failure> {
        let read = self.read.borrow();
        let unread = |key: &&str| !read.contains(*key) && !exempt.iter().any(|(start, _)| key.starts_with(start));
        let unread: Vec<&str> = self.file.keys().filter(unread).collect();
        match unread.is_empty() {
            true => Ok(()),
            false => Err(format!("tensors that nothing reads: {}", unread.join(", ")).into()),
        }
    }

    fn mark(&self, name: &str) {
        self.read.borrow_mut().insert(name.to_string());
    }
}

fn description(file: &Checkpoint, key: &str) -> Described {
    let dtype = file.dtype(key).map(|dtype| format!("{dtype:?}")).unwrap_or_default();
    let names = [("F16", "float16"), ("F32", "float32"), ("F64", "float64"), ("I64", "int64"), ("U8", "uint8")];
    let named = names.iter().find(|(short, _)| *short == dtype).map(|(_, name)| name.to_string());
    Described { dtype: named.unwrap_or(dtype), shape: file.shape(key).unwrap_or_default().to_vec() }
}

/// Collects comparisons of one case; the worst counts.
pub struct Worst {
    tolerance: f64,
    error: f64,
    problem: Option<String>,
}

impl Worst {
    pub fn new(tolerance: &Tolerance) -> Self {
        Self { tolerance: tolerance.rel_l2, error: 0.0, problem: None }
    }

    /// Compares a tensor with its golden.
    pub fn tensor<const D: usize>(&mut self, golden: &Golden, name: &str, mine: Tensor<D>) -> Result<(), Failure> {
        let (shape, data) = (golden.shape(name)?, mine.into_data());
        match data.shape().to_vec() == shape {
            true => self.values(name, &data, &golden.values(name)?),
            false => self.fail(format!("{name}: shape {:?}, expected {shape:?}", data.shape())),
        }
        Ok(())
    }

    /// Compares numbers with their goldens.
    pub fn values(&mut self, name: &str, mine: &TensorData, golden: &[f32]) {
        self.numbers(name, &mine.iter::<f32>().collect::<Vec<f32>>(), golden);
    }

    /// Compares numbers with their goldens.
    pub fn numbers(&mut self, name: &str, mine: &[f32], golden: &[f32]) {
        if mine.len() != golden.len() {
            return self.fail(format!("{name}: {} numbers, expected {}", mine.len(), golden.len()));
        }
        let error = relative_l2(mine, golden);
        self.error = self.error.max(error);
        if error.is_nan() || error > self.tolerance {
            self.fail(format!("{name}: relative L2 {error:.2e}"));
        }
    }

    /// Records the first problem.
    pub fn fail(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    pub fn outcome(self) -> Result<Measured, Failure> {
        match self.problem {
            Some(problem) => Err(Failure::Wrong(problem)),
            None => Ok(Measured { error: self.error, tolerance: self.tolerance }),
        }
    }
}

/// ‖mine - golden‖ / ‖golden‖ in f64; ‖mine‖ where the golden is 0.
pub fn relative_l2(mine: &[f32], golden: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let difference: f64 = mine.iter().zip(golden).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let size: f64 = golden.iter().map(|b| square(f64::from(*b))).sum();
    if size == 0.0 { difference.sqrt() } else { (difference / size).sqrt() }
}
