//! Scheduler goldens: every case of `cases/schedulers.json`, and every table of betas beside them.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use fourstep::schedulers::{NoiseSchedule, Scheduler, SchedulerClass, SchedulerConfig, StepOptions, from_config};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

/// Runs all cases on a device: each case's name, and the worst relative L2 over its tensors, step by step, or why
/// there is none. `None` where the scheduler's class is not built.
pub fn cases(reference: &Path, device: &Device) -> Vec<(String, Option<Result<f64, String>>)> {
    let folder = reference.join("cases");
    let manifest = std::fs::read_to_string(folder.join("schedulers.json")).expect("cases/schedulers.json");
    let manifest: Value = serde_json::from_str(&manifest).expect("cases/schedulers.json is JSON");
    let bytes = std::fs::read(folder.join(manifest["file"].as_str().expect("file"))).expect("scheduler tensors");
    let goldens = Goldens { tensors: SafeTensors::deserialize(&bytes).expect("scheduler tensors") };

    let mut results = Vec::new();
    for name in goldens.tensors.names() {
        if let Some(schedule) = name.strip_prefix("alphas_cumprod/") {
            results.push((name.to_string(), Some(goldens.alphas(name, schedule))));
        }
    }
    results.sort_by(|a, b| a.0.cmp(&b.0));
    for case in manifest["cases"].as_array().expect("cases") {
        let name = case["name"].as_str().expect("name").to_string();
        let built = serde_json::from_value::<SchedulerClass>(case["class"].clone()).is_ok();
        let result = built.then(|| goldens.run(&name, case, device));
        results.push((name, result));
    }
    results
}

struct Goldens<'a> {
    tensors: SafeTensors<'a>,
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

