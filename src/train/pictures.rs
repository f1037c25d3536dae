//! The key `pictures` of a run's configuration.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The source of the pictures: `pack` and `recipe`, or `folder`. Paths are relative to the working directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pictures {
    /// A file from `fourstep dataset pack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<PathBuf>,
    /// A recipe for `fourstep dataset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<PathBuf>,
    /// A folder of captioned pictures ([`crate::dataset::Folder`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Side of the pictures in pixels.
    pub size: usize,
}

/// Where pictures come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Composed from a pack with a recipe.
    Stickers {
        /// See [`Pictures::pack`].
        pack: &'a Path,
        /// See [`Pictures::recipe`].
        recipe: &'a Path,
    },
    /// See [`Pictures::folder`].
    Folder(&'a Path),
}

impl Pictures {
    /// The source that is named; there must be exactly one.
    ///
    /// # Errors
    /// [`Error::Config`] if there is none or more than one.
    pub fn source(&self) -> Result<Source<'_>> {
        match (&self.pack, &self.recipe, &self.folder) {
            (Some(pack), Some(recipe), None) => Ok(Source::Stickers { pack, recipe }),
            (None, None, Some(folder)) => Ok(Source::Folder(folder)),
            _ => {
                let reason = "name either pack and recipe, or folder";
                Err(Error::Config { file: "pictures".into(), reason: reason.into() })
            }
        }
    }
}
