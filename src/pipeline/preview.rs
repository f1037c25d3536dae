//! Cheap previews: one small matrix turns latents into colours, while the decoder takes as long as a step.
//!
//! The matrix is fitted by least squares to the decoder's own pictures, scaled down to the latents' size. It is stored
//! in the model's manifest. For the published autoencoders of Stable Diffusion others have fitted it.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::models::Vae;
use crate::picture::Picture;
use crate::{Error, Result};

/// Keeps the fit stable if two channels contain the same; in units of the mean square of a channel.
const RIDGE: f64 = 1e-4;
/// For the latents of Stable Diffusion 1.x and 2.x, by torridgristle; this one and the next are from InvokeAI's
/// `step_callback.py` (Apache-2.0).
const ONE_AND_TWO: [[f32; 3]; 4] =
    [[0.3444, 0.1385, 0.0670], [0.1247, 0.4027, 0.1494], [-0.3192, 0.2513, 0.2103], [-0.1307, -0.1874, -0.7445]];
/// For those of XL, by StAlKeR7779.
const XL: [[f32; 3]; 4] =
    [[0.3816, 0.4930, 0.5320], [-0.3753, 0.1631, 0.1739], [0.1770, 0.3588, -0.2048], [-0.4350, -0.2644, -0.4289]];

/// A linear map from the channels of a latent to the channels of the decoder's pictures in [-1, 1]: red, green and blue, or these
/// multiplied by alpha, and alpha.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Matrix")]
pub struct LatentToRgb {
    /// For each channel of a latent, its weight in each of the picture's 3 or 4 channels.
    weights: Vec<Vec<f32>>,
    /// Added to each channel of the picture.
    bias: Vec<f32>,
}

/// The matrix as it is read, with any shape.
#[derive(Deserialize)]
struct Matrix {
    weights: Vec<Vec<f32>>,
    bias: Vec<f32>,
}

impl TryFrom<Matrix> for LatentToRgb {
    type Error = String;

    fn try_from(Matrix { weights, bias }: Matrix) -> std::result::Result<Self, String> {
        let columns = bias.len();
        match (3..=4).contains(&columns) && weights.iter().all(|row| row.len() == columns) {
            true => Ok(Self { weights, bias }),
            false => Err(format!(
                "preview: a bias of {columns} and weights for each channel, all 3 or all 4 long, are needed"
            )),
        }
    }
}

impl LatentToRgb {
    /// The one that was published for an autoencoder's latents, which its scaling factor tells; none for other autoencoders.
    pub fn published(vae: &Vae) -> Option<Self> {
        let Vae::Kl(_, config) = vae else { return None };
        let known = [(0.18215, ONE_AND_TWO), (0.13025, XL)];
        let (_, rows) = known.into_iter().find(|(factor, _)| (config.scaling_factor - factor).abs() < 1e-6)?;
        let fits = vae.latent_channels() == rows.len() && vae.channels() == [3, 3];
        fits.then(|| Self { weights: rows.map(Vec::from).to_vec(), bias: vec![0.0; 3] })
    }

    /// The least-squares fit from `latents` `[n, c, h, w]` to `pictures` `[n, 3 or 4, h·f, w·f]`, which are averaged
    /// over squares of f x f pixels.
    ///
    /// # Errors
    /// [`Error::Device`] if the device does not return its data; [`Error::Request`] if the data do not determine a map.
    pub async fn fit(latents: Tensor<4>, pictures: Tensor<4>) -> Result<Self> {
        let [n, c, h, w] = latents.dims();
        let [_, columns, height, _] = pictures.dims();
        let f = height / h;
        let (z, p) = (values(latents).await?, values(pictures).await?);
        let mut sums = Normal::new(c + 1, columns);
        let mut row = vec![1.0; c + 1];
        for i in 0..n {
            for (y, x) in (0..h * w).map(|at| (at / w, at % w)) {
                for (channel, value) in row[..c].iter_mut().enumerate() {
                    *value = f64::from(z[((i * c + channel) * h + y) * w + x]);
                }
                let plane = |k: usize| &p[(i * columns + k) * h * w * f * f..];
                let pixel: Vec<f64> = (0..columns).map(|k| square_mean(plane(k), (w * f, f), (x, y))).collect();
                sums.add(&row, &pixel);
            }
        }
        let solved = sums.solve().ok_or_else(|| Error::Request("the latents do not settle a linear preview".into()))?;
        let mut rows: Vec<Vec<f32>> =
            solved.iter().map(|row| row.iter().map(|value| *value as f32).collect()).collect();
        let bias = rows.pop().unwrap_or_default();
        Ok(Self { weights: rows, bias })
    }

