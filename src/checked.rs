//! Settings as JSON files: read completely, checked, with errors that name the file and the key.

use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// Parses a value; `file` is for messages.
///
/// # Errors
/// [`Error::Config`] if the text is no such value, or with the message of `check` if the value is invalid.
pub fn from_json<T: DeserializeOwned>(
    text: &str,
    file: &str,
    check: impl FnOnce(&T) -> std::result::Result<(), String>,
) -> Result<T> {
    let invalid = |reason: String| Error::Config { file: file.to_owned(), reason };
    let value = serde_json::from_str(text).map_err(|e| invalid(e.to_string()))?;
    check(&value).map_err(invalid)?;
    Ok(value)
}