impl Goldens<'_> {
    fn get(&self, name: &str) -> Option<Golden> {
        let view = self.tensors.tensor(name).ok()?;
        let values = match view.dtype() {
            Dtype::F32 => {
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect()
            }
            Dtype::I64 => {
                view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect()
            }
            other => panic!("{name}: {other:?}"),
        };
        Some(Golden { shape: view.shape().to_vec(), values })
    }

    fn need(&self, name: &str) -> Result<Golden, String> {
        self.get(name).ok_or_else(|| format!("the golden {name} is missing"))
    }

    /// A table named `<schedule>_<start>_<end>[_zerosnr]`.
    fn alphas(&self, tensor: &str, name: &str) -> Result<f64, String> {
        let (name, zero_snr) = name.strip_suffix("_zerosnr").map_or((name, false), |name| (name, true));
        let parts: Vec<&str> = name.rsplitn(3, '_').collect();
        let [end, start, schedule] = parts[..] else { return Err(format!("no schedule in {name}")) };
        let number = |text: &str| text.parse::<f64>().map_err(|e| format!("{text}: {e}"));
        let config = json!({"_class_name": "DDIMScheduler", "beta_schedule": schedule, "beta_start": number(start)?,
            "beta_end": number(end)?, "rescale_betas_zero_snr": zero_snr});
        let config = SchedulerConfig::parse("schedulers.json", &config.to_string()).map_err(|e| e.to_string())?;
        let schedule = NoiseSchedule::new(&config).map_err(|e| e.to_string())?;
        let expected = self.need(tensor)?.values;
        // Entry by entry: the smallest matter as much as the largest.
        let mut worst = Worst::default();
        worst.add("length", &[schedule.alphas_cumprod().len() as f64], &[expected.len() as f64])?;
        for (a, b) in schedule.alphas_cumprod().iter().zip(&expected) {
            worst.add("alphas_cumprod", &[f64::from(*a)], &[*b])?;
        }
        Ok(worst.0)
    }

    fn run(&self, name: &str, case: &Value, device: &Device) -> Result<f64, String> {
        let mut config = case["config"].clone();
        config["_class_name"] = case["class"].clone();
        let config = SchedulerConfig::parse("schedulers.json", &config.to_string()).map_err(|e| e.to_string())?;
        let mut scheduler = from_config(&config).map_err(|e| e.to_string())?;
        if let Some(mu) = case["set_timesteps"]["mu"].as_f64() {
            scheduler.set_mu(mu);
        }
        let steps = case["set_timesteps"]["num_inference_steps"].as_u64().ok_or("no num_inference_steps")?;
        scheduler.set_timesteps(steps as usize).map_err(|e| e.to_string())?;

        let mut worst = Worst::default();
        let widen = |values: &[f32]| values.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
        let expected = self.need(&format!("{name}/timesteps"))?.values;
        worst.add("timesteps", &widen(scheduler.timesteps()), &expected)?;
        if let Some(golden) = self.get(&format!("{name}/sigmas")) {
            worst.add("sigmas", &widen(scheduler.sigmas().ok_or("no sigmas")?), &golden.values)?;
        }
        let sigma = case["init_noise_sigma"].as_f64().ok_or("no init_noise_sigma")?;
        worst.add("init_noise_sigma", &[scheduler.init_noise_sigma()], &[sigma])?;
        self.walk(name, case, scheduler.as_mut(), &mut worst, device)?;
        self.add_noise(name, scheduler.as_ref(), &mut worst, device)?;
        Ok(worst.0)
    }

    /// All steps of a case; the k-th gets the k-th recorded answer of a network.
    fn walk(
        &self,
        name: &str,
        case: &Value,
        scheduler: &mut dyn Scheduler,
        worst: &mut Worst,
        device: &Device,
    ) -> Result<(), String> {
        let (answers, step_noise) = (self.need("model_outputs")?, self.need("step_noise")?);
        let options = StepOptions { eta: case["step_args"]["eta"].as_f64().unwrap_or(0.0) };
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
            let output = scheduler
                .step(answers.row_tensor(k, device)?, k, sample, &options, &mut draw)
                .map_err(|e| e.to_string())?;
            if draws > before {
                drew_at.push(json!(k));
            }
            worst.add(&format!("prev {k}"), &read(&output.prev_sample), prev.row(k)?)?;
            let x0 = read(&output.pred_original_sample);
            match &pred_x0 {
                Some(golden) => worst.add(&format!("pred_x0 {k}"), &x0, golden.row(k)?)?,
                None if x0.iter().any(|x| !x.is_finite()) => return Err(format!("x0 {k} is not finite")),
                None => {}
            }
            sample = output.prev_sample;
        }
        let calls = case["model_calls"].as_u64().ok_or("no model_calls")?;
        worst.add("model calls", &[scheduler.timesteps().len() as f64], &[calls as f64])?;
        let drew_at = Value::from(drew_at);
        if drew_at != case["noise_used_at_calls"] {
            return Err(format!("noise drawn at {drew_at}, expected {}", case["noise_used_at_calls"]));
        }
        Ok(())
    }

    fn add_noise(
        &self,
        name: &str,
        scheduler: &dyn Scheduler,
        worst: &mut Worst,
        device: &Device,
    ) -> Result<(), String> {
        let Some(golden) = self.get(&format!("{name}/add_noise")) else { return Ok(()) };
        let timesteps = self.need(&format!("{name}/add_noise_timesteps"))?.values;
        let clean = self.need("clean_sample")?.row_tensor(0, device)?;
        let noise = self.need("initial_unit_noise")?.row_tensor(0, device)?;
        let mut indices = Vec::new();
        for t in &timesteps {
            // Fractional timesteps may differ in their last digit.
            let near = |own: &f32| (f64::from(*own) - t).abs() <= 1e-5 * t.abs();
            let mut found = (0..scheduler.timesteps().len()).filter(|i| near(&scheduler.timesteps()[*i]));
            let first = found.next().ok_or_else(|| format!("add_noise: no timestep {t}"))?;
            // Of a repeated timestep the reference takes the second.
            indices.push(found.next().unwrap_or(first));
        }
        let repeat = |x: &Tensor<4>| Tensor::cat(vec![x.clone(); indices.len()], 0);
        let batch = scheduler.add_noise(repeat(&clean), repeat(&noise), &indices).map_err(|e| e.to_string())?;
        worst.add("add_noise of a batch", &read(&batch), &golden.values)?;
        for (k, index) in indices.iter().enumerate() {
            let one = scheduler.add_noise(clean.clone(), noise.clone(), &[*index]).map_err(|e| e.to_string())?;
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
