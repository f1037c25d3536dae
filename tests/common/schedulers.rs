//! Scheduler goldens: every case of `cases/schedulers.json`, and every table of betas beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use burn::tensor::{Device, Tensor, TensorData};
use fourstep::schedulers::{NoiseSchedule, Scheduler, SchedulerConfig, StepOptions, from_config};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::manifest::{Tolerance, scheduler};
use super::{Case, Failure, Measured, Suite};

const ALPHAS: &str = "alphas_cumprod/";
const SHARED: [&str; 4] = ["model_outputs", "step_noise", "initial_unit_noise", "clean_sample"];
const CASE_TENSORS: [&str; 8] =
    ["timesteps", "sigmas", "initial", "scaled", "prev", "pred_x0", "add_noise_timesteps", "add_noise"];

/// `cases/schedulers.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    file: String,
    sample_shape: [usize; 4],
    tolerance: Tolerance,
    shared_tensors: Vec<String>,
    cases: Vec<SchedulerCase>,
    /// What diffusers itself refuses; it can be no case.
    not_supported_by_reference: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    case: String,
    #[serde(rename = "why")]
    _why: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SchedulerCase {
    name: String,
    class: String,
    config: Map<String, Value>,
    set_timesteps: SetTimesteps,
    step_args: StepArgs,
    init_noise_sigma: f64,
    model_calls: usize,
    noise_used_at_calls: Vec<usize>,
    float64_rerun_rel_l2: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetTimesteps {
    num_inference_steps: usize,
    mu: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepArgs {
    #[serde(default)]
    eta: f64,
}

/// One case a table of betas and one a scheduler's run.
pub fn cases(suite: &Suite) -> Result<Vec<Case<'_>>, String> {
    let manifest: Manifest = suite.json("cases/schedulers.json")?;
    let goldens = Rc::new(Goldens::read(suite, &manifest)?);
    let tolerance = manifest.tolerance;
    let mut cases = Vec::new();
    for name in goldens.tensors.keys().filter(|name| name.starts_with(ALPHAS)) {
        let (goldens, name) = (goldens.clone(), name.clone());
        cases.push(Case::new(format!("scheduler/{name}"), move || within(goldens.alphas(&name)?, &tolerance)));
    }
    for case in manifest.cases {
        let goldens = goldens.clone();
        cases.push(Case::new(format!("scheduler/{}", case.name), move || {
            tolerance.check(&BTreeMap::from([(case.name.clone(), case.float64_rerun_rel_l2)]))?;
            within(goldens.run(&case, &suite.device)?, &tolerance)
        }));
    }
    Ok(cases)
}

fn within(error: f64, tolerance: &Tolerance) -> Result<Measured, Failure> {
    match error <= tolerance.rel_l2 {
        true => Ok(Measured { error, tolerance: tolerance.rel_l2 }),
        false => Err(format!("relative L2 {error:.2e}").into()),
    }
}

/// The file's tensors.
struct Goldens {
    tensors: BTreeMap<String, Golden>,
}

/// One golden with its shape; the first axis counts steps.
struct Golden {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Golden {
    fn row(&self, k: usize) -> Result<&[f64], String> {
        let size: usize = self.shape[1..].iter().product();
        self.values.get(k * size..(k + 1) * size).ok_or_else(|| format!("no row {k} in the golden"))
    }

    fn row_tensor(&self, k: usize, device: &Device) -> Result<Tensor<4>, String> {
        let shape: [usize; 4] = self.shape[self.shape.len() - 4..].try_into().map_err(|_| "not NCHW")?;
        let values: Vec<f32> =
            if self.shape.len() == 4 { &self.values } else { self.row(k)? }.iter().map(|x| *x as f32).collect();
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }
}

impl Goldens {
    /// Refuses a file with tensors that belong to no case, and a manifest whose shared tensors are not there.
    fn read(suite: &Suite, manifest: &Manifest) -> Result<Self, String> {
        let bytes = suite.bytes(&format!("cases/{}", manifest.file))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| format!("{}: {error}", manifest.file))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect(),
                Dtype::I64 => data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
                other => return Err(format!("{name}: numbers of type {other:?}")),
            };
            tensors.insert(name, Golden { shape: view.shape().to_vec(), values });
        }
        let cases: BTreeSet<&str> = manifest.cases.iter().map(|case| case.name.as_str()).collect();
        let owned = |name: &&String| {
            let case = name
                .split_once('/')
                .is_some_and(|(case, tensor)| cases.contains(case) && CASE_TENSORS.contains(&tensor));
            case || name.starts_with(ALPHAS) || manifest.shared_tensors.contains(name)
        };
        if let Some(strange) = tensors.keys().find(|name| !owned(name)) {
            return Err(format!("{}: nothing reads {strange}", manifest.file));
        }
        for name in &manifest.shared_tensors {
            let right = tensors.get(name).is_some_and(|golden| golden.shape.ends_with(&manifest.sample_shape));
            if !right || !SHARED.contains(&name.as_str()) {
                return Err(format!("the shared tensor {name} is missing, of another shape or not read"));
            }
        }
        match manifest.not_supported_by_reference.iter().find(|refused| cases.contains(refused.case.as_str())) {
            Some(refused) => Err(format!("{} is a case and is not supported by the reference", refused.case)),
            None => Ok(Self { tensors }),
        }
    }

    fn get(&self, name: &str) -> Option<&Golden> {
        self.tensors.get(name)
    }

    fn need(&self, name: &str) -> Result<&Golden, String> {
        self.get(name).ok_or_else(|| format!("the golden {name} is missing"))
    }

    /// A table named `alphas_cumprod/<schedule>_<start>_<end>[_zerosnr]`.
    fn alphas(&self, tensor: &str) -> Result<f64, String> {
        let name = tensor.trim_start_matches(ALPHAS);
        let (name, zero_snr) = name.strip_suffix("_zerosnr").map_or((name, false), |name| (name, true));
        let parts: Vec<&str> = name.rsplitn(3, '_').collect();
        let [end, start, schedule] = parts[..] else { return Err(format!("no schedule in {name}")) };
        let number = |text: &str| text.parse::<f64>().map_err(|e| format!("{text}: {e}"));
        let config = json!({"_class_name": "DDIMScheduler", "beta_schedule": schedule, "beta_start": number(start)?,
            "beta_end": number(end)?, "rescale_betas_zero_snr": zero_snr});
        let config = SchedulerConfig::parse("schedulers.json", &config.to_string()).map_err(|e| e.to_string())?;
        let schedule = NoiseSchedule::new(&config).map_err(|e| e.to_string())?;
        let expected = &self.need(tensor)?.values;
        // Entry by entry: the smallest matter as much as the largest.
        let mut worst = Worst::default();
        worst.add("length", &[schedule.alphas_cumprod().len() as f64], &[expected.len() as f64])?;
        for (a, b) in schedule.alphas_cumprod().iter().zip(expected) {
            worst.add("alphas_cumprod", &[f64::from(*a)], &[*b])?;
        }
        Ok(worst.0)
    }

    fn run(&self, case: &SchedulerCase, device: &Device) -> Result<f64, Failure> {
        let name = &case.name;
        let mut config = case.config.clone();
        config.insert("_class_name".to_string(), case.class.as_str().into());
        let mut scheduler = from_config(&scheduler(&config.into())?)?;
        if let Some(mu) = case.set_timesteps.mu {
            scheduler.set_mu(mu);
        }
        scheduler.set_timesteps(case.set_timesteps.num_inference_steps)?;

        let mut worst = Worst::default();
        let widen = |values: &[f32]| values.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        worst.add("timesteps", &widen(scheduler.timesteps()), &self.need(&format!("{name}/timesteps"))?.values)?;
        if let Some(golden) = self.get(&format!("{name}/sigmas")) {
            worst.add("sigmas", &widen(scheduler.sigmas().ok_or("no sigmas")?), &golden.values)?;
        }
        worst.add("init_noise_sigma", &[scheduler.init_noise_sigma()], &[case.init_noise_sigma])?;
        self.walk(case, scheduler.as_mut(), &mut worst, device)?;
        self.add_noise(name, scheduler.as_ref(), &mut worst, device)?;
        Ok(worst.0)
    }

    /// All steps of a case; the k-th gets the k-th recorded answer of a network.
    fn walk(
        &self,
        case: &SchedulerCase,
        scheduler: &mut dyn Scheduler,
        worst: &mut Worst,
        device: &Device,
    ) -> Result<(), Failure> {
        let name = &case.name;
        let (answers, step_noise) = (self.need("model_outputs")?, self.need("step_noise")?);
        let options = StepOptions { eta: case.step_args.eta };
        let scaled = self.get(&format!("{name}/scaled"));
        let prev = self.need(&format!("{name}/prev"))?;
        let pred_x0 = self.get(&format!("{name}/pred_x0"));
        let unit = self.need("initial_unit_noise")?.row_tensor(0, device)?;
        let mut sample = unit.mul_scalar(scheduler.init_noise_sigma() as f32);
        worst.add("initial", &read(&sample), &self.need(&format!("{name}/initial"))?.values)?;

        let (mut draws, mut drew_at) = (0, Vec::new());
        for k in 0..scheduler.timesteps().len() {
            let input = scheduler.scale_model_input(sample.clone(), k);
            match &scaled {
                Some(golden) => worst.add("scaled", &read(&input), golden.row(k)?)?,
                None => worst.add("scaled", &read(&input), &read(&sample))?,
            }
            let before = draws;
            let mut draw = |_: [usize; 4]| {
                draws += 1;
                step_noise.row_tensor(draws - 1, device).expect("step_noise")
            };
            let output = scheduler.step(answers.row_tensor(k, device)?, k, sample, &options, &mut draw)?;
            if draws > before {
                drew_at.push(k);
            }
            worst.add(&format!("prev {k}"), &read(&output.prev_sample), prev.row(k)?)?;
            let x0 = read(&output.pred_original_sample);
            match &pred_x0 {
                Some(golden) => worst.add(&format!("pred_x0 {k}"), &x0, golden.row(k)?)?,
                None if x0.iter().any(|x| !x.is_finite()) => return Err(format!("x0 {k} is not finite").into()),
                None => {}
            }
            sample = output.prev_sample;
        }
        if scheduler.timesteps().len() != case.model_calls {
            let calls = scheduler.timesteps().len();
            return Err(format!("{calls} calls of the network, expected {}", case.model_calls).into());
        }
        if drew_at != case.noise_used_at_calls {
            return Err(format!("noise drawn at {drew_at:?}, expected {:?}", case.noise_used_at_calls).into());
        }
        Ok(())
    }

    fn add_noise(
        &self,
        name: &str,
        scheduler: &dyn Scheduler,
        worst: &mut Worst,
        device: &Device,
    ) -> Result<(), Failure> {
        let Some(golden) = self.get(&format!("{name}/add_noise")) else { return Ok(()) };
        let timesteps = &self.need(&format!("{name}/add_noise_timesteps"))?.values;
        let clean = self.need("clean_sample")?.row_tensor(0, device)?;
        let noise = self.need("initial_unit_noise")?.row_tensor(0, device)?;
        let mut indices = Vec::new();
        for t in timesteps {
            // Fractional timesteps may differ in their last digit.
            let near = |own: &f32| (f64::from(*own) - t).abs() <= 1e-5 * t.abs();
            let mut found = (0..scheduler.timesteps().len()).filter(|i| near(&scheduler.timesteps()[*i]));
            let first = found.next().ok_or_else(|| format!("add_noise: no timestep {t}"))?;
            // Of a repeated timestep the reference takes the second.
            indices.push(found.next().unwrap_or(first));
        }
        let repeat = |x: &Tensor<4>| Tensor::cat(vec![x.clone(); indices.len()], 0);
        let batch = scheduler.add_noise(repeat(&clean), repeat(&noise), &indices)?;
        worst.add("add_noise of a batch", &read(&batch), &golden.values)?;
        for (k, index) in indices.iter().enumerate() {
            let one = scheduler.add_noise(clean.clone(), noise.clone(), &[*index])?;
            worst.add("add_noise", &read(&one), golden.row(k)?)?;
        }
        Ok(())
    }
}

/// The largest relative L2 so far.
#[derive(Default)]
struct Worst(f64);

impl Worst {
    fn add(&mut self, what: &str, found: &[f64], expected: &[f64]) -> Result<(), String> {
        if found.len() != expected.len() {
            return Err(format!("{what}: {} values, expected {}", found.len(), expected.len()));
        }
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
        let difference = norm(&mut found.iter().zip(expected).map(|(a, b)| a - b));
        let size = norm(&mut expected.iter().copied());
        let relative = if size > 0.0 { difference / size } else { difference };
        if !relative.is_finite() {
            return Err(format!("{what}: not finite"));
        }
        self.0 = self.0.max(relative);
        Ok(())
    }
}

fn read(tensor: &Tensor<4>) -> Vec<f64> {
    tensor.clone().into_data().try_to_vec::<f32>().expect("float32").into_iter().map(f64::from).collect()
}
