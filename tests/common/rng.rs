//! The random number cases of a reference set: `cases/rng.json` names the tolerances, `cases/rng.safetensors` holds the
//! numbers. Every tensor there becomes a case; one of an unknown kind is an error that says so.

use fourstep::random::{Generator, Mt19937, NumpyLegacy, Philox, WichmannHill, philox4x32_10};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use std::path::Path;

/// Each case with its worst absolute error, or with why it failed: out of tolerance, unknown, unreadable.
pub fn cases(reference: &Path) -> Vec<(String, Result<f64, String>)> {
    match read(reference) {
        Ok((manifest, bytes)) => {
            let tensors = match SafeTensors::deserialize(&bytes) {
                Ok(tensors) => tensors,
                Err(error) => return vec![("rng".into(), Err(format!("rng.safetensors: {error}")))],
            };
            let mut names = tensors.names();
            names.sort_unstable();
            let tensor_case = |name: &str| {
                let view = tensors.tensor(name).map_err(|e| e.to_string())?;
                tensor_case(&manifest, name, &numbers(&view)?)
            };
            let mut all: Vec<_> = names.iter().map(|name| (format!("rng {name}"), tensor_case(name))).collect();
            all.extend(wichmann_hill_cases(&manifest));
            all
        }
        Err(message) => vec![("rng".into(), Err(message))],
    }
}

