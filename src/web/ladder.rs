//! The top rung of the lesson's ladder: the matrix product by the tensor library that draws the pictures.

use burn::tensor::{Device, Tensor, TensorData};
use wasm_bindgen::prelude::*;

use super::wgpu;
use crate::{Error, Result};

/// Two matrices on a device.
#[wasm_bindgen(js_name = BurnProduct)]
pub struct JsProduct {
    a: Tensor<2>,
    b: Tensor<2>,
}

#[wasm_bindgen(js_class = BurnProduct)]
impl JsProduct {
    /// `a` (rows x inner) and `b` (inner x columns) on `device`: "wgpu" or "cpu".
    pub async fn load(
        device: String,
        a: Vec<f32>,
        b: Vec<f32>,
        inner: usize,
    ) -> std::result::Result<JsProduct, JsError> {
        let device = match device.as_str() {
            "cpu" => Device::flex(),
            "wgpu" => wgpu().await?,
            other => return Err(Error::Request(format!("device = {other}: use wgpu or cpu")).into()),
        };
        if inner == 0 || !a.len().is_multiple_of(inner) || !b.len().is_multiple_of(inner) {
            return Err(Error::Request(format!("{} and {} numbers with {inner} in between", a.len(), b.len())).into());
        }
        let (rows, columns) = (a.len() / inner, b.len() / inner);
        let a = Tensor::from_data(TensorData::new(a, [rows, inner]), &device);
        Ok(Self { a, b: Tensor::from_data(TensorData::new(b, [inner, columns]), &device) })
    }

    /// Multiplies once and brings the result.
    pub async fn run(&self) -> std::result::Result<Vec<f32>, JsError> {
        Ok(self.product().await?)
    }
}

impl JsProduct {
    async fn product(&self) -> Result<Vec<f32>> {
        let product = self.a.clone().matmul(self.b.clone()).into_data_async().await;
        Ok(product.map_err(|error| Error::Device(format!("{error:?}")))?.iter::<f32>().collect())
    }
}
