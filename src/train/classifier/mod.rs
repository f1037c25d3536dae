//! A small network that classifies stickers: the thing, its colour, the background, the kind of caption, and the count.
//! The Fréchet distance compares pictures by its features, because networks trained on photographs know little of
//! stickers.

mod run;

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

pub use run::train;

use super::data::push_planes;
use crate::nn::{Activation, Conv2d, GroupNorm, Linear};
use crate::picture::Picture;
use crate::weights::{self, Checkpoint};
use crate::{Error, Result};

/// Halving convolutions, one layer of features, and a linear head for each question.
#[derive(Module, Debug)]
pub struct ClassifierModel {
    /// 3 x 3, stride 2.
    pub conv: Vec<Conv2d>,
    /// One after each convolution.
    pub norm: Vec<GroupNorm>,
    /// From the last feature map; all positions, because position matters.
    pub features: Linear,
    /// Classes: the recipe's concepts; for pairs, the first one.
    pub concept: Linear,
    /// Classes: the palette's colours of the glyph; the first class is none.
    pub colour: Linear,
    /// Classes: the backgrounds; the first class is white, whether the caption names it or not.
    pub background: Linear,
    /// Classes: the kinds of scenes.
    pub kind: Linear,
    /// Classes: the counts, from one.
    pub count: Linear,
}

/// Sizes of a [`ClassifierModel`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Side of the pictures in pixels.
    pub size: usize,
    /// Channels after each convolution, multiples of [`GROUPS`].
    pub widths: Vec<usize>,
    /// Number of features of a picture.
    pub features: usize,
    /// Classes of each head, in the order of [`HEADS`].
    pub classes: [usize; 5],
}

/// The heads' names, as in the weights' file.
pub const HEADS: [&str; 5] = ["concept", "colour", "background", "kind", "count"];
/// Groups of the norms.
pub const GROUPS: usize = 8;

impl ClassifierModel {
    /// The network without values; `size` must be a multiple of 2 to the number of convolutions.
    pub fn new(sizes: &Sizes, device: &Device) -> Self {
        let widths = &sizes.widths;
        let inputs = std::iter::once(3).chain(widths.iter().copied());
        let side = sizes.size >> widths.len();
        let head = |i: usize| Linear::new(sizes.features, sizes.classes[i], device);
        Self {
            conv: inputs.zip(widths).map(|(i, o)| Conv2d::new(i, *o, 3, device).with_stride(2)).collect(),
            norm: widths.iter().map(|width| GroupNorm::new(GROUPS, *width, 1e-5, device)).collect(),
            features: Linear::new(widths.last().unwrap_or(&3) * side * side, sizes.features, device),
            concept: head(0),
            colour: head(1),
            background: head(2),
            kind: head(3),
            count: head(4),
        }
    }

    /// Pictures `[n, 3, size, size]` in [-1, 1] to features `[n, features]`.
    pub fn features(&self, pictures: Tensor<4>) -> Tensor<2> {
        let mut x = pictures;
        for (conv, norm) in self.conv.iter().zip(&self.norm) {
            x = norm.forward_silu(conv.forward(x));
        }
        self.features.forward(x.flatten::<2>(1, 3))
    }

    /// Features to the logits of each head, in the order of [`HEADS`].
    pub fn logits(&self, features: Tensor<2>) -> [Tensor<2>; 5] {
        let x = Activation::Silu.forward(features);
        [&self.concept, &self.colour, &self.background, &self.kind, &self.count].map(|head| head.forward(x.clone()))
    }
}

/// A trained classifier.
pub struct Classifier {
    model: ClassifierModel,
    size: usize,
    device: Device,
}

impl Classifier {
    /// Reads the file that training wrote; the sizes are those of its tensors.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadFile`] for tensors that are no classifier; those of [`weights::load`].
    pub fn read(path: &Path, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let checkpoint = Checkpoint::parse(&path.display().to_string(), &bytes)?;
        let sizes = Sizes::of(&checkpoint)?;
        let model = weights::load(ClassifierModel::new(&sizes, device), &checkpoint)?;
        Ok(Self { model, size: sizes.size, device: device.clone() })
    }

