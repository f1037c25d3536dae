//! A picture taken apart, for the view "How it works".

use std::ops::ControlFlow;

use burn::tensor::{Tensor, TensorData};
use js_sys::{Array, Float32Array, Function, Object, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::request::Asked;
use super::{JsPipeline, floats, object, picture, thrown};
use crate::pipeline::{PromptToken, Request, StepEvent};
use crate::random::{Generator, Mt19937};
use crate::{Error, Result};

/// A drawn picture with all that was on the way.
#[wasm_bindgen(js_name = OpenedPicture)]
pub struct JsOpened {
    request: Request,
    steps: Vec<Step>,
}

struct Step {
    model_input: Tensor<4>,
    v: Tensor<4>,
    latents: Tensor<4>,
    estimate: Tensor<4>,
    timestep: f32,
}

#[wasm_bindgen(js_class = Pipeline)]
impl JsPipeline {
    /// Draws, and keeps what each step had. `on_step` gets `{ index, steps, timestep }` and answers whether to go on.
    pub async fn open(&self, request: JsValue, on_step: Function) -> std::result::Result<JsOpened, JsError> {
        let request = Asked::parse(&request)?.request(&self.pipeline)?;
        let (mut steps, mut trouble) = (Vec::new(), None);
        let mut watch = async |event: StepEvent<'_>| {
            steps.push(Step {
                model_input: event.prediction.model_input.clone(),
                v: event.prediction.guided.clone(),
                latents: event.latents.clone(),
                estimate: event.pred_original_sample.clone(),
                timestep: event.timestep,
            });
            match told(&event, &on_step).await {
                Ok(true) => return ControlFlow::Continue(()),
                Ok(false) => {}
                Err(error) => trouble = Some(error),
            }
            ControlFlow::Break(())
        };
        let result = self.pipeline.generate(&request, &mut watch).await;
        if let Some(error) = trouble {
            return Err(error.into());
        }
        result?;
        Ok(JsOpened { request, steps })
    }

    /// `{ prompt: [[id, text], …], negative: [[id, text], …], features: Float32Array, tokens }`: the features are
    /// `tokens` rows, all of the prompt's with padding first.
    pub async fn opened_text(&self, opened: &JsOpened) -> std::result::Result<Object, JsError> {
        let row = |token: &PromptToken| Array::of2(&token.id.into(), &token.text.as_str().into());
        let words = |text: &str| -> Result<JsValue> {
            Ok(self.pipeline.prompt_tokens(text)?.iter().map(row).collect::<Array>().into())
        };
        let encoded = self.pipeline.encode_prompt(&opened.request)?;
        let features = encoded.encoder_hidden_states;
        let tokens = features.dims()[1] as u32;
        let features = floats(&features).await?;
        Ok(object(&[
            ("prompt", words(&opened.request.prompt)?),
            ("negative", words(&opened.request.negative_prompt)?),
            ("features", features),
            ("tokens", tokens.into()),
        ])?)
    }

    /// Of a step, from 0: `{ timestep, angle, input, v, latents, estimate, shape: [c, h, w] }`, the tensors as `Float32Array`.
    /// The angle is where the step's input stands on its quarter turn into noise, in radians.
    pub async fn opened_step(&self, opened: &JsOpened, index: usize) -> std::result::Result<Object, JsError> {
        let step = opened.step(index)?;
        let [_, c, h, w] = step.latents.dims();
        let shape = [c, h, w].iter().map(|n| JsValue::from(*n as u32)).collect::<Array>();
        Ok(object(&[
            ("timestep", step.timestep.into()),
            ("angle", step.angle().await?.into()),
            ("input", floats(&step.model_input).await?),
            ("v", floats(&step.v).await?),
            ("latents", floats(&step.latents).await?),
            ("estimate", floats(&step.estimate).await?),
            ("shape", shape.into()),
        ])?)
    }

    /// The cross-attention of a step: `[{ layer, rows, columns, tokens, weights: Float32Array }, …]`.
    pub async fn opened_attention(&self, opened: &JsOpened, index: usize) -> std::result::Result<Array, JsError> {
        let step = opened.step(index)?;
        let maps = self.pipeline.attention_maps(&opened.request, step.model_input.clone(), step.timestep).await?;
        let mut all = Vec::with_capacity(maps.len());
        for map in maps {
            all.push(object(&[
                ("layer", (map.layer as u32).into()),
                ("rows", (map.size[0] as u32).into()),
                ("columns", (map.size[1] as u32).into()),
                ("tokens", (map.tokens as u32).into()),
                ("weights", Float32Array::from(&map.weights[..]).into()),
            ])?);
        }
        Ok(all.into_iter().collect())
    }

    /// What the decoder makes of latents `[c, h, w]`: `{ width, height, rgba }`.
    pub async fn decode_latents(
        &self,
        values: Vec<f32>,
        channels: usize,
        height: usize,
        width: usize,
    ) -> std::result::Result<Object, JsError> {
        if channels.checked_mul(height).and_then(|n| n.checked_mul(width)) != Some(values.len()) {
            let reason = format!("{} latents are not {channels} x {height} x {width}", values.len());
            return Err(Error::Request(reason).into());
        }
        let data = TensorData::new(values, [1, channels, height, width]);
        let latents = Tensor::from_data(data, self.pipeline.device());
        Ok(picture(&self.decoded(latents).await?)?)
    }
}

#[wasm_bindgen(js_class = OpenedPicture)]
impl JsOpened {
    /// How many steps it took.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }
}

impl JsOpened {
    fn step(&self, index: usize) -> Result<&Step> {
        self.steps.get(index).ok_or_else(|| Error::Request(format!("step {} was not drawn", index + 1)))
    }
}

impl Step {
    /// φ of estimate = cos φ x - sin φ v, by least squares over all latents.
    async fn angle(&self) -> Result<f64> {
        let dot = async |a: &Tensor<4>, b: &Tensor<4>| -> Result<f64> {
            let sum = (a.clone() * b.clone()).sum().into_data_async().await;
            let sum = sum.map_err(|error| Error::Device(format!("{error:?}")))?;
            Ok(sum.iter::<f64>().next().unwrap_or_default())
        };
        let (x, v, found) = (&self.model_input.clone().narrow(0, 0, 1), &self.v, &self.estimate);
        let (xx, xv, vv) = (dot(x, x).await?, dot(x, v).await?, dot(v, v).await?);
        let (xf, vf) = (dot(x, found).await?, dot(v, found).await?);
        // [xx -xv; -xv vv] [cos; sin] = [xf; -vf]
        Ok((xv * xf - xx * vf).atan2(vv * xf - xv * vf))
    }
}

/// The noise of a seed, as a run begins with it.
#[wasm_bindgen(js_name = noiseOf)]
pub fn noise_of(seed: u64, n: usize) -> Vec<f32> {
    Mt19937::new(seed).randn(n)
}

async fn told(event: &StepEvent<'_>, on_step: &Function) -> Result<bool> {
    let message = object(&[
        ("index", (event.index as u32).into()),
        ("steps", (event.steps as u32).into()),
        ("timestep", event.timestep.into()),
    ])?;
    let answer = on_step.call1(&JsValue::NULL, &message).map_err(|error| thrown(&error))?;
    let answer = JsFuture::from(Promise::resolve(&answer)).await.map_err(|error| thrown(&error))?;
    Ok(answer.is_truthy())
}
