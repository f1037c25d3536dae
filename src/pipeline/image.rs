//! Finished pictures as bytes.

use burn::tensor::Tensor;

use crate::{Error, Result};

/// A picture of 8-bit red, green and blue, row by row from the top left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// `height · width · 3` bytes.
    pub rgb: Vec<u8>,
}

impl Image {
    /// Pictures from a decoder's output `[n, 3, height, width]`: round((x/2 + 1/2) · 255), clamped, ties to even as
    /// diffusers' image processor has them.
    ///
    /// # Errors
    /// [`Error::Device`] if the device does not give its data back; [`Error::NotFinite`] never draws a black picture.
    pub async fn from_tensor(decoded: Tensor<4>) -> Result<Vec<Self>> {
        let [n, _, height, width] = decoded.dims();
        let data = decoded.into_data_async().await.map_err(|error| Error::Device(format!("{error:?}")))?;
        let values: Vec<f32> = data.iter::<f32>().collect();
        let size = height * width;
        let picture = |i: usize| {
            let planes = &values[i * 3 * size..(i + 1) * 3 * size];
            let byte = |value: f32| ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8;
            let rgb = (0..size).flat_map(|p| [planes[p], planes[size + p], planes[2 * size + p]].map(byte)).collect();
            Self { width, height, rgb }
        };
        match values.iter().all(|value| value.is_finite()) {
            true => Ok((0..n).map(picture).collect()),
            false => Err(Error::Device("the decoded picture holds values that are not finite".into())),
        }
    }

    /// With an opaque alpha channel, as a canvas takes it.
    pub fn rgba(&self) -> Vec<u8> {
        self.rgb.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect()
    }
}