fn read(reference: &Path) -> Result<(Value, Vec<u8>), String> {
    let file = |name: &str| {
        let path = reference.join("cases").join(name);
        std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let manifest = serde_json::from_slice(&file("rng.json")?).map_err(|error| format!("rng.json: {error}"))?;
    Ok((manifest, file("rng.safetensors")?))
}

/// `name` is `SEED/KIND` or `philox/SEED/KIND`.
fn tensor_case(manifest: &Value, name: &str, golden: &[f64]) -> Result<f64, String> {
    let n = golden.len();
    let (mine, key) = if let Some(rest) = name.strip_prefix("philox/") {
        let (seed, kind) = split(rest)?;
        match kind {
            "u32" => (philox_words(seed, n / 4), "philox u32"),
            _ => {
                let offset = kind.strip_prefix("offset").and_then(|k| k.strip_suffix("_f64"));
                let offset = offset.and_then(|k| k.parse().ok()).ok_or(format!("no generator for {kind}"))?;
                (wide(Philox::at(seed, offset).randn(n)), "philox")
            }
        }
    } else {
        let (seed, kind) = split(name)?;
        let mut mt = Mt19937::new(seed);
        match kind {
            "mt_u32" => ((0..n).map(|_| mt.next_u32().into()).collect(), kind),
            "rand" => (wide(mt.rand(n)), kind),
            "randint_0_1000" => (mt.randint(0, 1000, n).into_iter().map(|i| i as f64).collect(), kind),
            "randn_sequence" => (sequence(manifest, mt)?, "randn"),
            "numpy_legacy_standard_normal_f64" => {
                let mut numpy = NumpyLegacy::new(seed.try_into().map_err(|_| "numpy's seeds have 32 bits")?);
                ((0..n).map(|_| numpy.standard_normal()).collect(), "randn_f64")
            }
            _ if kind.starts_with("randn_") && kind.ends_with("_f64") => (mt.randn_f64(n), "randn_f64"),
            _ if kind.starts_with("randn_") && kind.ends_with("_f16") => {
                return half_precision(&mt.randn(n), golden, tolerance(manifest, "randn")?);
            }
            _ if kind.strip_prefix("randn_").is_some_and(|k| k.parse() == Ok(n)) => (wide(mt.randn(n)), "randn"),
            _ => return Err(format!("no generator for {kind}")),
        }
    };
    within(&mine, golden, tolerance(manifest, key)?)
}

/// The values are those of single precision, rounded: half a step of half precision apart at most.
fn half_precision(mine: &[f32], golden: &[f64], bound: f64) -> Result<f64, String> {
    let excess = |(&a, &b): (&f32, &f64)| (f64::from(a) - b).abs() - b.abs().max(6.2e-5) / 2048.0;
    let worst = mine.iter().zip(golden).map(excess).fold(0.0, f64::max);
    if worst <= bound { Ok(worst) } else { Err(format!("beyond rounding by {worst:.1e}, tolerance {bound:.1e}")) }
}

fn sequence(manifest: &Value, mut mt: Mt19937) -> Result<Vec<f64>, String> {
    let sizes = manifest["sequence_sizes"].as_array().ok_or("rng.json: no sequence_sizes")?;
    Ok(sizes.iter().flat_map(|n| wide(mt.randn(n.as_u64().unwrap_or(0) as usize))).collect())
}

fn philox_words(seed: u64, n: usize) -> Vec<f64> {
    let key = [seed as u32, (seed >> 32) as u32];
    (0..n as u32).flat_map(|i| philox4x32_10([0, 0, i, 0], key)).map(f64::from).collect()
}

fn wichmann_hill_cases(manifest: &Value) -> Vec<(String, Result<f64, String>)> {
    let Some(list) = manifest["wichmann_hill"].as_array() else {
        return vec![("rng wichmann_hill".into(), Err("rng.json: no wichmann_hill".into()))];
    };
    let name = |case: &Value| match case.get("integer_seed") {
        Some(seed) => format!("rng wichmann_hill/seed {seed}"),
        None => format!("rng wichmann_hill/state {}", case["state"]),
    };
    list.iter().map(|case| (name(case), wichmann_hill_case(manifest, case))).collect()
}

fn wichmann_hill_case(manifest: &Value, case: &Value) -> Result<f64, String> {
    let list = |key: &str| -> Result<Vec<f64>, String> {
        let values = case[key].as_array().ok_or(format!("rng.json: wichmann_hill without {key}"))?;
        values.iter().map(|v| v.as_f64().ok_or(format!("rng.json: {key} holds {v}"))).collect()
    };
    let state = list("state")?;
    let mut generator = match case.get("integer_seed") {
        Some(seed) => WichmannHill::new(seed.as_u64().ok_or(format!("rng.json: integer_seed {seed}"))?),
        None => {
            let state: [f64; 3] = state.clone().try_into().map_err(|_| "rng.json: a state has three numbers")?;
            WichmannHill::from_state(state.map(|x| x as u32)).map_err(|error| error.to_string())?
        }
    };
    within(&generator.state().map(f64::from), &state, 0.0)?;
    let values = list("values")?;
    let mine: Vec<f64> = values.iter().map(|_| generator.random()).collect();
    within(&generator.state().map(f64::from), &list("state_after")?, 0.0)?;
    within(&mine, &values, tolerance(manifest, "wichmann_hill")?)
}

fn within(mine: &[f64], golden: &[f64], bound: f64) -> Result<f64, String> {
    if mine.len() != golden.len() {
        return Err(format!("{} values, the golden has {}", mine.len(), golden.len()));
    }
    let errors = mine.iter().zip(golden).map(|(a, b)| (a - b).abs()).enumerate();
    let (at, worst) = errors.fold((0, 0.0), |best, e| if e.1 > best.1 || e.1.is_nan() { e } else { best });
    if worst <= bound { Ok(worst) } else { Err(format!("value {at} is off by {worst:.1e}, tolerance {bound:.1e}")) }
}

/// "exact", or "max abs X" and perhaps a remark.
fn tolerance(manifest: &Value, key: &str) -> Result<f64, String> {
    let text = manifest["tolerance"][key].as_str().ok_or(format!("rng.json: no tolerance for {key}"))?;
    if text == "exact" {
        return Ok(0.0);
    }
    let number = text.strip_prefix("max abs ").and_then(|rest| rest.split(' ').next());
    number.and_then(|x| x.parse().ok()).ok_or(format!("rng.json: tolerance of {key} is {text:?}"))
}

fn split(name: &str) -> Result<(u64, &str), String> {
    let (seed, kind) = name.split_once('/').ok_or(format!("{name}: no seed"))?;
    Ok((seed.parse().map_err(|_| format!("{name}: {seed} is no seed"))?, kind))
}

fn wide(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

fn numbers(view: &TensorView<'_>) -> Result<Vec<f64>, String> {
    let bytes = view.data();
    Ok(match view.dtype() {
        Dtype::I64 => bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
        Dtype::F64 => bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect(),
        Dtype::F16 => bytes.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f64()).collect(),
        other => return Err(format!("numbers of type {other:?}")),
    })
}
