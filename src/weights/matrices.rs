//! Small matrices as the bytes of a safetensors file: adapters and edits. (Whole models are written by `save` and `write`.)

use std::collections::HashMap;

use burn::tensor::Tensor;
use safetensors::{Dtype, tensor::TensorView};

/// A matrix under its key, as 32-bit floats.
pub struct Matrix {
    name: String,
    shape: [usize; 2],
    bytes: Vec<u8>,
}

impl Matrix {
    /// Reads the numbers back from the device; an autodiff tensor without its gradients.
    pub async fn read(name: impl Into<String>, tensor: Tensor<2>) -> Self {
        let shape = tensor.dims();
        let data = tensor.into_data_async().await.expect("numbers of the device");
        Self { name: name.into(), shape, bytes: data.iter::<f32>().flat_map(f32::to_le_bytes).collect() }
    }

    /// A row of numbers, `[1, values]`.
    pub fn row(name: impl Into<String>, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { name: name.into(), shape: [1, values.len()], bytes }
    }
}

/// The file, with `metadata` in its header.
pub fn serialize(matrices: &[Matrix], metadata: HashMap<String, String>) -> Vec<u8> {
    let views = matrices.iter().map(|matrix| {
        let view = TensorView::new(Dtype::F32, matrix.shape.to_vec(), &matrix.bytes);
        (matrix.name.as_str(), view.expect("as many bytes as the shape asks for"))
    });
    safetensors::serialize(views, Some(metadata)).expect("matrices of 32-bit floats under different names")
}
