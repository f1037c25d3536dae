//! Everything that the page's worker can call.

#[cfg(feature = "fit")]
mod adapt;
mod adapters;
mod files;
#[cfg(feature = "fit")]
mod fit;
mod ladder;
mod opened;
mod own;
mod request;
mod suggest;
mod thrown;

use std::cell::{OnceCell, RefCell};
use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};
use js_sys::{Array, Float32Array, Function, Object, Promise, Reflect, Uint8ClampedArray};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::edit::{self, Method};
use crate::kernels::BlockFormat;
use crate::picture::Picture;
use crate::pipeline::{LatentToRgb, LoadOptions, MANIFEST, Manifest, Pipeline, Request, StepEvent};
use crate::random::{Generator, Mt19937};
use crate::schedulers;
use crate::weights::Files;
use crate::{Error, Result};
use adapters::Given;
use files::JsFiles;
use request::{Asked, Toward};
use thrown::thrown;

/// Runs once when the module is instantiated: panics are shown in the console with their message.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// A model, ready to draw.
#[wasm_bindgen(js_name = Pipeline)]
pub struct JsPipeline {
    pipeline: Pipeline,
    /// The map for cheap previews, the manifest's or the published one, where there is one.
    preview: Option<LatentToRgb>,
    /// The estimate after each step of the last picture, to be decoded when somebody asks.
    estimates: RefCell<Vec<Tensor<4>>>,
    /// Of the last picture, for the large decoder.
    latents: RefCell<Option<Tensor<4>>>,
    /// Of the adapters, for the infotext.
    labels: Vec<String>,
}

#[wasm_bindgen(js_class = Pipeline)]
impl JsPipeline {
    /// Loads a model on `device`: "wgpu" or "cpu"; float weights are put into blocks of `bits` (8 or 4) on the way, where
    /// that is given. `loras` are adapters, `[{ name, bytes: Uint8Array, weight?, edit? }, …]`; with `edit` the file is a saved edit.
    /// Throws an `Error` that names what is wrong.
    pub async fn load(
        files: JsFiles,
        device: String,
        bits: Option<u32>,
        loras: Option<Array>,
    ) -> std::result::Result<JsPipeline, JsError> {
        let known =
            |bits| BlockFormat::from_bits(bits).ok_or_else(|| Error::Request(format!("bits = {bits}: use 8 or 4")));
        let quantize = bits.map(known).transpose()?;
        let device = match device.as_str() {
            "cpu" => Device::flex(),
            "wgpu" => wgpu().await?,
            other => return Err(Error::Request(format!("device = {other}: use wgpu or cpu")).into()),
        };
        // The module that fits models draws with gradients only, and so with floats.
        #[cfg(feature = "fit")]
        let device = device.autodiff();
        let given = Given::all(loras)?;
        let loras = given.iter().map(Given::lora).collect::<Result<Vec<_>>>()?;
        let options = LoadOptions { quantize, loras: &loras, ..LoadOptions::default() };
        let pipeline = Pipeline::load_with(&files, &options, &device)?;
        let manifest = files.get_small(MANIFEST)?.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
        let preview = manifest.and_then(|manifest| manifest.preview).or_else(|| pipeline.published_preview());
        // An edit is no adapter that its pictures are drawn with beside it.
        let labels = given.iter().zip(&loras).filter(|(given, _)| !given.edit).map(|(_, lora)| lora.label()).collect();
        Ok(Self { pipeline, preview, estimates: RefCell::default(), latents: RefCell::default(), labels })
    }

    /// `{ steps, guidance_scale, guidance_scale_range?: [least, largest], width, height, sampler,
    /// samplers: [[name, label], …], size_multiple, large?, alpha, edit? }`; the range is that of a model that takes the scale as an
    /// input; `large` is how many times as large the pictures of [`Self::large`] are, where there is a large decoder; `alpha` is
    /// whether the model draws transparent pictures; `edit` is `{ strength, methods: [[name, label], …] }` where it can edit
    /// pictures by words.
    pub fn defaults(&self) -> std::result::Result<Object, JsError> {
        let defaults = self.pipeline.defaults();
        let range = self.pipeline.guidance_scale_range();
        let range = range.map(|range| range.iter().map(|scale| JsValue::from(f64::from(*scale))).collect::<Array>());
        let names = schedulers::NAMES.iter().map(|(name, label)| Array::of2(&(*name).into(), &(*label).into()));
        Ok(object(&[
            ("steps", (defaults.steps as u32).into()),
            ("guidance_scale", f64::from(defaults.guidance_scale).into()),
            ("guidance_scale_range", range.map_or(JsValue::UNDEFINED, JsValue::from)),
            ("width", (defaults.width as u32).into()),
            ("height", (defaults.height as u32).into()),
            ("sampler", schedulers::name_of(self.pipeline.scheduler())?.into()),
            ("samplers", names.collect::<Array>().into()),
            ("size_multiple", (self.pipeline.scale() as u32).into()),
            ("large", self.pipeline.large().map_or(JsValue::UNDEFINED, |times| (times as u32).into())),
            ("alpha", (self.pipeline.channels() == 4).into()),
            ("edit", self.edits()?),
        ])?)
    }

