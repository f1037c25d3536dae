//! DDIM steps, and the targets of the students, as rotations.
//!
//! Let z = α x + σ ε, α² + σ² = 1 and v = α ε - σ x (Salimans & Ho, 2022, appendix D). With α = cos φ and σ = sin φ,
//! (z, v) is (x, ε) rotated by φ, and a DDIM step from the angle φ_t to φ_s is z_s = cos(φ_t - φ_s) z_t - sin(φ_t -
//! φ_s) v. Solved for v, this says which v leads one step of a student to where several steps of its teacher arrived.
//! In terms of x this is the target of Salimans & Ho (appendix G), x̃ = (z_s - σ_s/σ_t z_t) / (α_s - σ_s/σ_t α_t),
//! which is the `invDDIM` of Heek et al. (2024, section 3). Nothing is divided by the signal, so it also holds at zero
//! SNR (α_t = 0).

use burn::tensor::Tensor;

use crate::schedulers::{NoiseSchedule, SchedulerConfig, TimestepSpacing, mix, spaced_integers};
use crate::{Error, Result};

/// Signal and noise rate at one point of the path, α² + σ² = 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// α: 1 at the finished latents, 0 at pure noise (zero SNR).
    pub signal: f64,
    /// σ: 0 at the finished latents, 1 at pure noise.
    pub noise: f64,
}

impl Point {
    /// The finished latents.
    pub const END: Self = Self { signal: 1.0, noise: 0.0 };

    /// The point at a timestep of training.
    ///
    /// # Panics
    /// Beyond the schedule.
    pub fn at(schedule: &NoiseSchedule, timestep: usize) -> Self {
        let a = f64::from(schedule.alphas_cumprod()[timestep]);
        Self { signal: a.sqrt(), noise: (1.0 - a).sqrt() }
    }

    /// cos and sin of the angle from `to` to here.
    fn turn(self, to: Self) -> (f64, f64) {
        (self.signal * to.signal + self.noise * to.noise, self.noise * to.signal - self.signal * to.noise)
    }

    /// The factor that turns the squared error of v into a squared error of x weighted by max(SNR, 1) (Salimans & Ho,
    /// section 4, "truncated SNR"). Without it, the error of v is that of x weighted by SNR + 1.
    pub fn truncated_snr(self) -> f64 {
        // SNR / (SNR + 1) = α², 1 / (SNR + 1) = σ².
        (self.signal * self.signal).max(self.noise * self.noise)
    }
}

/// One DDIM step (Song et al., 2020, equation 12, η = 0) from latents `z` `[n, c, h, w]` with the predicted velocity
/// `v`, with a start and an end for each sample.
///
/// # Errors
/// [`Error::Request`] if the numbers of points and samples differ.
pub fn ddim_step(z: Tensor<4>, v: Tensor<4>, from: &[Point], to: &[Point]) -> Result<Tensor<4>> {
    let turns: Vec<_> = turns(from, to).map(|(cos, sin)| (cos, -sin)).collect();
    mix(z, v, &turns)
}

/// The velocity with which one DDIM step from `z` ends in `z_end`, with a start and an end for each sample.
///
/// # Errors
/// [`Error::Request`] for a step of length 0, or if the numbers of points and samples differ.
pub fn velocity_between(z: Tensor<4>, z_end: Tensor<4>, from: &[Point], to: &[Point]) -> Result<Tensor<4>> {
    let inverse: Vec<_> = turns(from, to).map(|(cos, sin)| (cos / sin, -1.0 / sin)).collect();
    if inverse.iter().any(|(a, b)| !a.is_finite() || !b.is_finite()) {
        return Err(Error::Request("a step from a point to itself has no velocity".into()));
    }
    mix(z, z_end, &inverse)
}

fn turns<'a>(from: &'a [Point], to: &'a [Point]) -> impl Iterator<Item = (f64, f64)> + 'a {
    from.iter().zip(to).map(|(from, to)| from.turn(*to))
}

