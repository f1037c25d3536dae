//! UNets of reduced networks predict what diffusers predicts (`tests/reference/reduced_golden.py`): other numbers of transformer layers for
//! each block and on the way up, one residual block in the middle, or nothing there.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use fourstep::models::{AddedConditions, UNet2DConditionModel, parse};
use fourstep::weights::{self, Checkpoint};

const BOUND: f64 = 1e-4;

#[test]
fn reduced_networks_predict_what_diffusers_predicts() {
    let device = Device::flex();
    for name in ["segmind", "bk"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/reduced").join(name);
        let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
        let config = parse("config.json", &read("config.json")).unwrap();
        let network = UNet2DConditionModel::new(&config, "config.json", &device).unwrap();
        let (weights, case) = (read("unet.safetensors"), read("case.safetensors"));
        let network = weights::load(network, &Checkpoint::parse(name, &weights).unwrap()).unwrap();
        let case = Checkpoint::parse("case", &case).unwrap();
        let sample = Tensor::<4>::from_data(case.f32("sample").unwrap(), &device);
        let context = Tensor::<3>::from_data(case.f32("context").unwrap(), &device);
        let found = network.forward(sample, &[321.0], context, &AddedConditions::default()).into_data();
        let expected: Vec<f32> = case.f32("prediction").unwrap().iter().collect();
        let square = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>();
        let apart = square(&mut found.iter::<f32>().zip(&expected).map(|(a, b)| a - b));
        let relative = (apart / square(&mut expected.iter().copied())).sqrt();
        println!("{name}: relative L2 {relative:.1e}");
        assert!(relative < BOUND, "{name}: {relative}");
    }
}
