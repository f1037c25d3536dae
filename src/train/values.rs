//! Tensors that belong to a module's parameters, one for each: moments, averages.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::container::TensorContainer;

/// Tensors without autodiff, by the id of their parameter.
#[derive(Default)]
pub struct Values(TensorContainer<ParamId>);

impl Values {
    /// The current values of a module's parameters.
    pub fn of<M: Module>(module: &M) -> Self {
        let mut values = Self::default();
        module.visit(&mut Collect(&mut values));
        values
    }

    /// `module` with these values, or zero if there are none; its parameters keep their ids.
    pub fn in_place_of<M: Module>(&self, module: M) -> M {
        module.map(&mut Replace(self))
    }

    /// Returns the tensor of a parameter.
    pub fn get<const D: usize>(&self, id: ParamId) -> Option<Tensor<D>> {
        self.0.get(&id)
    }

    /// Removes and returns the tensor of a parameter.
    pub fn remove<const D: usize>(&mut self, id: ParamId) -> Option<Tensor<D>> {
        self.0.remove(&id)
    }

    /// Sets the tensor of a parameter.
    pub fn insert<const D: usize>(&mut self, id: ParamId, value: Tensor<D>) {
        self.0.register(id, value);
    }
}

struct Collect<'a>(&'a mut Values);

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.insert(param.id, param.val().inner());
    }
}

struct Replace<'a>(&'a Values);

impl ModuleMapper for Replace<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        let value = self.0.get(id).unwrap_or_else(|| param.val().inner().zeros_like());
        param.transform_for_load(value, id)
    }
}