/// The timesteps of a run of n steps, from noise to picture, with their points.
#[derive(Clone, Debug)]
pub struct Grid {
    timesteps: Vec<usize>,
    points: Vec<Point>,
}

impl Grid {
    /// The scheduler's own timesteps for `steps` steps.
    ///
    /// # Errors
    /// [`Error::Config`] if the spacing is not `trailing`: only such grids contain each other and begin at pure noise;
    /// [`Error::Request`] for more steps than timesteps.
    pub fn new(config: &SchedulerConfig, schedule: &NoiseSchedule, steps: usize) -> Result<Self> {
        if config.timestep_spacing() != TimestepSpacing::Trailing {
            let reason = "timestep_spacing must be \"trailing\" for distillation";
            return Err(Error::Config { file: "scheduler".into(), reason: reason.into() });
        }
        let timesteps = spaced_integers(config, steps)?;
        let points = timesteps.iter().map(|t| Point::at(schedule, *t)).chain([Point::END]).collect();
        Ok(Self { timesteps, points })
    }

    /// The number of steps.
    pub fn steps(&self) -> usize {
        self.timesteps.len()
    }

    /// The timestep at which step `i` starts, as the network takes it; 0 after the last step.
    pub fn timestep(&self, i: usize) -> f32 {
        self.timesteps.get(i).copied().unwrap_or_default() as f32
    }

    /// The point at which step `i` starts; after the last step, the end of the path.
    ///
    /// # Panics
    /// Beyond that.
    pub fn point(&self, i: usize) -> Point {
        self.points[i]
    }

