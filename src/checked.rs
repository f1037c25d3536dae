//! Settings as JSON files: read completely, checked, with errors that name the file and the key.

use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// A value of `text`; `file` is for messages.
///
/// # Errors
/// [`Error::Config`] for text that is no such value, and with what `check` says of an impossible one.
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