    /// Draws. `on_step` gets each step's event (`{ index, steps, timestep, sigma, milliseconds, preview }`, the time
    /// without that of the previews) and answers whether to go on (a promise of it lets messages in);
    /// resolves to `{ width, height, rgba, warnings, infotext, noise }`: the settings as A1111 writes them, and a
    /// preview of the noise that it began with, where the model has cheap previews. Those are small, one pixel a
    /// latent; `estimate` gives a step's whole picture. Colours are not multiplied by alpha, as in an `ImageData`. With `latents: true` in the request, each event carries the
    /// latents after the step as a `Float32Array`. With `image: { width, height, rgba }` of the picture's size it
    /// begins from that picture and redraws `strength` (0 to 1) of it; with a `mask` in the same form only where that
    /// is light. With `toward: { prompt, negative_prompt, seed, at }` it draws the
    /// picture at `at` (0 to 1) of the way from the request to that one. With `edit: { from, method }` the image is edited
    /// by words: `from` is what it shows, `prompt` what it should show, and `strength` how far the edit may go.
    pub async fn generate(&self, request: JsValue, on_step: Function) -> std::result::Result<Object, JsError> {
        let asked = Asked::parse(&request)?;
        let (request, edit) = (asked.request(&self.pipeline)?, asked.edit(&self.pipeline)?);
        self.estimates.borrow_mut().clear();
        self.latents.replace(None);
        let mut latents = None;
        let (mut started, mut trouble) = (now(), None);
        let mut watch = async |event: StepEvent<'_>| {
            let milliseconds = now() - started;
            self.estimates.borrow_mut().push(event.pred_original_sample.clone());
            latents = Some(event.latents.clone());
            let answer = self.report(&event, milliseconds, asked.latents, &on_step).await;
            started = now();
            match answer {
                Ok(true) => return ControlFlow::Continue(()),
                Ok(false) => {}
                Err(error) => trouble = Some(error),
            }
            ControlFlow::Break(())
        };
        let result = match (&edit, &asked.toward) {
            (Some(edit), _) => {
                edit::edit(&self.pipeline, edit, &mut watch).await.map(|(image, notes)| (vec![image], notes))
            }
            (None, Some(end)) => self.between(&request, end, &mut watch).await,
            (None, None) => self.pipeline.generate(&request, &mut watch).await,
        };
        if let Some(error) = trouble {
            return Err(error.into());
        }
        let (images, warnings) = result?;
        self.latents.replace(latents);
        let warnings = warnings.iter().map(|warning| JsValue::from_str(warning)).collect::<Array>();
        let result = picture(&images[0])?;
        set(&result, "warnings", &warnings)?;
        let model = asked.model.as_deref().unwrap_or("unknown");
        let infotext = match &edit {
            Some(edit) => edit.infotext(&self.pipeline, model)?,
            None => request.infotext(self.pipeline.scheduler(), model),
        };
        set(&result, "infotext", &infotext.with_adapters(&self.labels).to_string().into())?;
        if let Some(noise) = self.noise(&request) {
            set(&result, "noise", &picture(&noise)?.into())?;
        }
        Ok(result)
    }

    /// The whole picture of what the last request had after a step, from 0: `{ width, height, rgba }`. Throws when
    /// there is no such step.
    pub async fn estimate(&self, index: usize) -> std::result::Result<Object, JsError> {
        let latents = self.estimates.borrow().get(index).cloned();
        let latents = latents.ok_or_else(|| Error::Request(format!("step {} was not drawn", index + 1)))?;
        Ok(picture(&self.decoded(latents).await?)?)
    }

    /// The last request's picture by the large decoder, from the same latents: `{ width, height, rgba }`. Throws when the model has
    /// no large decoder, and when nothing was drawn.
    pub async fn large(&self) -> std::result::Result<Object, JsError> {
        let latents = self.latents.borrow().clone();
        let latents = latents.ok_or_else(|| Error::Request("no picture was drawn".into()))?;
        let decoded = self.pipeline.decode_large(latents)?;
        Ok(picture(&Picture::from_tensor(decoded).await?.swap_remove(0))?)
    }
}

