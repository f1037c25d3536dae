//! Clouds of points: some built in, and any that the reader draws.

use std::f64::consts::TAU;

use crate::random::{Generator, Mt19937, stream};
use crate::{Error, Result};

/// The label of a point: the colour in which it was drawn. It plays the role of the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// No label: the empty prompt.
    None,
    /// The first colour.
    A,
    /// The second colour.
    B,
}

impl Label {
    /// 0: none, 1: A, 2: B.
    ///
    /// # Errors
    /// [`Error::Request`] for another number.
    pub fn from_number(number: u8) -> Result<Self> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::A),
            2 => Ok(Self::B),
            other => Err(Error::Request(format!("label {other}: there are 0 (none), 1 and 2"))),
        }
    }
}

/// A cloud given by a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Two arms that wind around each other.
    Spiral,
    /// Two half moons.
    Moons,
    /// A ring with a spot inside.
    Ring,
    /// Eight spots on a circle, with alternating colours.
    Spots,
}

impl Shape {
    /// The shape with this name, in lower case.
    ///
    /// # Errors
    /// [`Error::Request`] that lists the names.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "spiral" => Ok(Self::Spiral),
            "moons" => Ok(Self::Moons),
            "ring" => Ok(Self::Ring),
            "spots" => Ok(Self::Spots),
            other => {
                Err(Error::Request(format!("no cloud is called {other:?}; there are spiral, moons, ring and spots")))
            }
        }
    }

    /// A point of the curve; `t` runs along it from 0 to 1.
    fn curve(self, label: Label, t: f64) -> [f64; 2] {
        let second = label == Label::B;
        let turned = |radius: f64, angle: f64| [radius * angle.cos(), radius * angle.sin()];
        match self {
            Self::Spiral => turned(0.25 + 1.5 * t, TAU * (0.8 * t + if second { 0.5 } else { 0.0 })),
            Self::Moons => {
                let [x, y] = turned(1.0, TAU / 2.0 * t);
                if second { [0.5 - x, -0.25 - y] } else { [x - 0.5, y - 0.25] }
            }
            Self::Ring => turned(if second { 0.15 * t } else { 1.5 }, TAU * t * if second { 7.0 } else { 1.0 }),
            Self::Spots => turned(1.4, TAU / 8.0 * ((4.0 * t).floor() * 2.0 + f64::from(second))),
        }
    }
}

/// Points with labels, shifted and scaled to mean 0 and variance 1, like latents.
#[derive(Clone, Debug)]
pub struct Cloud {
    points: Vec<[f32; 2]>,
    labels: Vec<Label>,
}

impl Cloud {
    /// `n` points of a shape, half of each colour, slightly scattered.
    ///
    /// # Errors
    /// As [`Cloud::new`].
    pub fn made(shape: Shape, n: usize, seed: u64) -> Result<Self> {
        let along = stream(seed, "cloud", 0).rand(n);
        let scatter = stream(seed, "cloud", 1).randn(2 * n);
        let labels: Vec<Label> = (0..n).map(|i| if i % 2 == 0 { Label::A } else { Label::B }).collect();
        let point = |i: usize| {
            let [x, y] = shape.curve(labels[i], along[i].into());
            [x as f32 + 0.05 * scatter[2 * i], y as f32 + 0.05 * scatter[2 * i + 1]]
        };
        Self::new((0..n).map(point).collect(), labels.clone())
    }

    /// The reader's own points.
    ///
    /// # Errors
    /// [`Error::Request`] for numbers that are not finite, missing labels, or points that are all in one place.
    pub fn new(mut points: Vec<[f32; 2]>, labels: Vec<Label>) -> Result<Self> {
        if points.len() != labels.len() {
            return Err(Error::Request(format!("{} labels for {} points", labels.len(), points.len())));
        }
        if let Some(point) = points.iter().find(|point| !point.iter().all(|x| x.is_finite())) {
            return Err(Error::Request(format!("the point {point:?} is nowhere")));
        }
        let n = points.len() as f32;
        let mut squares = 0.0;
        for axis in [0, 1] {
            let mean = points.iter().map(|point| point[axis]).sum::<f32>() / n;
            points.iter_mut().for_each(|point| point[axis] -= mean);
            squares += points.iter().map(|point| point[axis] * point[axis]).sum::<f32>();
        }
        let scale = (squares / (2.0 * n)).sqrt();
        if points.len() < 2 || scale < 1e-6 {
            return Err(Error::Request(format!(
                "a cloud needs points in at least two places; this one has {} in one. Draw some more",
                points.len()
            )));
        }
        points.iter_mut().flatten().for_each(|x| *x /= scale);
        Ok(Self { points, labels })
    }

    /// The points: mean 0, variance 1 over both axes together.
    pub fn points(&self) -> &[[f32; 2]] {
        &self.points
    }

    /// Their labels.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// `n` random points with their labels. One label in five is hidden, so that a network also learns the cloud as a
    /// whole.
    pub fn draw(&self, generator: &mut Mt19937, n: usize) -> (Vec<[f32; 2]>, Vec<Label>) {
        let (places, hidden) = (generator.rand(n), generator.rand(n));
        let draw = |(place, hidden): (&f32, &f32)| {
            let at = (place * self.points.len() as f32) as usize;
            (self.points[at], if *hidden < 0.2 { Label::None } else { self.labels[at] })
        };
        places.iter().zip(&hidden).map(draw).unzip()
    }

    /// The points of one label; all for [`Label::None`].
    pub fn of(&self, label: Label) -> Vec<[f32; 2]> {
        let pairs = self.points.iter().zip(&self.labels);
        pairs.filter(|(_, of)| label == Label::None || **of == label).map(|(point, _)| *point).collect()
    }
}

/// `n` points of pure noise: both coordinates are normal with mean 0 and variance 1.
pub fn normal_points(generator: &mut impl Generator, n: usize) -> Vec<[f32; 2]> {
    generator.randn(2 * n).as_chunks::<2>().0.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clouds_have_mean_0_and_variance_1() {
        for name in ["spiral", "moons", "ring", "spots"] {
            let cloud = Cloud::made(Shape::named(name).expect("known"), 400, 1).expect("many points");
            let sum = |f: &dyn Fn(&[f32; 2]) -> f32| cloud.points().iter().map(f).sum::<f32>() / 400.0;
            assert!(sum(&|p| p[0]).abs() < 1e-4 && sum(&|p| p[1]).abs() < 1e-4, "{name}");
            assert!((sum(&|p| (p[0] * p[0] + p[1] * p[1]) / 2.0) - 1.0).abs() < 1e-4, "{name}");
            assert_eq!((cloud.of(Label::A).len(), cloud.of(Label::None).len()), (200, 400));
        }
        assert!(Shape::named("cube").expect_err("unknown").to_string().contains("spiral"));
    }

    #[test]
    fn clouds_that_are_none_are_named() {
        let words = |points: Vec<[f32; 2]>| {
            let labels = vec![Label::A; points.len()];
            Cloud::new(points, labels).expect_err("refused").to_string()
        };
        assert!(words(vec![]).contains("this one has 0 in one"));
        assert!(words(vec![[3.0, 4.0]]).contains("needs points in at least two places"));
        assert!(words(vec![[3.0, 4.0]; 9]).contains("this one has 9 in one"));
        assert!(words(vec![[f32::NAN, 0.0], [0.0, 0.0]]).contains("nowhere"));
        assert!(Cloud::new(vec![[0.0; 2], [1.0; 2]], vec![]).is_err() && Label::from_number(3).is_err());
    }
}
