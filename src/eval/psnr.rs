//! What an autoencoder loses: peak signal-to-noise ratio of encoding and decoding.

use burn::tensor::{Tensor, TensorData};

use super::Reconstruction;
use crate::Result;
use crate::picture::Picture;
use crate::pipeline::Pipeline;

/// 10 · log10(255² / mse) in decibels, for a mean squared error of 8-bit values; infinite without error.
pub fn psnr(mse: f64) -> f64 {
    10.0 * (255.0 * 255.0 / mse).log10()
}

/// Every picture through encoder and decoder, compared as 8-bit RGB. All pictures are of one size, a multiple of
/// the autoencoder's scale. `progress` is told how many are done.
///
/// # Errors
/// As [`Picture::from_tensor`].
pub fn reconstruction(
    pipeline: &Pipeline,
    pictures: &[(String, Picture)],
    batch: usize,
    mut progress: impl FnMut(usize),
) -> Result<Reconstruction> {
    let mut errors = Vec::with_capacity(pictures.len());
    for some in pictures.chunks(batch.max(1)) {
        let originals: Vec<&Picture> = some.iter().map(|(_, picture)| picture).collect();
        let decoded = pipeline.decode(pipeline.encode(tensor(pipeline, &originals)));
        let images = pollster::block_on(Picture::from_tensor(decoded))?;
        errors
            .extend(originals.iter().zip(images).map(|(original, image)| mean_square_error(&original.rgb, &image.rgb)));
        progress(errors.len());
    }
    Ok(summary(pictures, &errors))
}

/// Pictures of one size encoded and decoded again.
///
/// # Errors
/// As [`Picture::from_tensor`].
pub fn through(pipeline: &Pipeline, pictures: &[Picture], batch: usize) -> Result<Vec<Picture>> {
    let mut decoded = Vec::with_capacity(pictures.len());
    for some in pictures.chunks(batch.max(1)) {
        let some: Vec<&Picture> = some.iter().collect();
        let tensor = pipeline.decode(pipeline.encode(tensor(pipeline, &some)));
        decoded.extend(pollster::block_on(Picture::from_tensor(tensor))?);
    }
    Ok(decoded)
}

fn summary(pictures: &[(String, Picture)], errors: &[f64]) -> Reconstruction {
    let n = errors.len() as f64;
    let worst = (0..errors.len()).max_by(|a, b| errors[*a].total_cmp(&errors[*b]));
    Reconstruction {
        pictures: errors.len(),
        mean_psnr_db: errors.iter().map(|mse| psnr(*mse)).sum::<f64>() / n,
        psnr_of_mean_db: psnr(errors.iter().sum::<f64>() / n),
        worst_psnr_db: worst.map_or(f64::INFINITY, |i| psnr(errors[i])),
        worst: worst.map_or(String::new(), |i| pictures[i].0.clone()),
    }
}

/// `[n, 3, height, width]` in [-1, 1].
fn tensor(pipeline: &Pipeline, pictures: &[&Picture]) -> Tensor<4> {
    let (height, width) = (pictures[0].height, pictures[0].width);
    let plane = |picture: &Picture, c: usize| picture.rgb.iter().skip(c).step_by(3).copied().collect::<Vec<u8>>();
    let planes = pictures.iter().flat_map(|picture| (0..3).flat_map(|c| plane(picture, c)));
    let values: Vec<f32> = planes.map(|byte| f32::from(byte) / 127.5 - 1.0).collect();
    Tensor::from_data(TensorData::new(values, [pictures.len(), 3, height, width]), pipeline.device())
}

fn mean_square_error(a: &[u8], b: &[u8]) -> f64 {
    let square = |(a, b): (&u8, &u8)| (f64::from(*a) - f64::from(*b)).powi(2);
    a.iter().zip(b).map(square).sum::<f64>() / a.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_decibels() {
        assert_eq!(psnr(255.0 * 255.0), 0.0);
        assert!((psnr(650.25) - 20.0).abs() < 1e-12);
        assert!((psnr(1.0) - 48.130_803_608_679_1).abs() < 1e-9);
        assert_eq!(psnr(0.0), f64::INFINITY);
        assert_eq!(mean_square_error(&[0, 255, 7], &[3, 255, 7]), 3.0);
    }

    #[test]
    fn the_mean_of_decibels_is_not_the_decibels_of_the_mean() {
        let pictures = ["good", "bad"].map(|name| (name.to_owned(), Picture::filled(1, 1, [0; 3])));
        let summary = summary(&pictures, &[6.5025, 650.25]);
        assert!((summary.mean_psnr_db - 30.0).abs() < 1e-9);
        assert!((summary.psnr_of_mean_db - 22.967_086_218_813_4).abs() < 1e-9, "{}", summary.psnr_of_mean_db);
        assert_eq!((summary.worst.as_str(), summary.pictures), ("bad", 2));
        assert!((summary.worst_psnr_db - 20.0).abs() < 1e-9);
    }
}