impl JsPipeline {
    async fn report(
        &self,
        event: &StepEvent<'_>,
        milliseconds: f64,
        latents: bool,
        on_step: &Function,
    ) -> Result<bool> {
        let estimate = event.pred_original_sample.clone();
        let preview = match &self.preview {
            Some(map) => map.preview(estimate).await?,
            None => self.decoded(estimate).await?,
        };
        let message = object(&[
            ("index", (event.index as u32).into()),
            ("steps", (event.steps as u32).into()),
            ("timestep", event.timestep.into()),
            ("sigma", event.sigma.map_or(JsValue::UNDEFINED, Into::into)),
            ("milliseconds", milliseconds.into()),
            ("preview", picture(&preview)?.into()),
        ])?;
        if latents {
            set(&message, "latents", &floats(event.latents).await?)?;
        }
        let answer = on_step.call1(&JsValue::NULL, &message).map_err(|error| thrown(&error))?;
        let answer = JsFuture::from(Promise::resolve(&answer)).await.map_err(|error| thrown(&error))?;
        Ok(answer.is_truthy())
    }

    /// Of [`Self::defaults`].
    fn edits(&self) -> Result<JsValue> {
        if self.pipeline.reads_masks() {
            return Ok(JsValue::UNDEFINED);
        }
        let methods = Method::NAMES.iter().map(|(name, label, _)| Array::of2(&(*name).into(), &(*label).into()));
        let methods = methods.collect::<Array>().into();
        Ok(object(&[("strength", edit::STRENGTH.into()), ("methods", methods)])?.into())
    }

    async fn between(
        &self,
        request: &Request,
        end: &Toward,
        on_step: &mut impl AsyncFnMut(StepEvent<'_>) -> ControlFlow<()>,
    ) -> Result<(Vec<Picture>, Vec<String>)> {
        let to = Request {
            prompt: end.prompt.clone(),
            negative_prompt: end.negative_prompt.clone(),
            seed: end.seed,
            ..request.clone()
        };
        let output = self.pipeline.run_between(request, &to, end.at, on_step).await?;
        Ok((request.finished(output.decoded).await?, output.warnings))
    }

    async fn decoded(&self, latents: Tensor<4>) -> Result<Picture> {
        Ok(Picture::from_tensor(self.pipeline.decode(latents)).await?.swap_remove(0))
    }

    /// The noise that a request starts from; none where it starts from a picture.
    fn noise(&self, request: &Request) -> Option<Picture> {
        let map = self.preview.as_ref().filter(|_| request.image.is_none())?;
        let (width, height) = (request.width / self.pipeline.scale(), request.height / self.pipeline.scale());
        Some(map.picture(&Mt19937::new(request.seed).randn(map.channels() * width * height), width, height))
    }
}

thread_local! {
    /// burn's WebGPU runtime starts once in a wasm instance; a second start is an error.
    static WGPU: OnceCell<Device> = const { OnceCell::new() };
}

/// The WebGPU device, started at the first call.
async fn wgpu() -> Result<Device> {
    if let Some(device) = WGPU.with(|cell| cell.get().cloned()) {
        return Ok(device);
    }
    let device = Device::wgpu_options().init_async().await;
    let device = device.map_err(|error| Error::Device(format!("no WebGPU device: {error}")))?;
    Ok(WGPU.with(|cell| cell.get_or_init(|| device).clone()))
}

/// Milliseconds on the worker's clock.
fn now() -> f64 {
    let worker: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    worker.performance().expect("a worker has a clock").now()
}

fn picture(image: &Picture) -> Result<Object> {
    object(&[
        ("width", (image.width as u32).into()),
        ("height", (image.height as u32).into()),
        ("rgba", Uint8ClampedArray::from(image.rgba().as_slice()).into()),
    ])
}

async fn floats<const D: usize>(tensor: &Tensor<D>) -> Result<JsValue> {
    let data = tensor.clone().into_data_async().await.map_err(|error| Error::Device(format!("{error:?}")))?;
    Ok(Float32Array::from(data.iter::<f32>().collect::<Vec<f32>>().as_slice()).into())
}

fn object(entries: &[(&str, JsValue)]) -> Result<Object> {
    let object = Object::new();
    for (key, value) in entries {
        set(&object, key, value)?;
    }
    Ok(object)
}

fn set(object: &Object, key: &str, value: &JsValue) -> Result<()> {
    Reflect::set(object, &key.into(), value).map(|_| ()).map_err(|error| thrown(&error))
}
