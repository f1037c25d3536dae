//! DPM-Solver (Lu 2022a) and DPM-Solver++ (Lu 2022b), multistep, orders 1 to 3, as ODE and as SDE.
//!
//! With lambda = ln(alpha / sigma) and h its increase over a step, the ++ solvers integrate the linear part of the ODE
//! of x0 exactly (Lu 2022b, equation 9), the plain ones that of eps (Lu 2022a, equation 3.4).

use std::collections::VecDeque;

use burn::tensor::Tensor;

use super::betas::NoiseSchedule;
use super::config::{AlgorithmType, FinalSigmasType, SchedulerConfig, SolverType};
use super::linear::combine;
use super::plan::Plan;
use super::prediction::Rates;
use super::{Noise, Scheduler, StepOptions, StepOutput, sigmas};
use crate::error::Result;

/// `algorithm_type` dpmsolver++ (default), sde-dpmsolver++, dpmsolver or sde-dpmsolver.
pub struct DpmSolverMultistep {
    config: SchedulerConfig,
    algorithm: AlgorithmType,
    heun: bool,
    schedule: NoiseSchedule,
    plan: Plan,
    /// x0 (++) or eps (plain) of the last steps, newest first.
    outputs: VecDeque<Tensor<4>>,
}

impl DpmSolverMultistep {
    pub fn new(config: SchedulerConfig) -> Result<Self> {
        use AlgorithmType::{DpmSolver, DpmSolverPlusPlus, SdeDpmSolver};
        let algorithm = config.algorithm_type.unwrap_or(DpmSolverPlusPlus);
        let order = config.solver_order();
        if !(1..=3).contains(&order) || (algorithm == SdeDpmSolver && order == 3) {
            return Err(config.error(format!("solver_order is {order}, {algorithm:?} has no such order")));
        }
        let plain = matches!(algorithm, DpmSolver | SdeDpmSolver);
        if plain && config.final_sigmas_type() == FinalSigmasType::Zero {
            return Err(config.error(format!("final_sigmas_type is zero, {algorithm:?} needs sigma_min")));
        }
        let heun = config.solver_type == Some(SolverType::Heun);
        let schedule = NoiseSchedule::new(&config)?.with_finite_sigmas();
        Ok(Self { config, algorithm, heun, schedule, plan: Plan::default(), outputs: VecDeque::new() })
    }

    /// The order of this step: low until the history is full, and at the end of short runs for stability.
    fn order(&self, index: usize) -> usize {
        let steps = self.plan.timesteps.len();
        let careful = self.config.lower_order_final.unwrap_or(true) && steps < 15;
        let first = self.config.euler_at_final.unwrap_or(false)
            || careful
            || self.config.final_sigmas_type() == FinalSigmasType::Zero;
        let order = self.config.solver_order().min(self.outputs.len());
        match steps - 1 - index {
            0 if first => 1,
            1 if careful => order.min(2),
            _ => order,
        }
    }
}

