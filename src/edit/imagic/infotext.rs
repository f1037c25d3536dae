//! The settings of an edit by Imagic as an [`Infotext`].

use super::Imagic;
use crate::Result;
use crate::edit::fit::drawing::request;
use crate::infotext::Infotext;
use crate::pipeline::{EDIT_FROM, EDIT_METHOD, Pipeline, Settings};

/// How far the picture is from the given one; A1111 has no such key.
const EDIT_ETA: &str = "Edit eta";

impl Imagic {
    /// The settings of the picture that [`Self::draw`] draws with the same arguments, as A1111 would write them, and beside them, under
    /// keys that it does not have, the method, what the picture showed, where that was said, and `eta`. `model` is the model's name.
    ///
    /// # Errors
    /// Those of [`Pipeline::request_of`].
    pub fn infotext(&self, pipeline: &Pipeline, eta: f64, settings: Settings, model: &str) -> Result<Infotext> {
        let words = (self.prompt.as_str(), self.negative_prompt.as_str());
        let request = request(pipeline, words, [self.width, self.height], settings)?;
        let mut info = request.infotext(pipeline.scheduler(), model);
        let from = self.source_prompt.clone().map(|from| (EDIT_FROM.to_owned(), from));
        let own =
            [Some((EDIT_METHOD.to_owned(), "Imagic".to_owned())), from, Some((EDIT_ETA.to_owned(), eta.to_string()))];
        let at = info.settings.iter().position(|(key, _)| key == "Model").map_or(0, |at| at + 1);
        info.settings.splice(at..at, own.into_iter().flatten());
        Ok(info)
    }
}
