//! Writes a module's parameters as a safetensors file under their checkpoint keys.

use std::collections::HashMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use half::f16;
use safetensors::{Dtype, tensor::TensorView};

use super::KeyPath;
use crate::{Error, Result};

/// How numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats: nothing is lost.
    F32,
    /// 16-bit floats: what ships.
    F16,
}

impl Precision {
    /// Its name in a safetensors file.
    pub(super) fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
        }
    }

    /// Little-endian.
    pub(super) fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        }
    }
}

/// Writes `path` whole or not at all (a temporary file beside it is renamed).
///
/// # Errors
/// [`Error::Io`], for a full disk too; the old file is then still there.
pub fn save<M: Module>(module: &M, path: &Path, precision: Precision, metadata: HashMap<String, String>) -> Result<()> {
    let mut visitor = Collector { path: KeyPath::default(), precision, tensors: Vec::new() };
    module.visit(&mut visitor);
    let views = visitor.tensors.iter().map(|(name, shape, bytes)| {
        let view =
            TensorView::new(precision.dtype(), shape.clone(), bytes).expect("as many bytes as the shape asks for");
        (name.clone(), view)
    });
    let bytes = safetensors::serialize(views, Some(metadata))
        .map_err(|error| Error::BadFile { file: path.display().to_string(), reason: error.to_string() })?;
    write(path, &bytes)
}

/// Writes a file whole or not at all.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, bytes).map_err(Error::io(&temporary))?;
    std::fs::rename(&temporary, path).map_err(Error::io(path))
}

struct Collector {
    path: KeyPath,
    precision: Precision,
    tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().into_data().convert::<f32>().try_into_vec::<f32>().expect("converted to f32");
        self.tensors.push((self.path.key(), param.lazy_shape().to_vec(), self.precision.bytes(&values)));
    }
}
