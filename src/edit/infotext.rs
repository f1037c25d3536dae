//! The settings of an edit as an [`Infotext`].

use super::{EditRequest, Method};
use crate::Result;
use crate::infotext::Infotext;
use crate::pipeline::{EDIT_FROM, EDIT_METHOD, Pipeline};

impl EditRequest {
    /// The settings as A1111 would write those of a picture that began with another one, and beside them, under keys that it does
    /// not have, the method, which is the sampler as well, and what the picture showed, where that was said. `model` is the model's
    /// name.
    ///
    /// # Errors
    /// Those of [`Pipeline::request_of`].
    pub fn infotext(&self, pipeline: &Pipeline, model: &str) -> Result<Infotext> {
        let request = self.half(pipeline, &self.target_prompt, self.target_guidance_scale)?;
        let mut info = request.infotext(pipeline.scheduler(), model);
        info.settings.retain(|(key, _)| key != "Sampler" && key != "Schedule type");
        let label = Method::NAMES.iter().find(|(.., method)| *method == self.method).map_or("", |(_, label, _)| label);
        let mut own = vec![(EDIT_METHOD.to_owned(), label.to_owned())];
        if !self.source_prompt.is_empty() {
            own.push((EDIT_FROM.to_owned(), self.source_prompt.clone()));
        }
        let at = info.settings.iter().position(|(key, _)| key == "Denoising strength").map_or(0, |at| at + 1);
        info.settings.splice(at..at, own);
        Ok(info)
    }
}
