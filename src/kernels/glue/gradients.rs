//! The derivatives of our operations.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};

use super::*;

#[derive(Debug)]
struct Convolve;
#[derive(Debug)]
struct Normalise;

#[derive(Debug)]
struct Geglu;

impl<B: Kernels> Backward<B, 1> for Geglu {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            gradients.register::<B>(node.id, B::geglu_backward(ops.state, dy));
        }
    }
}

impl<B: Kernels> Backward<B, 3> for Convolve {
    type State = (FloatTensor<B>, FloatTensor<B>, Conv2dSizes);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<B>(&ops.node);
        let (x, weight, sizes) = ops.state;
        let (dx, dw, db) = B::convolve_backward(x, weight, dy, sizes);
        for (node, gradient) in ops.parents.into_iter().zip([dx, dw, db]) {
            if let Some(node) = node {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Kernels> Backward<B, 3> for Normalise {
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, GroupNormSizes);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<B>(&ops.node);
        let (x, weight, bias, sizes) = ops.state;
        let (dx, dw, db) = B::normalise_backward(x, weight, bias, dy, sizes);
        for (node, gradient) in ops.parents.into_iter().zip([dx, dw, db]) {
            if let Some(node) = node {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        sizes: Conv2dSizes,
    ) -> FloatTensor<Self> {
        let ((x, x_node), (weight, weight_node), (bias, bias_node)) =
            (x.into_parts(), weight.into_parts(), bias.into_parts());
        match Convolve.prepare::<C>([x_node, weight_node, bias_node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish((x.clone(), weight.clone(), sizes), B::convolve(x, weight, bias, sizes))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::convolve(x, weight, bias, sizes)),
        }
    }

    fn normalise(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        sizes: GroupNormSizes,
    ) -> FloatTensor<Self> {
        let ((x, x_node), (weight, weight_node), (bias, bias_node)) =
            (x.into_parts(), weight.into_parts(), bias.into_parts());
        match Normalise.prepare::<C>([x_node, weight_node, bias_node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let state = (x.clone(), weight.clone(), bias.clone(), sizes);
                prep.finish(state, B::normalise(x, weight, bias, sizes))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::normalise(x, weight, bias, sizes)),
        }
    }

    fn geglu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        match Geglu.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(x.clone(), B::geglu(x)),
            OpsKind::UnTracked(prep) => prep.finish(B::geglu(x)),
        }
    }
}
