//! Imagic (Kawar et al., 2022, arXiv 2210.09276): a picture and a sentence go in, and the picture comes out as the sentence says,
//! because the model is fitted to the picture first.
//!
//! 1. [`embedding`]: the embedding e of the target text moves until the model reconstructs the picture with it.
//! 2. The model is fitted around that embedding (section 3.2, equation 4). Here low-rank adapters of the attention move
//!    ([`Adapters`]), not all weights as in the paper: they are small, and are kept with the edit.
//! 3. [`Imagic::draw`]: it draws with embeddings between e and the text's own (equation 5).
//!
//! Where it is known what the picture shows, e begins at that text instead, and moves by the difference of the two texts:
//! e + eta (target - source). What e and the adapters have learned of the picture then stays, also at eta 1, and only what the
//! texts disagree about changes. This is not in the paper.
//!
//! [`Imagic::to_bytes`] keeps an edit in a file.

pub mod embedding;
mod infotext;
mod saved;

use std::ops::ControlFlow;

use burn::module::Module;
use burn::tensor::Tensor;

pub use embedding::OptimizedEmbedding;
pub use saved::{Drawn, SavedEdit};

use crate::edit::fit::drawing::{self, Asked};
use crate::edit::fit::{Adapters, Ended, Reconstruction, StageOptions, StageStep, Text, adapters};
use crate::models::UNet2DConditionModel;
use crate::picture::Picture;
use crate::pipeline::{Pipeline, Settings, StepEvent};
use crate::{Error, Result};

/// What a model is fitted to, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ImagicRequest {
    /// What is edited; its sides are multiples of the autoencoder's scale.
    pub image: Picture,
    /// What it should show.
    pub prompt: String,
    /// What it shows, where that is known.
    pub source_prompt: Option<String>,
    /// What to keep away from; part of the embedding in models that read both texts as one.
    pub negative_prompt: String,
    /// The first stage.
    pub embedding: StageOptions,
    /// The second stage.
    pub adapters: StageOptions,
    /// Of the adapters, 1 to [`adapters::MAX_RANK`].
    pub rank: usize,
}

impl ImagicRequest {
    /// Fewer and longer steps than in the paper (100 of 0.001, then 1,500 of 5e-7 for all weights), whose model is a thousand times
    /// the size of *Stickers*.
    pub fn new(image: Picture, prompt: impl Into<String>, seed: u64) -> Self {
        let embedding = StageOptions { steps: 20, learning_rate: 2e-2, batch: 4, seed };
        let adapters = StageOptions { steps: 30, learning_rate: 4e-3, batch: 4, seed };
        let (prompt, source_prompt, negative_prompt) = (prompt.into(), None, String::new());
        Self { image, prompt, source_prompt, negative_prompt, embedding, adapters, rank: 4 }
    }
}

/// The two stages of fitting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Stage {
    Embedding,
    Adapters,
}

/// An edit that a model was fitted for. The pipeline stays as it was.
pub struct Imagic {
    /// What it should show.
    pub prompt: String,
    /// What the picture shows, where that was known.
    pub source_prompt: Option<String>,
    /// What to keep away from.
    pub negative_prompt: String,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// From the first stage.
    pub embedding: OptimizedEmbedding,
    /// The target text's own embedding, `[tokens, features]`.
    pub target: Tensor<2>,
    /// From the second stage; none where the first was stopped.
    pub adapters: Option<Adapters>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// With the adapters, without autodiff; none for an edit from a file, which draws with the pipeline's own.
    unet: Option<UNet2DConditionModel>,
}

