//! Help with prompts for the page, from a model's list of words.

use js_sys::JSON;
use wasm_bindgen::prelude::*;

use super::thrown::thrown;
use crate::Error;
use crate::text::suggest::Suggestions;

/// What a model knows, ready to be asked.
#[wasm_bindgen(js_name = Suggestions)]
pub struct JsSuggestions {
    suggestions: Suggestions,
}

#[wasm_bindgen(js_class = Suggestions)]
impl JsSuggestions {
    /// Reads the text of a `words.json`. Throws an `Error` that says what is wrong with it.
    #[wasm_bindgen(constructor)]
    pub fn new(words: &str) -> Result<JsSuggestions, JsError> {
        Ok(Self { suggestions: Suggestions::from_json(words, "words.json")? })
    }

    /// What to say about a prompt: `{ unknown: [{ word, start, end, why, instead: [text, …] }, …], nothing,
    /// next: [{ text, start, label }, …] }` (see [`crate::text::suggest`]); `caret` is where somebody is typing, undefined
    /// where nobody is.
    pub fn advise(&self, prompt: &str, caret: Option<u32>) -> Result<JsValue, JsError> {
        let advice = self.suggestions.advise(prompt, caret.map(|caret| caret as usize));
        let json = serde_json::to_string(&advice).map_err(|error| Error::Request(error.to_string()))?;
        Ok(JSON::parse(&json).map_err(|error| thrown(&error))?)
    }
}
