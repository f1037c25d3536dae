//! A model of the user's own, a folder or one file: what it is, and what it needs, before it is loaded.

use js_sys::JSON;
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::files::JsFiles;
use crate::kernels::BlockFormat;
use crate::pipeline::{Defaults, Family, Needs, Plan, PlanOptions};
use crate::text::clip::ClipMerges;
use crate::weights::{Beside, Prediction};
use crate::{Error, Result};

/// Numbers of bits that weights can be put into.
const BITS: [u32; 2] = [8, 4];

/// What the page shows of a model before it is loaded.
#[derive(Serialize)]
struct Described {
    /// The kind of model, in words.
    kind: String,
    /// How most of its bytes store numbers.
    stored: String,
    /// What its network predicts, where the file leaves that open.
    prediction: Option<&'static str>,
    /// Names and words to choose from there.
    predictions: Vec<(&'static str, &'static str)>,
    notes: Vec<String>,
    defaults: Defaults,
    /// With the weights as they are, then in fewer bits each.
    plans: Vec<Planned>,
}

/// What a model needs; sizes in bytes.
#[derive(Serialize)]
struct Planned {
    /// Bits a weight; none: as they are.
    bits: Option<u32>,
    needs: Needs,
    module: Module,
}

/// The most that the wasm module holds while it loads and draws.
#[derive(Serialize)]
struct Module {
    wgpu: u64,
    cpu: u64,
}

#[wasm_bindgen(js_class = Files)]
impl JsFiles {
    /// Shows `file`, one checkpoint of these files, as the folder that it would be; the other files give configurations and what it
    /// lacks. `merges` is `clip/merges.bin`; `prediction` is what the network predicts ("epsilon" or "v_prediction") where the
    /// user says so. Throws an `Error` that names what is wrong.
    pub fn single(
        &mut self,
        file: &str,
        merges: Vec<u8>,
        prediction: Option<String>,
    ) -> std::result::Result<(), JsError> {
        let unknown = |name: &str| Error::Request(format!("prediction = {name}: use epsilon or v_prediction"));
        let named = |name: String| Prediction::named(&name).ok_or_else(|| unknown(&name));
        let prediction = prediction.map(named).transpose()?;
        let merges = Some(ClipMerges::parse(merges)?);
        Ok(self.show(file, Beside { prediction, merges, ..Beside::default() })?)
    }

    /// `{ kind, stored, prediction, predictions: [[name, words], …], notes, defaults, plans: [{ bits, needs, module: { wgpu, cpu }
    /// }, …] }`, from configurations and headers alone. `buffer` is the largest that the graphics adapter binds, in bytes.
    pub fn described(&self, buffer: Option<f64>) -> std::result::Result<JsValue, JsError> {
        let json = serde_json::to_string(&self.describe(buffer.map(|bytes| bytes as u64))?)?;
        JSON::parse(&json).map_err(|_| Error::Request("the description could not be passed on".into()).into())
    }
}

impl JsFiles {
    fn describe(&self, buffer: Option<u64>) -> Result<Described> {
        let plan = |quantize| Plan::read(self, &PlanOptions { quantize, buffer, ..PlanOptions::default() });
        let whole = plan(None)?;
        let (defaults, stored) = (whole.defaults.clone(), stored(&whole));
        let mut plans = vec![Planned::of(None, &whole)];
        for bits in BITS {
            // Weights in other blocks cannot be put into these.
            plans.extend(plan(BlockFormat::from_bits(bits)).ok().map(|plan| Planned::of(Some(bits), &plan)));
        }
        let (prediction, predictions) = match self.shown() {
            Some(single) if single.prediction_is_open() => {
                (Some(single.prediction().name()), Prediction::ALL.map(|kind| (kind.name(), kind.words())).to_vec())
            }
            _ => (None, Vec::new()),
        };
        let kind = match self.shown() {
            Some(single) => single.kind(),
            None => match Family::read(self)? {
                Family::StableDiffusion => "Stable Diffusion".to_string(),
                Family::LatentConsistency => "a latent consistency model".to_string(),
                Family::StableDiffusionXl { .. } => "Stable Diffusion XL".to_string(),
            },
        };
        let stored = self.shown().map_or(stored, |single| single.stored().to_string());
        let notes = self.shown().map_or(Vec::new(), |single| single.notes().to_vec());
        Ok(Described { kind, stored, prediction, predictions, notes, defaults, plans })
    }
}

impl Planned {
    fn of(bits: Option<u32>, plan: &Plan) -> Self {
        // A weight is copied once more on its way to the graphics card.
        let wgpu = plan.host + plan.loading + 2 * plan.largest_buffer.bytes;
        Self { bits, needs: plan.needs(), module: Module { wgpu, cpu: plan.processor + plan.loading } }
    }
}

/// How most bytes of a folder's weights store numbers.
fn stored(plan: &Plan) -> String {
    let all = plan.components.iter().flat_map(|component| &component.stored);
    match all.max_by_key(|(_, bytes)| **bytes).map(|(dtype, _)| dtype.as_str()) {
        Some("I8") => "blocks of 8 bits".to_string(),
        Some("U8") => "blocks of 4 bits".to_string(),
        other => other.unwrap_or_default().to_lowercase(),
    }
}