    /// A row of features for each picture.
    ///
    /// # Errors
    /// [`Error::Request`] for pictures of another size than in training.
    pub fn features(&self, pictures: &[Picture]) -> Result<Vec<Vec<f64>>> {
        let mut rows = Vec::with_capacity(pictures.len());
        for some in pictures.chunks(64) {
            let mut planes = Vec::with_capacity(some.len() * 3 * self.size * self.size);
            for picture in some {
                if (picture.width, picture.height) != (self.size, self.size) {
                    let (w, h, size) = (picture.width, picture.height, self.size);
                    let reason = format!("the classifier looks at {size} x {size} pixels, the picture has {w} x {h}");
                    return Err(Error::Request(reason));
                }
                push_planes(picture, &mut planes);
            }
            let input = TensorData::new(planes, [some.len(), 3, self.size, self.size]);
            let features = self.model.features(Tensor::from_data(input, &self.device));
            let width = features.dims()[1];
            let values: Vec<f64> = features.into_data().iter::<f64>().collect();
            rows.extend(values.chunks_exact(width).map(<[f64]>::to_vec));
        }
        Ok(rows)
    }
}

impl Sizes {
    fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let bad = |name: &str| Error::BadFile {
            file: checkpoint.file().to_owned(),
            reason: format!("no classifier's weights: tensor {name} is missing or misshapen"),
        };
        let matrix = |name: &str| match checkpoint.shape(name) {
            Some([rows, columns]) => Ok((*rows, *columns)),
            _ => Err(bad(name)),
        };
        let mut widths = Vec::new();
        while let Some(shape) = checkpoint.shape(&format!("conv.{}.weight", widths.len())) {
            match shape.first() {
                Some(width) if width.is_multiple_of(GROUPS) && *width > 0 && widths.len() < 10 => widths.push(*width),
                _ => return Err(bad("conv.0.weight")),
            }
        }
        let last = *widths.last().ok_or_else(|| bad("conv.0.weight"))?;
        let (features, inputs) = matrix("features.weight")?;
        let side = (inputs as f64 / last as f64).sqrt() as usize;
        if side * side * last != inputs {
            return Err(bad("features.weight"));
        }
        let mut classes = [0; 5];
        for (classes, head) in classes.iter_mut().zip(HEADS) {
            *classes = matrix(&format!("{head}.weight"))?.0;
        }
        Ok(Self { size: side << widths.len(), widths, features, classes })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::train::init;
    use crate::weights::Precision;

    #[test]
    fn a_written_classifier_reads_back_with_its_sizes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("classifier.safetensors");
        let sizes = Sizes { size: 16, widths: vec![8, 16], features: 6, classes: [5, 4, 3, 9, 4] };
        let model = init::initialize(ClassifierModel::new(&sizes, &Device::flex()), 1);
        weights::save(&model, &path, Precision::F32, HashMap::new()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(Sizes::of(&Checkpoint::parse("c", &bytes).unwrap()).unwrap(), sizes);
        let classifier = Classifier::read(&path, &Device::flex()).unwrap();
        let pictures: Vec<Picture> = (0..70u8).map(|i| Picture::filled(16, 16, [i, 2 * i, 255 - i])).collect();
        let rows = classifier.features(&pictures).unwrap();
        assert_eq!((rows.len(), rows[0].len()), (70, 6));
        // The 65th picture is the first of the second batch.
        let alone = &classifier.features(&pictures[64..65]).unwrap()[0];
        assert!(rows[64].iter().zip(alone).all(|(a, b)| (a - b).abs() < 1e-5));
        assert!(rows[64].iter().zip(&rows[0]).any(|(a, b)| (a - b).abs() > 1e-3));
        let wrong = classifier.features(&[Picture::filled(8, 8, [0; 3])]).unwrap_err().to_string();
        assert!(wrong.contains("16 x 16") && wrong.contains("8 x 8"), "{wrong}");
        std::fs::write(&path, &bytes[..100]).unwrap();
        assert!(Classifier::read(&path, &Device::flex()).is_err());
    }
}
