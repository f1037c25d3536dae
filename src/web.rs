//! The page's exports. For now a check that both devices compute the same numbers in a browser.

use burn::tensor::{Device, Tensor, TensorData, module::conv2d, ops::ConvOptions};
use wasm_bindgen::prelude::*;

/// Runs once when the module is instantiated: panics are shown in the console with their message.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// A device of the page: the CPU (`cpu`) or WebGPU (`webgpu`).
#[wasm_bindgen]
pub struct Engine {
    device: Device,
}

#[wasm_bindgen]
impl Engine {
    /// Acquires the device. Errors: an unknown kind, or no WebGPU adapter.
    pub async fn create(kind: String) -> Result<Engine, JsError> {
        let device = match kind.as_str() {
            "cpu" => Device::flex(),
            "webgpu" => Device::wgpu_options().init_async().await?,
            other => return Err(JsError::new(&format!("unknown device {other}: cpu or webgpu"))),
        };
        Ok(Engine { device })
    }

    /// A 3 x 3 convolution of a `[1, 4, 16, 16]` ramp and a matrix product on top of it: `[8, 16]` numbers, row by row.
    pub async fn check(&self) -> Result<Vec<f32>, JsError> {
        let ramp = |len: usize, period: usize| (0..len).map(|i| (i % period) as f32 / period as f32 - 0.5).collect::<Vec<f32>>();
        let x = Tensor::<4>::from_data(TensorData::new(ramp(1024, 37), [1, 4, 16, 16]), &self.device);
        let w = Tensor::<4>::from_data(TensorData::new(ramp(288, 23), [8, 4, 3, 3]), &self.device);
        let y = conv2d(x, w, None, ConvOptions::new([1, 1], [1, 1], [1, 1], 1)).reshape([8, 256]);
        let m = Tensor::<2>::from_data(TensorData::new(ramp(4096, 19), [256, 16]), &self.device);
        let data = y.matmul(m).into_data_async().await?;
        Ok(data.to_vec::<f32>()?)
    }
}
