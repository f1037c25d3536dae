//! Tensors, broadcasting, and the ladder of matrix products.

use wasm_bindgen::prelude::*;

use crate::Thrown;
use crate::foundations::tensor::{self, Tensor};
use crate::foundations::{Matrix, Rung};
use crate::random::stream;

/// A tensor to look at: 0, 1, 2, ... in a shape, and views of it.
#[wasm_bindgen]
pub struct Numbers {
    tensor: Tensor,
    origin: Tensor,
}

#[wasm_bindgen]
impl Numbers {
    /// 0, 1, 2, ... in a shape of rank 0 to 4.
    pub fn arange(shape: Vec<usize>) -> Thrown<Numbers> {
        let tensor = Tensor::arange(&shape)?;
        Ok(Self { origin: tensor.clone(), tensor })
    }

    /// The size of each axis.
    pub fn shape(&self) -> Vec<usize> {
        self.tensor.shape().to_vec()
    }

    /// How far apart neighbours along each axis are in memory.
    pub fn strides(&self) -> Vec<usize> {
        self.tensor.strides().to_vec()
    }

    /// The position of the first number in memory.
    pub fn offset(&self) -> usize {
        self.tensor.offset()
    }

    /// The numbers in the order of the shape.
    pub fn values(&self) -> Vec<f32> {
        self.tensor.to_vec()
    }

    /// Whether it still uses the list that it was made with.
    pub fn is_view(&self) -> bool {
        self.tensor.shares_memory(&self.origin)
    }

    /// The number at an index with one entry for each axis.
    pub fn at(&self, index: Vec<usize>) -> Thrown<f32> {
        Ok(self.tensor.at(&index)?)
    }

    /// A view: "transpose" a b, "slice" axis from to, "select" axis entry, "unsqueeze" axis, "reshape" sizes, "expand" sizes.
    pub fn view(&self, how: &str, arguments: Vec<usize>) -> Thrown<Numbers> {
        let tensor = match (how, &arguments[..]) {
            ("transpose", &[a, b]) => self.tensor.transposed(a, b)?,
            ("slice", &[axis, from, to]) => self.tensor.slice(axis, from..to)?,
            ("select", &[axis, entry]) => self.tensor.select(axis, entry)?,
            ("unsqueeze", &[axis]) => self.tensor.unsqueezed(axis)?,
            ("reshape", sizes) => self.tensor.reshaped(sizes)?,
            ("expand", sizes) => self.tensor.expanded(sizes)?,
            _ => return Err(JsError::new(&format!("{how} does not take the numbers {arguments:?}"))),
        };
        Ok(Self { tensor, origin: self.origin.clone() })
    }

    /// The sum with another tensor, after broadcasting.
    pub fn plus(&self, other: &Numbers) -> Thrown<Numbers> {
        let tensor = self.tensor.zip(&other.tensor, |a, b| a + b)?;
        Ok(Self { origin: tensor.clone(), tensor })
    }

    /// The matrix product by broadcasting.
    pub fn matmul(&self, other: &Numbers) -> Thrown<Numbers> {
        let tensor = self.tensor.matmul(&other.tensor)?;
        Ok(Self { origin: tensor.clone(), tensor })
    }
}

/// The shape that results from broadcasting two shapes.
#[wasm_bindgen]
pub fn broadcast(a: Vec<usize>, b: Vec<usize>) -> Thrown<Vec<usize>> {
    Ok(tensor::broadcast(&a, &b)?)
}

/// The names of the rungs that this module has, the slowest first.
#[wasm_bindgen]
pub fn rungs() -> Vec<String> {
    Rung::ALL.iter().map(|rung| rung.name().to_owned()).collect()
}

/// Two random matrices and their product.
#[wasm_bindgen]
pub struct Product {
    a: Matrix,
    b: Matrix,
    out: Matrix,
}

#[wasm_bindgen]
impl Product {
    /// rows x inner times inner x columns, with numbers from -1 to 1.
    #[wasm_bindgen(constructor)]
    pub fn new(rows: usize, inner: usize, columns: usize, seed: u32) -> Thrown<Product> {
        let most = 1 << 26;
        if [rows, inner, columns].contains(&0) {
            return Err(JsError::new("a matrix needs at least one row and one column"));
        }
        let too_large = |a: usize, b: usize| a.checked_mul(b).is_none_or(|numbers| numbers > most);
        if too_large(rows, inner) || too_large(inner, columns) || too_large(rows, columns) {
            return Err(JsError::new(&format!("a matrix here has at most {most} numbers")));
        }
        let draw = |rows: usize, columns: usize, which| {
            let mut generator = stream(seed.into(), "factors", which);
            Matrix::from_fn(rows, columns, |_, _| generator.next_u32() as f32 / (1u32 << 31) as f32 - 1.0)
        };
        Ok(Self { a: draw(rows, inner, 0), b: draw(inner, columns, 1), out: Matrix::zeros(0, 0) })
    }

    /// Two given matrices: `a` (rows x inner) and `b` (inner x columns), row after row.
    pub fn of(a: Vec<f32>, b: Vec<f32>, inner: usize) -> Thrown<Product> {
        if inner == 0 {
            return Err(JsError::new("a matrix needs at least one row and one column"));
        }
        let (rows, columns) = (a.len() / inner, b.len() / inner);
        Ok(Self { a: Matrix::new(rows, inner, a)?, b: Matrix::new(inner, columns, b)?, out: Matrix::zeros(0, 0) })
    }

    /// Multiplies once.
    pub fn run(&mut self, rung: &str) -> Thrown<()> {
        self.out = Rung::named(rung)?.multiply(&self.a, &self.b)?;
        Ok(())
    }

    /// The largest difference between `out` (or the last product, if it is empty) and the product in float64, over at
    /// most 64 evenly spread rows.
    pub fn error(&self, out: &[f32]) -> Thrown<f64> {
        let out = if out.is_empty() { self.out.values() } else { out };
        let [rows, inner] = self.a.shape();
        let columns = self.b.columns();
        if out.len() != rows * columns {
            return Err(JsError::new(&format!("{} numbers for a product of {rows} x {columns}", out.len())));
        }
        let mut largest = 0.0f64;
        for i in (0..rows).step_by(rows.div_ceil(64)) {
            for j in 0..columns {
                let exact: f64 = (0..inner).map(|k| f64::from(self.a[(i, k)]) * f64::from(self.b[(k, j)])).sum();
                largest = largest.max((f64::from(out[i * columns + j]) - exact).abs());
            }
        }
        Ok(largest)
    }

    /// The last product, row after row.
    pub fn out(&self) -> Vec<f32> {
        self.out.values().to_vec()
    }

    /// The first matrix, row after row.
    pub fn a(&self) -> Vec<f32> {
        self.a.values().to_vec()
    }

    /// The second matrix.
    pub fn b(&self) -> Vec<f32> {
        self.b.values().to_vec()
    }
}

/// Draws `n` numbers and drops them, for timing: "wichmann-hill", "mt19937" or "philox".
#[wasm_bindgen]
pub fn draw_and_drop(generator: &str, seed: u64, n: usize) -> Thrown<f32> {
    Ok(crate::chance::by_name(generator, seed)?.rand(n).iter().sum())
}
