//! Latents to colours by one small matrix: previews that cost next to nothing, where the decoder takes a step's time.
//!
//! The matrix is fitted by least squares to the decoder's own pictures, made smaller to the latents' size, and is kept
//! in the model's manifest.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::picture::Picture;
use crate::{Error, Result};

/// Keeps the fit sound where two channels say the same, in units of the mean square of a channel.
const RIDGE: f64 = 1e-4;

/// A linear map from the channels of a latent to red, green and blue in [-1, 1].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatentToRgb {
    /// For each channel, its part in red, green and blue.
    pub weights: Vec<[f32; 3]>,
    /// Added to each.
    pub bias: [f32; 3],
}

impl LatentToRgb {
    /// The best map by least squares from `latents` `[n, c, h, w]` to `pictures` `[n, 3, h·f, w·f]`, averaged over
    /// each square of f x f pixels.
    ///
    /// # Errors
    /// [`Error::Device`] if the device does not give its data back; [`Error::Request`] when the numbers do not settle
    /// a map.
    pub async fn fit(latents: Tensor<4>, pictures: Tensor<4>) -> Result<Self> {
        let [n, c, h, w] = latents.dims();
        let f = pictures.dims()[2] / h;
        let (z, p) = (values(latents).await?, values(pictures).await?);
        let mut sums = Normal::new(c + 1);
        let mut row = vec![1.0; c + 1];
        for i in 0..n {
            for (y, x) in (0..h * w).map(|at| (at / w, at % w)) {
                for (channel, value) in row[..c].iter_mut().enumerate() {
                    *value = f64::from(z[((i * c + channel) * h + y) * w + x]);
                }
                let rgb = [0, 1, 2].map(|k| square_mean(&p[(i * 3 + k) * h * w * f * f..], (w * f, f), (x, y)));
                sums.add(&row, rgb);
            }
        }
        let solved = sums.solve().ok_or_else(|| Error::Request("the latents do not settle a linear preview".into()))?;
        let weights = solved[..c].iter().map(|row| row.map(|value| value as f32)).collect();
        Ok(Self { weights, bias: solved[c].map(|value| value as f32) })
    }

    /// Channels of the latents that it takes.
    pub fn channels(&self) -> usize {
        self.weights.len()
    }

    /// A picture of `width` x `height` latents, one pixel each, from their values `[c, height, width]`.
    pub fn picture(&self, latents: &[f32], width: usize, height: usize) -> Picture {
        let size = width * height;
        let mut picture = Picture::filled(width, height, [0; 3]);
        for (p, rgb) in picture.rgb.chunks_exact_mut(3).enumerate() {
            for (k, byte) in rgb.iter_mut().enumerate() {
                let channels = self.weights.iter().enumerate().map(|(c, weights)| weights[k] * latents[c * size + p]);
                *byte = ((channels.sum::<f32>() + self.bias[k] + 1.0) * 127.5).clamp(0.0, 255.0).round() as u8;
            }
        }
        picture
    }

    /// As [`Self::picture`], of the first of `latents` `[n, c, h, w]`.
    ///
    /// # Errors
    /// [`Error::Device`] if the device does not give its data back.
    pub async fn preview(&self, latents: Tensor<4>) -> Result<Picture> {
        let [_, _, height, width] = latents.dims();
        Ok(self.picture(&values(latents).await?, width, height))
    }
}

async fn values(tensor: Tensor<4>) -> Result<Vec<f32>> {
    let data = tensor.into_data_async().await.map_err(|error| Error::Device(format!("{error:?}")))?;
    Ok(data.iter::<f32>().collect())
}

/// Mean over the square of `f` x `f` pixels at (`x`, `y`) in a plane that is `width` pixels wide.
fn square_mean(plane: &[f32], (width, f): (usize, usize), (x, y): (usize, usize)) -> f64 {
    let row = |dy: usize| &plane[(y * f + dy) * width + x * f..][..f];
    (0..f).flat_map(row).map(|value| f64::from(*value)).sum::<f64>() / (f * f) as f64
}

/// The normal equations of a least-squares fit with three right-hand sides.
struct Normal {
    left: Vec<Vec<f64>>,
    right: Vec<[f64; 3]>,
}

impl Normal {
    fn new(n: usize) -> Self {
        Self { left: vec![vec![0.0; n]; n], right: vec![[0.0; 3]; n] }
    }

    fn add(&mut self, row: &[f64], target: [f64; 3]) {
        for (i, a) in row.iter().enumerate() {
            for (sum, b) in self.left[i].iter_mut().zip(row) {
                *sum += a * b;
            }
            for (sum, b) in self.right[i].iter_mut().zip(target) {
                *sum += a * b;
            }
        }
    }

    /// Gauss's elimination; the matrix is symmetric and, with the ridge, positive definite, so that no pivot is sought.
    /// The last unknown, the bias, has no ridge.
    fn solve(mut self) -> Option<Vec<[f64; 3]>> {
        let n = self.right.len();
        for i in 0..n - 1 {
            self.left[i][i] *= 1.0 + RIDGE;
        }
        for i in 0..n {
            let pivot = self.left[i][i];
            if pivot.is_nan() || pivot <= 1e-12 {
                return None;
            }
            for other in (0..n).filter(|&other| other != i) {
                let factor = self.left[other][i] / pivot;
                for k in i..n {
                    self.left[other][k] -= factor * self.left[i][k];
                }
                for k in 0..3 {
                    self.right[other][k] -= factor * self.right[i][k];
                }
            }
        }
        Some((0..n).map(|i| self.right[i].map(|value| value / self.left[i][i])).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn a_linear_decoder_is_found_again() {
        let device = Device::flex();
        let (weights, bias) = (vec![[0.5, -0.2, 0.1], [0.0, 0.3, -0.4]], [0.05, -0.1, 0.2]);
        let z: Vec<f32> = (0..2 * 2 * 4 * 4).map(|i| ((i * 37 % 19) as f32 - 9.0) / 9.0).collect();
        let mut pictures = vec![0.0; 2 * 3 * 8 * 8];
        for (at, value) in pictures.iter_mut().enumerate() {
            let (i, k, y, x) = (at / 192, at / 64 % 3, at / 8 % 8, at % 8);
            let latent = |c: usize| z[((i * 2 + c) * 4 + y / 2) * 4 + x / 2];
            // The four pixels of a square differ, with a mean of nothing.
            let texture = if (x + y) % 2 == 0 { 0.1 } else { -0.1 };
            *value = weights[0][k] * latent(0) + weights[1][k] * latent(1) + bias[k] + texture;
        }
        let latents = Tensor::from_data(TensorData::new(z.clone(), [2, 2, 4, 4]), &device);
        let pictures = Tensor::from_data(TensorData::new(pictures, [2, 3, 8, 8]), &device);
        let fitted = pollster::block_on(LatentToRgb::fit(latents, pictures)).unwrap();
        for (found, wanted) in fitted.weights.iter().flatten().zip(weights.iter().flatten()) {
            assert!((found - wanted).abs() < 1e-3, "{fitted:?}");
        }
        assert!(fitted.bias.iter().zip(bias).all(|(found, wanted)| (found - wanted).abs() < 1e-3), "{fitted:?}");
        let pixel = fitted.picture(&[1.0, -1.0], 1, 1).pixel(0, 0);
        // 0.55, -0.6 and 0.7 of [-1, 1].
        assert_eq!(pixel, [198, 51, 217]);
    }
}