    /// Timesteps and points of step starts, for a batch.
    pub fn at(&self, indices: &[usize]) -> (Vec<f32>, Vec<Point>) {
        indices.iter().map(|i| (self.timestep(*i), self.point(*i))).unzip()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn tensor(values: &[f64]) -> Tensor<4> {
        let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
        let n = values.len();
        Tensor::from_data(TensorData::new(values, [n, 1, 1, 1]), &Device::flex())
    }

    fn close(found: Tensor<4>, expected: &[f64]) {
        let found: Vec<f64> = found.into_data().iter::<f64>().collect();
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 2e-5 * b.abs().max(1.0), "{found:?} is not {expected:?}");
        }
    }

    fn scheduler() -> (SchedulerConfig, NoiseSchedule) {
        let text = include_str!("../../models/stickers-teacher/scheduler/scheduler_config.json");
        let config = SchedulerConfig::parse("s", text).unwrap();
        let schedule = NoiseSchedule::new(&config).unwrap();
        (config, schedule)
    }

    /// By hand: α 0.6, σ 0.8, x 2, ε -1 give z = 0.4, v = -2.2. At α 0.8, σ 0.6: z = 1.6 - 0.6 = 1.
    #[test]
    fn a_ddim_step_keeps_x_and_noise() {
        let (from, to) = (Point { signal: 0.6, noise: 0.8 }, Point { signal: 0.8, noise: 0.6 });
        close(ddim_step(tensor(&[0.4]), tensor(&[-2.2]), &[from], &[to]).unwrap(), &[1.0]);
        close(velocity_between(tensor(&[0.4]), tensor(&[1.0]), &[from], &[to]).unwrap(), &[-2.2]);
    }

    /// Without signal v is -x, and the last step ends at x.
    #[test]
    fn the_limits_at_zero_snr_and_at_the_last_step() {
        let noise = Point { signal: 0.0, noise: 1.0 };
        let late = Point { signal: 0.96, noise: 0.28 };
        // z = ε = 0.7 and x = 3, v = -3; one step to the end is x.
        close(ddim_step(tensor(&[0.7]), tensor(&[-3.0]), &[noise], &[Point::END]).unwrap(), &[3.0]);
        close(velocity_between(tensor(&[0.7]), tensor(&[3.0]), &[noise], &[Point::END]).unwrap(), &[-3.0]);
        // From noise to late: 0.96 x 3 + 0.28 x 0.7 = 3.076.
        close(velocity_between(tensor(&[0.7]), tensor(&[3.076]), &[noise], &[late]).unwrap(), &[-3.0]);
        // From late to the end: x = 3 whatever the noise; v = 0.96 x 0.7 - 0.28 x 3 = -0.168.
        close(velocity_between(tensor(&[3.076]), tensor(&[3.0]), &[late], &[Point::END]).unwrap(), &[-0.168]);
        assert!(velocity_between(tensor(&[1.0]), tensor(&[1.0]), &[late], &[late]).is_err());
        assert_eq!((noise.truncated_snr(), Point::END.truncated_snr()), (1.0, 1.0));
        assert!((Point { signal: 0.6, noise: 0.8 }.truncated_snr() - 0.64).abs() < 1e-12);
    }

    /// Algorithm 2 of Salimans & Ho in terms of x instead of v, in float64, by tests/reference/distillation_golden.py:
    /// two teacher steps with predictions x1 and x2, the student's x̃ = (z'' - r z) / (α'' - r α) with r = σ''/σ, and
    /// its v.
    #[test]
    fn two_steps_of_a_teacher_become_one() {
        for case in golden() {
            let (t, middle, end) = (case.points[0], case.points[1], case.points[2]);
            let first = ddim_step(tensor(&[case.z]), tensor(&[case.v[0]]), &[t], &[middle]).unwrap();
            close(first.clone(), &[case.middle]);
            let second = ddim_step(first, tensor(&[case.v[1]]), &[middle], &[end]).unwrap();
            close(second.clone(), &[case.end]);
            let v = velocity_between(tensor(&[case.z]), second, &[t], &[end]).unwrap();
            close(v.clone(), &[case.student_v]);
            close(ddim_step(tensor(&[case.z]), v, &[t], &[Point::END]).unwrap(), &[case.student_x]);
        }
    }

    struct Case {
        points: [Point; 3],
        z: f64,
        v: [f64; 2],
        middle: f64,
        end: f64,
        student_x: f64,
        student_v: f64,
    }

    fn golden() -> Vec<Case> {
        let text = include_str!("../../tests/golden/distillation.json");
        let cases: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        let number = |value: &serde_json::Value| value.as_f64().unwrap();
        let case = |case: &serde_json::Value| Case {
            points: [0, 1, 2].map(|i| Point { signal: number(&case["alpha"][i]), noise: number(&case["sigma"][i]) }),
            z: number(&case["z"]),
            v: [0, 1].map(|i| number(&case["v"][i])),
            middle: number(&case["z_middle"]),
            end: number(&case["z_end"]),
            student_x: number(&case["student_x"]),
            student_v: number(&case["student_v"]),
        };
        assert!(cases.len() >= 12);
        cases.iter().map(case).collect()
    }

    #[test]
    fn each_grid_lies_in_the_next_finer_one() {
        let (config, schedule) = scheduler();
        let grid = |steps| Grid::new(&config, &schedule, steps).unwrap();
        for steps in [32, 16, 8, 4, 2, 1] {
            let (coarse, fine) = (grid(steps), grid(2 * steps));
            for i in 0..=steps {
                assert_eq!((coarse.timestep(i), coarse.point(i)), (fine.timestep(2 * i), fine.point(2 * i)));
            }
        }
        assert_eq!(grid(4).at(&[0, 3]).0, [999.0, 249.0]);
        assert_eq!((grid(4).point(0).signal, grid(4).point(4)), (0.0, Point::END));
    }

    #[test]
    fn other_spacings_are_refused() {
        let text = r#"{"_class_name": "DDIMScheduler", "timestep_spacing": "leading"}"#;
        let config = SchedulerConfig::parse("s", text).unwrap();
        let schedule = NoiseSchedule::new(&config).unwrap();
        assert!(Grid::new(&config, &schedule, 4).unwrap_err().to_string().contains("trailing"));
    }
}
