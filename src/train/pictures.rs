//! The key `pictures` of a run's configuration.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Which pictures: `pack` and `recipe`, or `folder`. Paths are from the working directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pictures {
    /// File of `fourstep dataset pack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<PathBuf>,
    /// Recipe of `fourstep dataset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<PathBuf>,
    /// Somebody's own captioned pictures ([`crate::dataset::Folder`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Side in pixels.
    pub size: usize,
}

/// Where pictures come from.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Composed from a pack by a recipe.
    Stickers {
        /// [`Pictures::pack`].
        pack: &'a Path,
        /// [`Pictures::recipe`].
        recipe: &'a Path,
    },
    /// [`Pictures::folder`].
    Folder(&'a Path),
}

impl Pictures {
    /// The one source that is named.
    ///
    /// # Errors
    /// [`Error::Config`] where it is not one.
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
