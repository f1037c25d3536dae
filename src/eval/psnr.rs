//! What an autoencoder loses: the peak signal-to-noise ratio of encoding and decoding, and how well transparency is
//! preserved.
//!
//! Pictures with alpha are compared on mid-grey, where light and dark edges count equally.

use burn::tensor::{Tensor, TensorData};

use super::Reconstruction;
use crate::picture::{Picture, WHITE};
use crate::pipeline::Pipeline;
use crate::{Error, Result};

/// 10 · log10(255² / mse) in decibels, for a mean squared error of 8-bit values; infinite for 0.
pub fn psnr(mse: f64) -> f64 {
    10.0 * (255.0 * 255.0 / mse).log10()
}

/// Encodes and decodes every picture and compares 8-bit colours. All pictures have one size, a multiple of the
/// autoencoder's scale; a model without alpha sees transparent pictures on white. `progress` gets the number of
/// finished pictures.
///
/// # Errors
/// As [`decoded`].
pub fn reconstruction(
    pipeline: &Pipeline,
    pictures: &[(String, Picture)],
    batch: usize,
    progress: impl FnMut(usize),
) -> Result<Reconstruction> {
    let originals: Vec<Picture> = pictures.iter().map(|(_, picture)| seen(pipeline, picture)).collect();
    let decoded = decoded(pipeline, &originals, false, batch, progress)?;
    let names = pictures.iter().map(|(name, _)| name.as_str());
    Ok(compared(names.zip(originals.iter().zip(&decoded))))
}

/// A picture as the model sees it: on white if it has no alpha.
pub fn seen(pipeline: &Pipeline, picture: &Picture) -> Picture {
    if pipeline.channels() == 3 { picture.over(WHITE).into_owned() } else { picture.clone() }
}

/// Encodes and decodes pictures of one size.
///
/// # Errors
/// As [`decoded`].
pub fn through(pipeline: &Pipeline, pictures: &[Picture], batch: usize) -> Result<Vec<Picture>> {
    decoded(pipeline, pictures, false, batch, |_| {})
}

/// Encodes and decodes pictures of one size, `batch` at a time. With `large` it uses the large decoder, and scales the
/// pictures down for the encoder.
///
/// # Errors
/// As [`Picture::from_tensor`]; [`Error::Request`] for sizes that differ or do not fit, and if there is no large
/// decoder.
pub fn decoded(
    pipeline: &Pipeline,
    pictures: &[Picture],
    large: bool,
    batch: usize,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Picture>> {
    let times = if large { pipeline.large()? } else { 1 };
    let mut all = Vec::with_capacity(pictures.len());
    for some in pictures.chunks(batch.max(1)) {
        let small = some.iter().map(|picture| if large { picture.reduced(times) } else { Ok(picture.clone()) });
        let latents = pipeline.encode(tensor(pipeline, &small.collect::<Result<Vec<_>>>()?)?);
        let drawn = if large { pipeline.decode_large(latents)? } else { pipeline.decode(latents) };
        all.extend(pollster::block_on(Picture::from_tensor(drawn))?);
        progress(all.len());
    }
    Ok(all)
}

/// The losses between pairs of a picture and its reconstruction, with the pictures' names.
pub fn compared<'p>(pairs: impl Iterator<Item = (&'p str, (&'p Picture, &'p Picture))>) -> Reconstruction {
    let (mut names, mut errors, mut overlaps, mut transparent) = (Vec::new(), Vec::new(), Vec::new(), false);
    for (name, (original, decoded)) in pairs {
        names.push(name);
        errors.push(mean_square_error(original, decoded));
        overlaps.push(alpha_iou(original, decoded));
        transparent |= original.alpha.is_some() || decoded.alpha.is_some();
    }
    let mean_alpha_iou = transparent.then(|| overlaps.iter().sum::<f64>() / overlaps.len() as f64);
    Reconstruction { mean_alpha_iou, ..summary(&names, &errors) }
}

impl Reconstruction {
    /// A sentence that begins with the number and kind of the pictures ("112 glyphs").
    pub fn sentence(&self, what: &str) -> String {
        let Self { mean_psnr_db, psnr_of_mean_db, worst_psnr_db, worst, .. } = self;
        let alpha = self.mean_alpha_iou.map_or(String::new(), |iou| format!(", mean IoU of alpha {iou:.3}"));
        format!(
            "Autoencoder over {what}: mean PSNR {mean_psnr_db:.1} dB, PSNR of the mean error {psnr_of_mean_db:.1} dB, worst {worst_psnr_db:.1} dB ({worst}){alpha}."
        )
    }
}

