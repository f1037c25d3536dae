use burn::module::Module;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::*;
use crate::nn::{Conv2d, Linear};
use crate::weights::{load_with, paths};

#[derive(Module, Debug)]
struct Net {
    to_q: Linear,
    conv: Conv2d,
}

fn net() -> Net {
    let device = Device::flex();
    Net { to_q: Linear::without_bias(2, 2, &device), conv: Conv2d::new(1, 2, 3, &device) }
}

fn file(tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(.., v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn base() -> Vec<u8> {
    file(&[
        ("to_q.weight", &[2, 2], &[1., 2., 3., 4.]),
        ("conv.weight", &[2, 1, 3, 3], &[0.; 18]),
        ("conv.bias", &[2], &[0.; 2]),
    ])
}

fn merged(adapters: &[(&[u8], f32)]) -> crate::Result<Net> {
    let loras: Vec<Lora> = adapters
        .iter()
        .map(|(bytes, weight)| Lora::parse("a.safetensors", bytes, *weight))
        .collect::<crate::Result<_>>()?;
    let targets = paths(&net());
    let updates = loras.iter().map(|lora| lora.updates(Part::Unet, &targets)).collect::<crate::Result<Vec<_>>>()?;
    let base = base();
    load_with(net(), &Checkpoint::parse("base.safetensors", &base)?, &Updates::together(updates))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

#[test]
fn updates_add_up_with_weight_and_alpha() {
    let kohya = file(&[
        ("lora_unet_to_q.lora_down.weight", &[2, 2], &[1., 0., 0., 1.]),
        ("lora_unet_to_q.lora_up.weight", &[2, 2], &[1., 2., 3., 4.]),
        ("lora_unet_to_q.alpha", &[], &[1.]),
    ]);
    let down: Vec<f32> = (0..9).map(|i| i as f32).collect();
    let peft = file(&[
        ("unet.to_q.lora_A.weight", &[1, 2], &[1., 1.]),
        ("unet.to_q.lora_B.weight", &[2, 1], &[10., 20.]),
        ("unet.conv.lora_A.weight", &[1, 1, 3, 3], &down),
        ("unet.conv.lora_B.weight", &[2, 1, 1, 1], &[1., -1.]),
    ]);
    // alpha 1 at rank 2 halves the first; its weight of 2 doubles it again.
    let net = merged(&[(&kohya, 2.0), (&peft, 0.5)]).unwrap();
    assert_eq!(values(net.to_q.weight.val()), [1. + 1. + 5., 2. + 2. + 5., 3. + 3. + 10., 4. + 4. + 10.]);
    let conv = values(net.conv.weight.val());
    assert_eq!((conv[8], conv[17]), (4., -4.));
}

#[test]
fn what_does_not_fit_is_named() {
    let refusal = |tensors: &[(&str, &[usize], &[f32])]| merged(&[(&file(tensors), 1.0)]).unwrap_err().to_string();
    let message = refusal(&[("lora_unet_to_z.lora_down.weight", &[1, 2], &[0.; 2])]);
    assert!(message.contains("a.safetensors") && message.contains("lora_unet_to_z.lora_down.weight"), "{message}");
    let message = refusal(&[("unet.to_q.lora_A.weight", &[1, 2], &[0.; 2])]);
    assert!(message.contains("lora_up of unet.to_q is missing"), "{message}");
    let down: (&str, &[usize], &[f32]) = ("unet.to_q.lora_A.weight", &[1, 3], &[0.; 3]);
    let message = refusal(&[down, ("unet.to_q.lora_B.weight", &[2, 1], &[0.; 2])]);
    assert!(message.contains("unet.to_q.lora_A.weight has shape [1, 3]"), "{message}");
    let down: (&str, &[usize], &[f32]) = ("unet.to_q.lora_A.weight", &[1, 2], &[f32::NAN; 2]);
    let message = refusal(&[down, ("unet.to_q.lora_B.weight", &[2, 1], &[0.; 2])]);
    assert!(message.contains("lora_A.weight holds values that are not finite"), "{message}");
    let te = file(&[("lora_te_a.alpha", &[], &[1.])]);
    let lora = Lora::parse("a.safetensors", &te, 1.0).unwrap();
    assert!(lora.check_parts(&[Part::Unet]).unwrap_err().to_string().contains("lora_te_a.alpha"));
    assert!(Lora::parse("a.safetensors", &te, f32::NAN).is_err());
}
