//! Diffusion in the plane.

use wasm_bindgen::prelude::*;

use crate::Thrown;
use crate::foundations::cloud::{self, Distillation, Guidance, Label, Model, Shape, normal_points};
use crate::random::stream;

/// Points with labels: 0 none, 1 and 2.
#[wasm_bindgen]
pub struct Cloud {
    cloud: cloud::Cloud,
}

#[wasm_bindgen]
impl Cloud {
    /// `n` points of "spiral", "moons", "ring" or "spots".
    pub fn made(shape: &str, n: usize, seed: u32) -> Thrown<Cloud> {
        Ok(Self { cloud: cloud::Cloud::made(Shape::named(shape)?, n, seed.into())? })
    }

    /// The reader's own points: x, y, x, y, ... and a label for each.
    pub fn drawn(points: &[f32], labels: &[u8]) -> Thrown<Cloud> {
        let labels = labels.iter().map(|&label| Label::from_number(label)).collect::<crate::Result<_>>()?;
        Ok(Self { cloud: cloud::Cloud::new(pairs(points), labels)? })
    }

    /// The points, moved and scaled: x, y, x, y, ...
    pub fn points(&self) -> Vec<f32> {
        self.cloud.points().as_flattened().to_vec()
    }

    /// Their labels.
    pub fn labels(&self) -> Vec<u8> {
        self.cloud.labels().iter().map(|&label| label as u8).collect()
    }

    /// The points at an angle of the path to noise.
    pub fn noised(&self, angle: f32, seed: u32) -> Vec<f32> {
        let noise = normal_points(&mut stream(seed.into(), "noise", 0), self.cloud.points().len());
        self.cloud.points().iter().zip(noise).flat_map(|(&point, noise)| cloud::noised(point, noise, angle)).collect()
    }

    /// The v of each point at an angle, with the same noise.
    pub fn velocities(&self, angle: f32, seed: u32) -> Vec<f32> {
        let noise = normal_points(&mut stream(seed.into(), "noise", 0), self.cloud.points().len());
        self.cloud.points().iter().zip(noise).flat_map(|(&point, noise)| cloud::velocity(point, noise, angle)).collect()
    }
}

/// A network that learns the way back.
#[wasm_bindgen]
pub struct Diffusion {
    model: Model,
}

#[wasm_bindgen]
impl Diffusion {
    /// Untrained.
    #[wasm_bindgen(constructor)]
    pub fn new(seed: u32) -> Diffusion {
        Self { model: Model::new(seed.into()) }
    }

    /// How many numbers it learns.
    pub fn parameters(&self) -> usize {
        self.model.parameters()
    }

    /// Takes `steps` training steps; returns the loss before each.
    pub fn train(&mut self, cloud: &Cloud, steps: usize, batch: usize, rate: f32) -> Thrown<Vec<f64>> {
        Ok((0..steps).map(|_| self.model.train_step(&cloud.cloud, batch, rate)).collect::<crate::Result<_>>()?)
    }

    /// The network's v at points x, y, x, y, ... with guidance.
    pub fn field(&self, points: &[f32], angle: f32, label: u8, scale: f32) -> Thrown<Vec<f32>> {
        let guidance = Guidance { label: Label::from_number(label)?, scale };
        Ok(self.model.guided(&pairs(points), angle, guidance).into_flattened())
    }

    /// The paths of `n` points of noise in `steps` steps: steps + 1 lists of x, y, x, y, ..., one after the other.
    pub fn sample(&self, n: usize, seed: u32, steps: usize, label: u8, scale: f32) -> Thrown<Vec<f32>> {
        if steps == 0 || n == 0 {
            return Err(JsError::new("sampling needs at least one point and one step"));
        }
        let noise = normal_points(&mut stream(seed.into(), "noise", 0), n);
        let guidance = Guidance { label: Label::from_number(label)?, scale };
        let path = cloud::sample(&self.model, &noise, steps, guidance);
        Ok(path.into_iter().flat_map(|points| points.into_flattened()).collect())
    }
}

/// A round of distillation: half as many steps.
#[wasm_bindgen]
pub struct Round {
    round: Distillation,
}

#[wasm_bindgen]
impl Round {
    /// The teacher takes `steps` steps, with guidance of `scale`.
    #[wasm_bindgen(constructor)]
    pub fn new(teacher: &Diffusion, steps: usize, scale: f32) -> Thrown<Round> {
        Ok(Self { round: Distillation::new(&teacher.model, steps, scale)? })
    }

    /// Takes `steps` training steps; returns the loss before each.
    pub fn train(&mut self, cloud: &Cloud, steps: usize, batch: usize, rate: f32) -> Thrown<Vec<f64>> {
        Ok((0..steps).map(|_| self.round.train_step(&cloud.cloud, batch, rate)).collect::<crate::Result<_>>()?)
    }

    /// The student as it is now.
    pub fn student(&self) -> Diffusion {
        Diffusion { model: self.round.student().clone() }
    }
}

/// The energy distance between two clouds.
#[wasm_bindgen]
pub fn energy_distance(a: &[f32], b: &[f32]) -> f64 {
    cloud::energy_distance(&pairs(a), &pairs(b))
}

fn pairs(points: &[f32]) -> Vec<[f32; 2]> {
    points.as_chunks::<2>().0.to_vec()
}