impl Imagic {
    /// The first two stages. When the second is stopped, what it has reached is kept.
    ///
    /// # Errors
    /// [`Error::Request`] for options out of range, a picture of a size that the model does not take, an inpainting network, and
    /// weights in blocks.
    pub async fn fit(
        pipeline: &Pipeline,
        request: &ImagicRequest,
        on_step: &mut impl AsyncFnMut(Stage, StageStep<'_>) -> ControlFlow<()>,
    ) -> Result<Self> {
        let ImagicRequest { image, negative_prompt, embedding: first, adapters: second, .. } = request;
        first.check()?;
        second.check()?;
        let model = |prompt: &str, batch: usize| {
            Reconstruction::new(pipeline, std::slice::from_ref(image), Text { prompt, negative_prompt }, batch)
        };
        let Reconstruction { target, mut warnings, .. } = model(&request.prompt, 1)?;
        let shown = request.source_prompt.as_ref().unwrap_or(&request.prompt);
        let reconstruction = model(shown, first.batch)?;
        let mut draws = first.draws("imagic.embedding", reconstruction.timesteps());
        let mut on_first = async |step: StageStep<'_>| on_step(Stage::Embedding, step).await;
        let embedding = embedding::run(&reconstruction, first, &mut draws, &mut on_first).await?;
        let reconstruction = model(shown, second.batch)?;
        let adapters = match embedding.ended {
            Ended::Stopped => None,
            Ended::Finished | Ended::Diverged => {
                let mut on_second = async |step: StageStep<'_>| on_step(Stage::Adapters, step).await;
                let options = (request.rank, second, "imagic.adapters");
                Some(adapters::run(&reconstruction, &embedding.embedding, options, &mut on_second).await?)
            }
        };
        let unet = reconstruction.unet.valid();
        let unet = match &adapters {
            Some(Adapters { keys, factors, .. }) => adapters::apply(unet, keys, factors),
            None => unet,
        };
        warnings.extend(reconstruction.warnings);
        Ok(Self {
            prompt: request.prompt.clone(),
            source_prompt: request.source_prompt.clone(),
            negative_prompt: negative_prompt.clone(),
            width: image.width,
            height: image.height,
            embedding,
            target,
            adapters,
            warnings,
            unet: Some(unet),
        })
    }

    /// The third stage: a picture drawn with the embedding at `eta` from 0 (the picture, as well as the model was fitted) to 1 (what the
    /// text asks for), from noise that is torch's of `seed`.
    /// Prompts and size in `settings` are not read: the edit has its own. An edit from a file takes a pipeline that was loaded with
    /// its adapters ([`SavedEdit::lora`]).
    ///
    /// # Errors
    /// Those of [`Pipeline::run`]; [`Error::Request`] for an edit that was made with another model.
    pub async fn draw(
        &self,
        pipeline: &Pipeline,
        eta: f64,
        settings: Settings,
        on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
    ) -> Result<Picture> {
        let words = (self.prompt.as_str(), self.negative_prompt.as_str());
        let asked = Asked::new(pipeline, words, [self.width, self.height], settings)?;
        self.check_text(asked.text()).await?;
        drawing::draw(pipeline, asked, self.unet.as_ref(), self.mixed(eta), on_step).await
    }

    /// The embedding between picture and text, `[tokens, features]`.
    fn mixed(&self, eta: f64) -> Tensor<2> {
        let OptimizedEmbedding { embedding, start, .. } = &self.embedding;
        let from = if self.source_prompt.is_some() { start } else { embedding };
        embedding.clone() + (self.target.clone() - from.clone()) * eta
    }

    /// Whether `text` `[tokens, features]`, the model's own embedding of the prompt, is what the edit began from. Blocks of 4 bits
    /// move it by a tenth; another text encoder has nothing in common with it.
    async fn check_text(&self, text: Tensor<2>) -> Result<()> {
        let target = &self.target;
        let shapes = [text.dims(), target.dims()];
        let reason = if shapes[0] != shapes[1] {
            format!("its text has {:?} features, this model's {:?}", shapes[1], shapes[0])
        } else {
            let [apart, size] = [(text - target.clone()).square().sum(), target.clone().square().sum()];
            let ratio = (apart / size).into_data_async().await.expect("a number of the device");
            match ratio.iter::<f32>().next() {
                Some(ratio) if ratio < 0.25 => return Ok(()),
                _ => "this model reads the prompt differently".to_owned(),
            }
        };
        Err(Error::Request(format!("the edit was made with another model: {reason}")))
    }
}

/// What a fit has reached: the picture drawn with `embedding` `[tokens, features]` and, in the second stage, with the factors of the
/// adapters ([`StageStep::values`]).
///
/// # Errors
/// Those of [`Pipeline::run`].
pub async fn reconstruct(
    pipeline: &Pipeline,
    request: &ImagicRequest,
    (embedding, factors): (Tensor<2>, Option<&[Tensor<2>]>),
    settings: Settings,
) -> Result<Picture> {
    let words = (request.prompt.as_str(), request.negative_prompt.as_str());
    let asked = Asked::new(pipeline, words, [request.image.width, request.image.height], settings)?;
    let unet = factors.map(|factors| asked.unet_with(factors));
    let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
    drawing::draw(pipeline, asked, unet.as_ref(), embedding, &mut on_step).await
}