    /// The number of latent channels that it takes.
    pub fn channels(&self) -> usize {
        self.weights.len()
    }

    /// A picture of `width` x `height` latents, one pixel for each, from their values `[c, height, width]`.
    pub fn picture(&self, latents: &[f32], width: usize, height: usize) -> Picture {
        let size = width * height;
        let value = |k: usize, p: usize| {
            let channels = self.weights.iter().enumerate().map(|(c, weights)| weights[k] * latents[c * size + p]);
            channels.sum::<f32>() + self.bias[k]
        };
        let places = (0..self.bias.len()).flat_map(|k| (0..size).map(move |p| (k, p)));
        let planes: Vec<f32> = places.map(|(k, p)| value(k, p)).collect();
        Picture::from_planes(width, height, &planes)
    }

    /// As [`Self::picture`], for the first of `latents` `[n, c, h, w]`.
    ///
    /// # Errors
    /// [`Error::Request`] for latents with another number of channels; [`Error::Device`] if the device does not return
    /// its data.
    pub async fn preview(&self, latents: Tensor<4>) -> Result<Picture> {
        let [_, channels, height, width] = latents.dims();
        if channels != self.channels() {
            let reason = format!("fourstep.json's preview takes latents of {} channels", self.channels());
            return Err(Error::Request(format!("{reason}, the model's have {channels}: write it again")));
        }
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

/// The normal equations of a least-squares fit, with a right-hand side for each channel of a picture.
struct Normal {
    left: Vec<Vec<f64>>,
    right: Vec<Vec<f64>>,
}

impl Normal {
    fn new(n: usize, sides: usize) -> Self {
        Self { left: vec![vec![0.0; n]; n], right: vec![vec![0.0; sides]; n] }
    }

    fn add(&mut self, row: &[f64], target: &[f64]) {
        for (i, a) in row.iter().enumerate() {
            for (sum, b) in self.left[i].iter_mut().zip(row) {
                *sum += a * b;
            }
            for (sum, b) in self.right[i].iter_mut().zip(target) {
                *sum += a * b;
            }
        }
    }

    /// Gaussian elimination. The matrix is symmetric and, with the ridge, positive definite, so no pivoting is needed.
    /// The last unknown, the bias, has no ridge.
    fn solve(mut self) -> Option<Vec<Vec<f64>>> {
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
                for k in 0..self.right[i].len() {
                    self.right[other][k] -= factor * self.right[i][k];
                }
            }
        }
        let divided = |i: usize| self.right[i].iter().map(|value| value / self.left[i][i]).collect();
        Some((0..n).map(divided).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    /// Fits a map to latents with two channels and their pictures by `weights`.
    fn found_again(weights: [&[f32]; 2], bias: &[f32]) -> LatentToRgb {
        let (device, columns) = (Device::flex(), bias.len());
        let z: Vec<f32> = (0..2 * 2 * 4 * 4).map(|i| ((i * 37 % 19) as f32 - 9.0) / 9.0).collect();
        let mut pictures = vec![0.0; 2 * columns * 8 * 8];
        for (at, value) in pictures.iter_mut().enumerate() {
            let (i, k, y, x) = (at / 64 / columns, at / 64 % columns, at / 8 % 8, at % 8);
            let latent = |c: usize| z[((i * 2 + c) * 4 + y / 2) * 4 + x / 2];
            // The four pixels of a square differ, but their mean is unchanged.
            let texture = if (x + y) % 2 == 0 { 0.1 } else { -0.1 };
            *value = weights[0][k] * latent(0) + weights[1][k] * latent(1) + bias[k] + texture;
        }
        let latents = Tensor::from_data(TensorData::new(z.clone(), [2, 2, 4, 4]), &device);
        let pictures = Tensor::from_data(TensorData::new(pictures, [2, columns, 8, 8]), &device);
        let fitted = pollster::block_on(LatentToRgb::fit(latents, pictures)).unwrap();
        for (found, wanted) in fitted.weights.iter().flatten().zip(weights.into_iter().flatten()) {
            assert!((found - wanted).abs() < 1e-3, "{fitted:?}");
        }
        assert!(fitted.bias.iter().zip(bias).all(|(found, wanted)| (found - wanted).abs() < 1e-3), "{fitted:?}");
        fitted
    }

    #[test]
    fn a_linear_decoder_is_found_again() {
        let fitted = found_again([&[0.5, -0.2, 0.1], &[0.0, 0.3, -0.4]], &[0.05, -0.1, 0.2]);
        let pixel = fitted.picture(&[1.0, -1.0], 1, 1).pixel(0, 0);
        // 0.55, -0.6 and 0.7 of [-1, 1].
        assert_eq!(pixel, [198, 51, 217]);
    }

    #[test]
    fn alpha_is_the_fourth_column() {
        let fitted = found_again([&[0.5, -0.2, 0.1, 0.3], &[0.0, 0.3, -0.4, -0.1]], &[-0.76, -0.1, -0.88, -0.2]);
        // -0.26, -0.6, -0.38 and 0.2 of [-1, 1]: alpha 0.6, and the colours divided by it.
        assert_eq!(fitted.picture(&[1.0, -1.0], 1, 1).rgba(), [157, 85, 132, 153]);
    }

    #[test]
    fn published_autoencoders_have_a_matrix() {
        let of =
            |config: &str| LatentToRgb::published(&Vae::unfilled("vae", config.as_bytes(), &Device::flex()).unwrap());
        let kl = |latent: usize, more: &str| {
            format!(
                r#"{{"_class_name":"AutoencoderKL","in_channels":3,"out_channels":3,"latent_channels":{latent},
                "block_out_channels":[32],"down_block_types":["DownEncoderBlock2D"],"up_block_types":["UpDecoderBlock2D"]{more}}}"#
            )
        };
        let one = of(&kl(4, "")).unwrap();
        assert_eq!((one.channels(), one.picture(&[0.0; 4], 1, 1).pixel(0, 0)), (4, [128, 128, 128]));
        assert_eq!(of(&kl(4, r#","scaling_factor":0.13025"#)).unwrap().weights[0], [0.3816, 0.4930, 0.5320]);
        assert_eq!(of(&kl(4, r#","scaling_factor":0.5"#)), None);
        assert_eq!(of(&kl(16, "")), None);
    }

    #[test]
    fn matrices_of_three_and_four_columns_are_read_and_no_others() {
        let read = |text: &str| serde_json::from_str::<LatentToRgb>(text).map_err(|error| error.to_string());
        for text in [
            r#"{"weights":[[0.5,0.25,1.0],[0.0,1.0,2.0]],"bias":[0.5,0.0,1.0]}"#,
            r#"{"weights":[[0.5,0.25,1.0,2.0]],"bias":[0.5,0.0,1.0,3.0]}"#,
        ] {
            assert_eq!(serde_json::to_string(&read(text).unwrap()).unwrap(), text);
        }
        for text in [r#"{"weights":[[1,2,3,4]],"bias":[1,2,3]}"#, r#"{"weights":[[1,2]],"bias":[1,2]}"#] {
            assert!(read(text).unwrap_err().contains("all 3 or all 4 long"));
        }
        let map = read(r#"{"weights":[[1,2,3]],"bias":[1,2,3]}"#).unwrap();
        let error = pollster::block_on(map.preview(Tensor::zeros([1, 2, 4, 4], &Device::flex()))).unwrap_err();
        assert!(error.to_string().contains("1 channels, the model's have 2"), "{error}");
    }
}
