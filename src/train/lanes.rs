//! The gradients of a step's micro-batches. On the processor the micro-batches run side by side, each with a share of
//! the threads. An operation on one thread has no cost for distributing its work, and no thread waits while another
//! runs an operation that is not parallel.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::task::Task;
use crate::{Error, Result};

/// The lanes, one for each micro-batch of a step.
pub struct Lanes {
    /// None if micro-batches run one after another.
    pools: Vec<Option<ThreadPool>>,
}

impl Lanes {
    /// Lanes for `micro_batches`, in parallel if `device` is the CPU.
    ///
    /// # Errors
    /// [`Error::Io`] if a thread cannot be started.
    pub fn new(micro_batches: u64, device: &Device) -> Result<Self> {
        let count = micro_batches as usize;
        let threads = (rayon::current_num_threads() / count).max(1);
        let side_by_side = count > 1 && *device == Device::flex();
        let pool = |_| match side_by_side {
            true => ThreadPoolBuilder::new().num_threads(threads).build().map(Some),
            false => Ok(None),
        };
        let pools = (0..count).map(pool).collect::<std::result::Result<_, _>>();
        let pools = pools.map_err(std::io::Error::other).map_err(Error::io("threads for training"))?;
        Ok(Self { pools })
    }

    /// Mean loss `[1]` and mean gradients over `batches`, one for each lane.
    ///
    /// # Errors
    /// Those of the task.
    pub fn gradients<M, T>(&self, model: &M, task: &T, batches: Vec<T::Batch>) -> Result<(Tensor<1>, GradientsParams)>
    where
        M: Module + Send,
        T: Task<M> + Sync,
    {
        let parts: Vec<Result<_>> = std::thread::scope(|scope| {
            let started: Vec<_> = self
                .pools
                .iter()
                .zip(batches)
                .map(|(pool, batch)| {
                    let model = model.clone();
                    let work = move || gradients(model, task, &batch);
                    match pool {
                        Some(pool) => Lane::Running(scope.spawn(move || pool.install(work))),
                        None => Lane::Done(work()),
                    }
                })
                .collect();
            started.into_iter().map(Lane::finish).collect()
        });
        let count = parts.len() as f64;
        let mut sum: Option<(Tensor<1>, GradientsParams)> = None;
        for part in parts {
            let (loss, gradients) = part?;
            sum = Some(match sum.take() {
                Some((losses, sums)) => (losses + loss, combine(model, sums, gradients, |a, b| a + b)),
                None => (loss, gradients),
            });
        }
        let (loss, gradients) = sum.expect("at least one micro-batch");
        match count {
            1.0 => Ok((loss, gradients)),
            _ => Ok((loss / count, combine(model, gradients, GradientsParams::new(), |sum, _| sum / count))),
        }
    }
}

/// Loss `[1]`, without autodiff, and gradients.
fn gradients<M: Module, T: Task<M>>(model: M, task: &T, batch: &T::Batch) -> Result<(Tensor<1>, GradientsParams)> {
    // Each lane has its own leaves. Lanes that shared them would share one graph, and wait for each other.
    let model = model.map(&mut Leaves);
    let loss = task.loss(&model, batch)?;
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    Ok((loss.inner(), gradients))
}

enum Lane<'scope, R> {
    Running(std::thread::ScopedJoinHandle<'scope, R>),
    Done(R),
}

impl<R> Lane<'_, R> {
    fn finish(self) -> R {
        match self {
            Self::Running(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Self::Done(result) => result,
        }
    }
}

struct Leaves;

impl ModuleMapper for Leaves {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let tracked = value.is_require_grad();
        Param::from_mapped_value(id, Tensor::from_inner(value.inner()).set_require_grad(tracked), mapper)
    }
}

/// Combines the gradients of both with `join`; if `b` lacks one, the first argument is passed twice.
fn combine<M: Module>(
    model: &M,
    a: GradientsParams,
    b: GradientsParams,
    join: impl Fn(Numbers, Numbers) -> Numbers,
) -> GradientsParams {
    let mut visitor = Combine { a, b, join, joined: GradientsParams::new() };
    model.visit(&mut visitor);
    visitor.joined
}

type Numbers = Tensor<1>;

struct Combine<J> {
    a: GradientsParams,
    b: GradientsParams,
    join: J,
    joined: GradientsParams,
}

impl<J: Fn(Numbers, Numbers) -> Numbers> ModuleVisitor for Combine<J> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(a) = self.a.remove::<D>(param.id) else { return };
        let b = self.b.remove::<D>(param.id).unwrap_or_else(|| a.clone());
        let (shape, count) = (a.dims(), a.dims().iter().product::<usize>());
        let joined = (self.join)(a.reshape([count]), b.reshape([count])).reshape(shape);
        self.joined.register::<D>(param.id, joined);
    }
}
