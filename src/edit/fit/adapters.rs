//! Low-rank adapters of a UNet's attention (LoRA: Hu et al., 2021), fitted while its own weights stay. A file keeps them in the names
//! of diffusers, so that other programs open them.

use std::ops::ControlFlow;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};

use super::descend::{Draw, Ended, StageOptions, StageStep, descend};
use super::reconstruction::Reconstruction;
use crate::models::UNet2DConditionModel;
use crate::random::{Generator, stream};
use crate::weights::{KeyPath, Matrix, Part, Wanted, wanted};
use crate::{Error, Result};

/// Largest rank.
pub const MAX_RANK: usize = 128;

/// Updates of a UNet's weights: weight + up · down for each.
#[derive(Clone)]
pub struct Adapters {
    /// Checkpoint keys of the weights `[out, in]`, in the UNet's order.
    pub keys: Vec<String>,
    /// `down` `[rank, in]` and `up` `[out, rank]` of each, one after the other.
    pub factors: Vec<Tensor<2>>,
    /// Before each step.
    pub losses: Vec<f32>,
    /// Why the fitting ended.
    pub ended: Ended,
}

impl Adapters {
    /// As a file keeps them, under diffusers' keys: `unet.<layer>.lora_A.weight` is `down`, `lora_B` is `up`, without an alpha, so
    /// that the scale is 1.
    pub async fn matrices(&self) -> Vec<Matrix> {
        let mut matrices = Vec::with_capacity(self.factors.len());
        for (i, factor) in self.factors.iter().enumerate() {
            let layer = self.keys[i / 2].strip_suffix(".weight").unwrap_or(&self.keys[i / 2]);
            let half = if i % 2 == 0 { "lora_A" } else { "lora_B" };
            matrices.push(Matrix::read(format!("{}.{layer}.{half}.weight", Part::Unet.folder()), factor.clone()).await);
        }
        matrices
    }
}

/// `unet` with the updates; those and the weights are on the same device, with or without autodiff.
pub(in crate::edit) fn apply(
    unet: UNet2DConditionModel,
    keys: &[String],
    factors: &[Tensor<2>],
) -> UNet2DConditionModel {
    unet.map(&mut Apply { keys, factors, path: KeyPath::default() })
}

struct Apply<'a> {
    keys: &'a [String],
    factors: &'a [Tensor<2>],
    path: KeyPath,
}

impl ModuleMapper for Apply<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let key = self.path.key();
        let Some(i) = self.keys.iter().position(|one| *one == key) else { return param };
        let [down, up] = [2 * i, 2 * i + 1].map(|i| self.factors[i].clone());
        let weight = param.val();
        let shape = weight.dims();
        Param::initialized(param.id, weight + up.matmul(down).reshape(shape))
    }
}

/// Fits adapters of `rank` with an `embedding` that stays; `name` is that of the random streams.
pub(in crate::edit) async fn run(
    model: &Reconstruction,
    embedding: &Tensor<2>,
    (rank, options, name): (usize, &StageOptions, &str),
    on_step: &mut impl AsyncFnMut(StageStep<'_>) -> ControlFlow<()>,
) -> Result<Adapters> {
    let (keys, start) = start(&model.unet, rank, (options.seed, name))?;
    let context = embedding.clone().autodiff();
    let loss = |leaves: &[Tensor<2>], step, draw: Draw| {
        model.loss(&apply(model.unet.clone(), &keys, leaves), context.clone(), step, draw)
    };
    let mut draws = options.draws(name, model.timesteps());
    let ended = descend(start, options, |step| draws(step, model.numbers()), loss, on_step).await?;
    Ok(Adapters { keys, factors: ended.values, losses: ended.losses, ended: ended.ended })
}

/// The keys of the weights that adapters are for, in the UNet's order.
pub(in crate::edit) fn keys(unet: &UNet2DConditionModel) -> Vec<String> {
    adapted(unet).map(|weight| weight.name).collect()
}

fn adapted(unet: &UNet2DConditionModel) -> impl Iterator<Item = Wanted> {
    let attends = |name: &str| name.contains(".attn1.") || name.contains(".attn2.");
    wanted(unet).into_iter().filter(move |weight| weight.layer && attends(&weight.name))
}

/// Keys, and factors whose products are 0: `down` is normal with deviation 1 / rank, as in diffusers, `up` is 0.
fn start(unet: &UNet2DConditionModel, rank: usize, (seed, name): (u64, &str)) -> Result<(Vec<String>, Vec<Tensor<2>>)> {
    if !(1..=MAX_RANK).contains(&rank) {
        return Err(Error::Request(format!("rank = {rank}: use 1 to {MAX_RANK}")));
    }
    let device = unet.conv_in.weight.val().inner().device();
    let (mut keys, mut factors) = (Vec::new(), Vec::new());
    for (i, weight) in adapted(unet).enumerate() {
        let (rows, columns) = (weight.shape[0], weight.shape[1]);
        let mut down = stream(seed, name, i as u64).randn(rank * columns);
        down.iter_mut().for_each(|x| *x /= rank as f32);
        factors.push(Tensor::from_data(TensorData::new(down, [rank, columns]), &device));
        factors.push(Tensor::zeros([rows, rank], &device));
        keys.push(weight.name);
    }
    match keys.is_empty() {
        true => Err(Error::Request("adapters are for attention, which this model does not have".into())),
        false => Ok((keys, factors)),
    }
}
