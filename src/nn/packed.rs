//! The weight of a layer in blocks, instead of floats.

use burn::module::{Module, Param, ParamId};
use burn::tensor::{Device, Int, Shape, Tensor};

use crate::kernels::{BlockFormat, PackedWeight, Packing};

/// A layer's weight in blocks. If it is empty, the layer's floats are used; otherwise it was filled when weights were
/// read.
///
/// So a layer holds the weight that its file has, floats or blocks, and takes no memory for the other.
#[derive(Module, Debug)]
pub struct Packed {
    /// 32-bit words of codes.
    pub codes: Param<Tensor<1, Int>>,
    /// 32-bit words, each with two f16 scales.
    pub scales: Param<Tensor<1, Int>>,
}

impl Packed {
    /// An empty weight, for a layer with floats.
    pub fn none(device: &Device) -> Self {
        Self { codes: empty(device), scales: empty(device) }
    }

    /// The packed weight `[out, in]` or `[out, in, kh, kw]`; `None` if the layer has floats.
    pub fn weight(&self, shape: &Shape) -> Option<PackedWeight> {
        let words = self.codes.lazy_shape()[0];
        if words == 0 {
            return None;
        }
        let (rows, columns) = (shape[0], shape.num_elements() / shape[0]);
        let of = |format| Packing { format, rows, columns };
        let formats = [BlockFormat::Q8_0, BlockFormat::Q4_0];
        let packing = formats.map(of).into_iter().find(|packing| packing.code_words() == words);
        let packing = packing.expect("as many words as one of the formats has");
        Some(PackedWeight { codes: self.codes.val(), scales: self.scales.val(), packing })
    }
}

fn empty(device: &Device) -> Param<Tensor<1, Int>> {
    let zeros = |device: &Device, _| Tensor::zeros([0], device);
    Param::uninitialized(ParamId::new(), zeros, device.clone(), false, Shape::from([0]))
}
