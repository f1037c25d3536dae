//! What a module asks of a checkpoint: the key and shape of each parameter, from the module's own structure.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use super::KeyPath;

/// The checkpoint key and shape of every parameter of a module, in the module's order.
pub fn paths<M: Module>(module: &M) -> Vec<(String, Vec<usize>)> {
    wanted(module).into_iter().map(|wanted| (wanted.name, wanted.shape)).collect()
}

/// A tensor that a module asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The checkpoint key.
    pub name: String,
    /// As the module has it.
    pub shape: Vec<usize>,
    /// Whether it is the weight of a linear or convolutional layer, which may be quantized.
    pub layer: bool,
}

/// Every parameter of a module, in the module's order.
pub fn wanted<M: Module>(module: &M) -> Vec<Wanted> {
    let mut visitor = Paths { path: KeyPath::default(), found: Vec::new() };
    module.visit(&mut visitor);
    visitor.found
}

struct Paths {
    path: KeyPath,
    found: Vec<Wanted>,
}

impl ModuleVisitor for Paths {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (name, shape) = (self.path.key(), param.lazy_shape().to_vec());
        self.found.push(Wanted { name, shape, layer: self.path.is_layer_weight() });
    }
}