fn summary(names: &[&str], errors: &[f64]) -> Reconstruction {
    let n = errors.len() as f64;
    let worst = (0..errors.len()).max_by(|a, b| errors[*a].total_cmp(&errors[*b]));
    Reconstruction {
        pictures: errors.len(),
        mean_psnr_db: errors.iter().map(|mse| psnr(*mse)).sum::<f64>() / n,
        psnr_of_mean_db: psnr(errors.iter().sum::<f64>() / n),
        worst_psnr_db: worst.map_or(f64::INFINITY, |i| psnr(errors[i])),
        worst: worst.map_or(String::new(), |i| names[i].to_owned()),
        mean_alpha_iou: None,
    }
}

/// `[n, channels, height, width]` in [-1, 1].
fn tensor(pipeline: &Pipeline, pictures: &[Picture]) -> Result<Tensor<4>> {
    let (channels, scale) = (pipeline.channels(), pipeline.scale());
    let (height, width) = (pictures[0].height, pictures[0].width);
    let fits = |p: &Picture| (p.height, p.width) == (height, width) && height % scale == 0 && width % scale == 0;
    if let Some(Picture { width, height, .. }) = pictures.iter().find(|picture| !fits(picture)) {
        let reason = format!("a picture of {width} x {height} to be encoded: all need one size, a multiple of {scale}");
        return Err(Error::Request(reason));
    }
    let planes: Vec<f32> = pictures.iter().flat_map(|picture| picture.planes(channels)).collect();
    Ok(Tensor::from_data(TensorData::new(planes, [pictures.len(), channels, height, width]), pipeline.device()))
}

/// Mean square error of the colours as seen on mid-grey, in levels of 0 to 255.
pub fn mean_square_error(a: &Picture, b: &Picture) -> f64 {
    let on_grey = |[r, g, b, alpha]: [u8; 4]| {
        let alpha = f64::from(alpha);
        [r, g, b].map(|level| (f64::from(level) * alpha + 127.5 * (255.0 - alpha)) / 255.0)
    };
    let levels = a.pixels().flat_map(on_grey).zip(b.pixels().flat_map(on_grey));
    levels.map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.rgb.len() as f64
}

/// Intersection over union of the pixels that are more than half opaque; 1 if there are none.
fn alpha_iou(a: &Picture, b: &Picture) -> f64 {
    let (mut both, mut either) = (0, 0);
    for (a, b) in a.pixels().zip(b.pixels()) {
        let (a, b) = (a[3] > 127, b[3] > 127);
        both += usize::from(a && b);
        either += usize::from(a || b);
    }
    if either == 0 { 1.0 } else { both as f64 / either as f64 }
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
        let pixel = |rgb: [u8; 3]| Picture::filled(1, 1, rgb);
        assert_eq!(mean_square_error(&pixel([0, 255, 7]), &pixel([3, 255, 7])), 3.0);
    }

    #[test]
    fn the_mean_of_decibels_is_not_the_decibels_of_the_mean() {
        let summary = summary(&["good", "bad"], &[6.5025, 650.25]);
        assert!((summary.mean_psnr_db - 30.0).abs() < 1e-9);
        assert!((summary.psnr_of_mean_db - 22.967_086_218_813_4).abs() < 1e-9, "{}", summary.psnr_of_mean_db);
        assert_eq!((summary.worst.as_str(), summary.pictures), ("bad", 2));
        assert!((summary.worst_psnr_db - 20.0).abs() < 1e-9);
    }

    /// Two pixels. One loses its colour under zero alpha, which is invisible. Half of the other's white is lost, 102
    /// levels in each channel on mid-grey.
    #[test]
    fn what_is_transparent_is_compared_as_it_is_seen_on_grey() {
        let a = Picture::from_rgba(2, 1, &[255, 0, 0, 0, 255, 255, 255, 255]).unwrap();
        let b = Picture::from_rgba(2, 1, &[0, 0, 0, 0, 255, 255, 255, 51]).unwrap();
        assert!((mean_square_error(&a, &b) - (0.8 * 127.5f64).powi(2) / 2.0).abs() < 1e-9);
        let of = |pairs: [(&str, (&Picture, &Picture)); 2]| compared(pairs.into_iter());
        // The only opaque pixel is lost in the first pair, none in the second.
        assert_eq!(of([("lost", (&a, &b)), ("kept", (&a, &a))]).mean_alpha_iou, Some(0.5));
        let opaque = Picture::filled(2, 1, [9; 3]);
        let same = of([("x", (&opaque, &opaque)), ("y", (&opaque, &opaque))]);
        assert_eq!((same.mean_alpha_iou, same.sentence("2 pictures").contains("IoU")), (None, false));
        // Everything is opaque, where only one of two pixels should be.
        assert_eq!(alpha_iou(&a, &opaque), 0.5);
        assert_eq!(alpha_iou(&b, &b), 1.0);
    }
}
