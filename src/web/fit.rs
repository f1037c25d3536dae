//! "Go deeper": a model is fitted to a picture by Imagic. Only in the module that has gradients (`deeper/`).

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use js_sys::{Float32Array, Function, Object, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::request::Asked;
use super::thrown::thrown;
use super::{JsPipeline, now, object, picture};
use crate::edit::fit::StageStep;
use crate::edit::imagic::{Drawn, Imagic, ImagicRequest, SavedEdit, Stage, reconstruct};
use crate::pipeline::Settings;
use crate::{Error, Result};

/// An edit that the model was fitted for.
#[wasm_bindgen(js_name = Imagic)]
pub struct JsImagic {
    imagic: Imagic,
    drawn: Drawn,
    /// The model's id, for the infotext.
    model: Option<String>,
}

#[wasm_bindgen(js_class = Pipeline)]
impl JsPipeline {
    /// Fits the model to the request's `image`, for the edit that `prompt` and `edit: { from }` ask for. `on_step` gets `{ stage:
    /// "embedding" | "adapters", index, steps, left, loss, milliseconds, picture? }`, where `left` is the number of steps still to come in
    /// both stages and `picture` what the model makes of the picture by then, in the first step, in every `every`-th and in the
    /// last. It answers whether to go on (a promise of it lets messages in). What is reached when it stops in the second stage is
    /// kept; an edit that stops in the first is an error.
    pub async fn imagic(
        &self,
        request: JsValue,
        on_step: Function,
        every: usize,
    ) -> std::result::Result<JsImagic, JsError> {
        let asked = Asked::parse(&request)?;
        let model = asked.model.clone();
        let (request, drawn) = asked.imagic()?;
        let settings = settings_of(&drawn);
        let (mut trouble, mut embedding, mut began) = (None, None, now());
        let mut watch = async |stage: Stage, step: StageStep<'_>| {
            let milliseconds = now() - began;
            if stage == Stage::Embedding {
                embedding = step.values.first().cloned();
            }
            let fitted = (embedding.clone(), (stage == Stage::Adapters).then_some(step.values));
            let told = self.told(&request, &settings, (stage, &step, milliseconds), fitted, every).await;
            let asked = match told {
                Ok(event) => answer(&on_step, &event).await,
                Err(error) => Err(error),
            };
            began = now();
            match asked {
                Ok(true) => ControlFlow::Continue(()),
                Ok(false) => ControlFlow::Break(()),
                Err(error) => {
                    trouble = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let fitted = Imagic::fit(&self.pipeline, &request, &mut watch).await;
        match (trouble, fitted?) {
            (Some(error), _) => Err(error.into()),
            (None, imagic) if imagic.adapters.is_none() => {
                Err(Error::Stopped { step: imagic.embedding.losses.len() }.into())
            }
            (None, imagic) => Ok(JsImagic { imagic, drawn, model }),
        }
    }
}

impl JsPipeline {
    /// A step's event.
    async fn told(
        &self,
        request: &ImagicRequest,
        settings: &Settings,
        (stage, step, milliseconds): (Stage, &StageStep<'_>, f64),
        (embedding, factors): (Option<Tensor<2>>, Option<&[Tensor<2>]>),
        every: usize,
    ) -> Result<Object> {
        let (name, after) = match stage {
            Stage::Embedding => ("embedding", request.adapters.steps),
            Stage::Adapters => ("adapters", 0),
        };
        let (event, shown) = event(name, step, (after, milliseconds), every)?;
        if let Some(embedding) = embedding.filter(|_| shown) {
            let reached = reconstruct(&self.pipeline, request, (embedding, factors), settings.clone()).await?;
            super::set(&event, "picture", &picture(&reached)?.into())?;
        }
        Ok(event)
    }
}

#[wasm_bindgen(js_class = Imagic)]
impl JsImagic {
    /// An edit from a file, to be drawn by a `pipeline` that was loaded with its adapters (`edit: true`). `model` is that one's id.
    pub fn open(
        pipeline: &JsPipeline,
        name: String,
        bytes: &[u8],
        model: Option<String>,
    ) -> std::result::Result<JsImagic, JsError> {
        let device = pipeline.pipeline.device().clone().inner();
        let SavedEdit { edit, drawn, .. } = SavedEdit::parse(&name, bytes, &device)?;
        Ok(Self { imagic: edit, drawn, model })
    }

    /// What the edit was fitted for, as a request has it: `{ prompt, from, negative_prompt, width, height, seed, steps?,
    /// guidance_scale? }`.
    pub fn request(&self) -> std::result::Result<Object, JsError> {
        let Imagic { prompt, source_prompt, negative_prompt, width, height, .. } = &self.imagic;
        let Drawn { seed, steps, guidance_scale } = &self.drawn;
        Ok(object(&[
            ("prompt", prompt.into()),
            ("from", source_prompt.as_deref().unwrap_or_default().into()),
            ("negative_prompt", negative_prompt.into()),
            ("width", (*width as u32).into()),
            ("height", (*height as u32).into()),
            ("seed", seed.to_string().into()),
            ("steps", steps.map_or(JsValue::UNDEFINED, |steps| (steps as u32).into())),
            ("guidance_scale", guidance_scale.map_or(JsValue::UNDEFINED, |scale| f64::from(scale).into())),
        ])?)
    }

    /// The picture at `eta`, 0 (the given one, as well as the model was fitted) to 1 (what the words ask for), as `{ width, height,
    /// rgba, infotext }`.
    pub async fn draw(&self, pipeline: &JsPipeline, eta: f64) -> std::result::Result<Object, JsError> {
        let mut on_step = async |_: crate::pipeline::StepEvent<'_>| ControlFlow::Continue(());
        let settings = settings_of(&self.drawn);
        let drawn = picture(&self.imagic.draw(&pipeline.pipeline, eta, settings.clone(), &mut on_step).await?)?;
        let model = self.model.as_deref().unwrap_or("unknown");
        let infotext = self.imagic.infotext(&pipeline.pipeline, eta, settings, model)?.with_adapters(&pipeline.labels);
        super::set(&drawn, "infotext", &infotext.to_string().into())?;
        Ok(drawn)
    }

    /// The loss of every step: `{ embedding: Float32Array, adapters: Float32Array }`.
    pub fn losses(&self) -> std::result::Result<Object, JsError> {
        let adapters = self.imagic.adapters.iter().flat_map(|adapters| adapters.losses.iter().copied());
        Ok(object(&[
            ("embedding", Float32Array::from(self.imagic.embedding.losses.as_slice()).into()),
            ("adapters", Float32Array::from(adapters.collect::<Vec<f32>>().as_slice()).into()),
        ])?)
    }

    /// What the user should know.
    pub fn warnings(&self) -> Vec<String> {
        self.imagic.warnings.clone()
    }

    /// The edit as a file, for `fourstep generate --edit`.
    #[wasm_bindgen(js_name = toBytes)]
    pub async fn to_bytes(&self) -> Uint8Array {
        Uint8Array::from(self.imagic.to_bytes(&self.drawn).await.as_slice())
    }
}

/// The event of a step with `after` steps in the stages to come, and whether its picture is shown.
pub(super) fn event(
    stage: &str,
    step: &StageStep<'_>,
    (after, milliseconds): (usize, f64),
    every: usize,
) -> Result<(Object, bool)> {
    let taken = step.index + 1;
    let event = object(&[
        ("stage", stage.into()),
        ("index", (step.index as u32).into()),
        ("steps", (step.steps as u32).into()),
        ("left", ((step.steps - taken + after) as u32).into()),
        ("loss", f64::from(step.loss).into()),
        ("milliseconds", milliseconds.into()),
    ])?;
    Ok((event, step.index == 0 || taken.is_multiple_of(every.max(1)) || taken == step.steps))
}

fn settings_of(drawn: &Drawn) -> Settings {
    let Drawn { seed, steps, guidance_scale } = *drawn;
    Settings { seed, steps, guidance_scale, ..Settings::default() }
}

/// Whether to go on, by the page's function.
pub(super) async fn answer(on_step: &Function, event: &Object) -> Result<bool> {
    let answer = on_step.call1(&JsValue::NULL, event).map_err(|error| thrown(&error))?;
    let answer = JsFuture::from(Promise::resolve(&answer)).await.map_err(|error| thrown(&error))?;
    Ok(answer.is_truthy())
}
