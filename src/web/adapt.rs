//! "Teach it yours": a model learns a thing from a few pictures of it. Only in the module that has gradients (`deeper/`).

use std::ops::ControlFlow;

use js_sys::{Array, Function, Object, Uint8Array};
use wasm_bindgen::prelude::*;

use super::fit::{answer, event};
use super::request::adapt_request;
use super::{JsPipeline, now, object, picture};
use crate::Result;
use crate::edit::adapt::{AdaptRequest, adapt, reached, to_bytes};
use crate::edit::fit::{Ended, StageStep};

#[wasm_bindgen(js_class = Pipeline)]
impl JsPipeline {
    /// Fits adapters to pictures of a thing: `request` is `{ images: { width, height, rgba }[], prompt, seed }`, with one to eight
    /// pictures of one size and the seed in decimal digits. `on_step` gets the events of [`Self::imagic`], all of the stage "adapters"
    /// and with the picture of the prompt as the model draws it by then; what it has learned when it is told to stop is kept.
    /// Resolves to `{ bytes, diverged, warnings }`: the adapters as a LoRA file, and whether they end at the last good step
    /// because the loss grew.
    pub async fn adapt(
        &self,
        request: JsValue,
        on_step: Function,
        every: usize,
    ) -> std::result::Result<Object, JsError> {
        let request = adapt_request(&request)?;
        let (mut trouble, mut began) = (None, now());
        let mut watch = async |step: StageStep<'_>| {
            let milliseconds = now() - began;
            let told = match self.learned(&request, &step, milliseconds, every).await {
                Ok(event) => answer(&on_step, &event).await,
                Err(error) => Err(error),
            };
            began = now();
            match told {
                Ok(true) => return ControlFlow::Continue(()),
                Ok(false) => {}
                Err(error) => trouble = Some(error),
            }
            ControlFlow::Break(())
        };
        let (adapters, warnings) = adapt(&self.pipeline, &request, &mut watch).await?;
        if let Some(error) = trouble {
            return Err(error.into());
        }
        let bytes = to_bytes(&adapters, &request.prompt).await;
        Ok(object(&[
            ("bytes", Uint8Array::from(bytes.as_slice()).into()),
            ("diverged", (adapters.ended == Ended::Diverged).into()),
            ("warnings", warnings.iter().map(|warning| JsValue::from_str(warning)).collect::<Array>().into()),
        ])?)
    }
}

impl JsPipeline {
    /// A step's event.
    async fn learned(
        &self,
        request: &AdaptRequest,
        step: &StageStep<'_>,
        milliseconds: f64,
        every: usize,
    ) -> Result<Object> {
        let (event, shown) = event("adapters", step, (0, milliseconds), every)?;
        if shown {
            let reached = reached(&self.pipeline, request, step.values).await?;
            super::set(&event, "picture", &picture(&reached)?.into())?;
        }
        Ok(event)
    }
}