impl Scheduler for DpmSolverMultistep {
    fn set_timesteps(&mut self, num_inference_steps: usize) -> Result<()> {
        let last = last_timestep(&self.config, &self.schedule);
        self.plan = sigmas::whole(&self.config, &self.schedule, num_inference_steps, last)?;
        self.outputs.clear();
        Ok(())
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn step(
        &mut self,
        model_output: Tensor<4>,
        index: usize,
        sample: Tensor<4>,
        _options: &StepOptions,
        noise: &mut Noise,
    ) -> Result<StepOutput> {
        use AlgorithmType::{DpmSolver, DpmSolverPlusPlus, SdeDpmSolver, SdeDpmSolverPlusPlus};
        let kind = self.config.prediction_type();
        let now = self.plan.at(index)?;
        let x0 = now.x0(kind, &sample, &model_output)?;
        self.outputs.push_front(match self.algorithm {
            DpmSolverPlusPlus | SdeDpmSolverPlusPlus => x0.clone(),
            DpmSolver | SdeDpmSolver => now.epsilon(kind, &sample, &model_output),
        });
        self.outputs.truncate(self.config.solver_order());

        let order = self.order(index);
        let next = self.plan.rates[index + 1];
        let history: Vec<f64> = (1..order).map(|k| self.plan.rates[index - k].lambda()).collect();
        let step = StepCoefficients::new(self.algorithm, self.heun, now, next);
        let weights = step.output_weights(now, &history);

        let mut terms = vec![(step.sample, &sample)];
        terms.extend(weights.iter().copied().zip(&self.outputs));
        let fresh;
        if let Some(deviation) = step.noise {
            fresh = noise(sample.dims());
            terms.push((deviation, &fresh));
        }
        let prev_sample = combine(&terms);
        Ok(StepOutput { prev_sample, pred_original_sample: x0 })
    }
}

/// How many timesteps have a lambda of at least `lambda_min_clipped`; all by default.
fn last_timestep(config: &SchedulerConfig, schedule: &NoiseSchedule) -> usize {
    let Some(bound) = config.lambda_min_clipped else {
        return config.num_train_timesteps();
    };
    schedule.sigmas().iter().filter(|sigma| -f64::from(**sigma).ln() >= bound).count()
}

/// One step as `sample x + phi1 D0 + phi2 D1 + phi3 D2 + noise z`, where D0 is the newest output and D1, D2 are its
/// divided differences in lambda (Lu 2022a, appendix B; Lu 2022b, algorithm 2).
struct StepCoefficients {
    sample: f64,
    h: f64,
    d0: f64,
    /// D1 with one older output.
    d1_second_order: f64,
    /// D1 with two older outputs.
    d1_third_order: f64,
    d2: f64,
    noise: Option<f64>,
}

impl StepCoefficients {
    fn new(algorithm: AlgorithmType, heun: bool, now: Rates, next: Rates) -> Self {
        let h = next.lambda() - now.lambda();
        let pick = |midpoint: f64, heun_form: f64| if heun { heun_form } else { midpoint };
        match algorithm {
            AlgorithmType::DpmSolverPlusPlus => {
                let (alpha, phi) = (next.alpha, (-h).exp_m1());
                let d1 = alpha * (phi / h + 1.0);
                Self {
                    sample: next.sigma / now.sigma,
                    h,
                    d0: -alpha * phi,
                    d1_second_order: pick(-0.5 * alpha * phi, d1),
                    d1_third_order: d1,
                    d2: -alpha * ((phi + h) / (h * h) - 0.5),
                    noise: None,
                }
            }
            AlgorithmType::SdeDpmSolverPlusPlus => {
                let (alpha, phi) = (next.alpha, -(-2.0 * h).exp_m1());
                let d1 = alpha * (phi / (-2.0 * h) + 1.0);
                Self {
                    sample: next.sigma / now.sigma * (-h).exp(),
                    h,
                    d0: alpha * phi,
                    d1_second_order: pick(0.5 * alpha * phi, d1),
                    d1_third_order: d1,
                    d2: alpha * ((phi - 2.0 * h) / (4.0 * h * h) - 0.5),
                    noise: Some(next.sigma * phi.max(0.0).sqrt()),
                }
            }
            AlgorithmType::DpmSolver => {
                let (sigma, phi) = (next.sigma, h.exp_m1());
                let d1 = -sigma * (phi / h - 1.0);
                Self {
                    sample: next.alpha / now.alpha,
                    h,
                    d0: -sigma * phi,
                    d1_second_order: pick(-0.5 * sigma * phi, d1),
                    d1_third_order: d1,
                    d2: -sigma * ((phi - h) / (h * h) - 0.5),
                    noise: None,
                }
            }
            AlgorithmType::SdeDpmSolver => {
                let (sigma, phi) = (next.sigma, h.exp_m1());
                Self {
                    sample: next.alpha / now.alpha,
                    h,
                    d0: -2.0 * sigma * phi,
                    d1_second_order: pick(-sigma * phi, -2.0 * sigma * (phi / h - 1.0)),
                    d1_third_order: 0.0,
                    d2: 0.0,
                    noise: Some(sigma * (2.0 * h).exp_m1().max(0.0).sqrt()),
                }
            }
        }
    }

    /// The weights of the outputs, newest first; `history` holds the lambdas of the older ones.
    fn output_weights(&self, now: Rates, history: &[f64]) -> Vec<f64> {
        let h = self.h;
        match history {
            [] => vec![self.d0],
            [s1] => {
                let slope = self.d1_second_order * h / (now.lambda() - s1);
                vec![self.d0 + slope, -slope]
            }
            [s1, s2, ..] => {
                let (r0, r1) = ((now.lambda() - s1) / h, (s1 - s2) / h);
                // D1 = D10 + r0/(r0+r1) (D10 - D11), D2 = (D10 - D11)/(r0+r1), D10 = (m0-m1)/r0, D11 = (m1-m2)/r1
                let d10 = (self.d1_third_order * (1.0 + r0 / (r0 + r1)) + self.d2 / (r0 + r1)) / r0;
                let d11 = -(self.d1_third_order * r0 / (r0 + r1) + self.d2 / (r0 + r1)) / r1;
                vec![self.d0 + d10, d11 - d10, -d11]
            }
        }
    }
}
