//! The random number cases of a set: `cases/rng.json` names the tolerances, `cases/rng.safetensors` holds the numbers.
//! Every tensor there is a case; one of an unknown kind is an error that says so.

use std::collections::BTreeMap;
use std::rc::Rc;

use fourstep::random::{Generator, Mt19937, NumpyLegacy, Philox, WichmannHill, philox4x32_10};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::manifest::{Described, Tensors, parse};
use super::{Case, Failure, Measured, Suite};

/// `cases/rng.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    file: Option<String>,
    #[serde(default)]
    seeds: Vec<u64>,
    #[serde(default)]
    randn_sizes: Vec<usize>,
    #[serde(default)]
    sequence_sizes: Vec<usize>,
    #[serde(default)]
    philox_seeds: Vec<u64>,
    tolerance: Tolerances,
    #[serde(rename = "max_abs_difference_torch_vs_double_precision_formula")]
    _max_abs_difference: Option<IgnoredAny>,
    #[serde(rename = "checks")]
    _checks: Option<IgnoredAny>,
    wichmann_hill: Vec<WichmannHillCase>,
    #[serde(default)]
    tensors: Tensors,
}

/// Each "exact", or "max abs X" and perhaps a remark.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tolerances {
    mt_u32: Option<String>,
    rand: Option<String>,
    randint_0_1000: Option<String>,
    randn: Option<String>,
    randn_f64: Option<String>,
    #[serde(rename = "philox u32")]
    philox_u32: Option<String>,
    philox: Option<String>,
    wichmann_hill: Option<String>,
}

/// A generator after an integer, or in a state.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WichmannHillCase {
    integer_seed: Option<Integer>,
    state: [u32; 3],
    values: Vec<f64>,
    state_after: [u32; 3],
}

/// A number of JSON, or its digits where it is too long for one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Integer {
    Short(i64),
    Digits(String),
}

impl std::fmt::Display for Integer {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Short(number) => number.fmt(f),
            Self::Digits(digits) => digits.fmt(f),
        }
    }
}

/// One case a tensor, and one a state or seed of Wichmann and Hill's generator.
pub fn cases(suite: &Suite) -> Result<Vec<Case<'_>>, String> {
    let text = String::from_utf8(suite.bytes("cases/rng.json")?).map_err(|error| format!("rng.json: {error}"))?;
    let manifest: Rc<Manifest> = Rc::new(parse("rng.json", &with_long_integers_quoted(&text))?);
    let goldens = goldens(suite, &manifest)?;
    complete(&manifest)?;
    let mut cases = Vec::new();
    for (name, golden) in goldens {
        let manifest = manifest.clone();
        cases.push(Case::new(format!("rng/{name}"), move || tensor_case(&manifest, &name, &golden)));
    }
    for index in 0..manifest.wichmann_hill.len() {
        let manifest = manifest.clone();
        let name = match &manifest.wichmann_hill[index].integer_seed {
            Some(seed) => format!("rng/wichmann_hill/seed {seed}"),
            None => format!("rng/wichmann_hill/state {:?}", manifest.wichmann_hill[index].state),
        };
        cases.push(Case::new(name, move || wichmann_hill(&manifest, &manifest.wichmann_hill[index])));
    }
    Ok(cases)
}

/// The numbers of the file, which must hold what the manifest describes.
fn goldens(suite: &Suite, manifest: &Manifest) -> Result<BTreeMap<String, Vec<f64>>, String> {
    let Some(file) = &manifest.file else { return Ok(BTreeMap::new()) };
    let bytes = suite.bytes(&format!("cases/{file}"))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| format!("{file}: {error}"))?;
    let mut goldens = BTreeMap::new();
    for (name, view) in tensors.tensors() {
        let numbers = numbers(&view)?;
        let shape_of = |described: &Described| described.shape == view.shape();
        if !manifest.tensors.get(&name).is_some_and(shape_of) {
            return Err(format!("rng.json does not describe {name} as it is"));
        }
        goldens.insert(name, numbers);
    }
    match manifest.tensors.keys().find(|name| !goldens.contains_key(*name)) {
        Some(missing) => Err(format!("{file} lacks {missing}")),
        None => Ok(goldens),
    }
}

/// Every seed and size that the manifest names must have its tensors.
fn complete(manifest: &Manifest) -> Result<(), String> {
    let mut wanted: Vec<String> = manifest.philox_seeds.iter().map(|seed| format!("philox/{seed}/u32")).collect();
    for seed in &manifest.seeds {
        wanted.extend(["mt_u32", "rand", "randn_sequence"].map(|kind| format!("{seed}/{kind}")));
        wanted.extend(manifest.randn_sizes.iter().map(|n| format!("{seed}/randn_{n}")));
    }
    match wanted.iter().find(|name| !manifest.tensors.contains_key(*name)) {
        Some(missing) => Err(format!("rng.json names no tensor {missing}")),
        None => Ok(()),
    }
}

/// The JSON with integers of more than 18 digits in quotes: Python writes them all, and a number of JSON is read as f64.
fn with_long_integers_quoted(text: &str) -> String {
    const KEY: &str = "\"integer_seed\":";
    let mut parts = text.split(KEY);
    let mut quoted = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let rest = part.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(end);
        let quote = if end > 18 { "\"" } else { "" };
        quoted.extend([KEY, " ", quote, digits, quote, rest]);
    }
    quoted
}

/// `name` is `SEED/KIND` or `philox/SEED/KIND`.
fn tensor_case(manifest: &Manifest, name: &str, golden: &[f64]) -> Result<Measured, Failure> {
    let allowed = &manifest.tolerance;
    let n = golden.len();
    let (mine, allowed) = if let Some(rest) = name.strip_prefix("philox/") {
        let (seed, kind) = split(rest)?;
        match kind {
            "u32" => (philox_words(seed, n / 4), &allowed.philox_u32),
            _ => {
                let offset = kind.strip_prefix("offset").and_then(|k| k.strip_suffix("_f64"));
                let offset = offset.and_then(|k| k.parse().ok()).ok_or(format!("no generator for {kind}"))?;
                (wide(Philox::at(seed, offset).randn(n)), &allowed.philox)
            }
        }
    } else {
        let (seed, kind) = split(name)?;
        let mut mt = Mt19937::new(seed);
        match kind {
            "mt_u32" => ((0..n).map(|_| mt.next_u32().into()).collect(), &allowed.mt_u32),
            "rand" => (wide(mt.rand(n)), &allowed.rand),
            "randint_0_1000" => {
                (mt.randint(0, 1000, n).into_iter().map(|i| i as f64).collect(), &allowed.randint_0_1000)
            }
            "randn_sequence" => (sequence(manifest, mt), &allowed.randn),
            "numpy_legacy_standard_normal_f64" => {
                let mut numpy = NumpyLegacy::new(seed.try_into().map_err(|_| "numpy's seeds have 32 bits")?);
                ((0..n).map(|_| numpy.standard_normal()).collect(), &allowed.randn_f64)
            }
            _ if kind.starts_with("randn_") && kind.ends_with("_f64") => (mt.randn_f64(n), &allowed.randn_f64),
            _ if kind.starts_with("randn_") && kind.ends_with("_f16") => {
                return half_precision(&mt.randn(n), golden, tolerance(&allowed.randn)?);
            }
            _ if kind.strip_prefix("randn_").is_some_and(|k| k.parse() == Ok(n)) => (wide(mt.randn(n)), &allowed.randn),
            _ => return Err(format!("no generator for {kind}").into()),
        }
    };
    within(&mine, golden, tolerance(allowed)?)
}

/// The values are those of single precision, rounded: half a step of half precision apart at most.
fn half_precision(mine: &[f32], golden: &[f64], bound: f64) -> Result<Measured, Failure> {
    if mine.len() != golden.len() {
        return Err(format!("{} values, the golden has {}", mine.len(), golden.len()).into());
    }
    let excess = |(&a, &b): (&f32, &f64)| (f64::from(a) - b).abs() - b.abs().max(6.2e-5) / 2048.0;
    let worst = mine.iter().zip(golden).map(excess).fold(0.0, f64::max);
    match worst <= bound {
        true => Ok(Measured { error: worst, tolerance: bound }),
        false => Err(format!("beyond rounding by {worst:.1e}, tolerance {bound:.1e}").into()),
    }
}

fn sequence(manifest: &Manifest, mut mt: Mt19937) -> Vec<f64> {
    manifest.sequence_sizes.iter().flat_map(|n| wide(mt.randn(*n))).collect()
}

fn philox_words(seed: u64, n: usize) -> Vec<f64> {
    let key = [seed as u32, (seed >> 32) as u32];
    (0..n as u32).flat_map(|i| philox4x32_10([0, 0, i, 0], key)).map(f64::from).collect()
}

fn wichmann_hill(manifest: &Manifest, case: &WichmannHillCase) -> Result<Measured, Failure> {
    let mut generator = match &case.integer_seed {
        Some(seed) => WichmannHill::from_decimal(&seed.to_string())?,
        None => WichmannHill::from_state(case.state)?,
    };
    let short = match &case.integer_seed {
        Some(seed) => seed.to_string().parse::<i128>().ok(),
        None => None,
    };
    if short.is_some_and(|seed| WichmannHill::new(seed).state() != case.state) || generator.state() != case.state {
        return Err(format!("the state begins as {:?}, expected {:?}", generator.state(), case.state).into());
    }
    let mine: Vec<f64> = case.values.iter().map(|_| generator.random()).collect();
    if generator.state() != case.state_after {
        return Err(format!("the state ends as {:?}, expected {:?}", generator.state(), case.state_after).into());
    }
    within(&mine, &case.values, tolerance(&manifest.tolerance.wichmann_hill)?)
}

fn within(mine: &[f64], golden: &[f64], bound: f64) -> Result<Measured, Failure> {
    if mine.len() != golden.len() || golden.is_empty() {
        return Err(format!("{} values, the golden has {}", mine.len(), golden.len()).into());
    }
    let errors = mine.iter().zip(golden).map(|(a, b)| (a - b).abs()).enumerate();
    let (at, worst) = errors.fold((0, 0.0), |best, e| if e.1 > best.1 || e.1.is_nan() { e } else { best });
    match worst <= bound {
        true => Ok(Measured { error: worst, tolerance: bound }),
        false => Err(format!("value {at} is off by {worst:.1e}, tolerance {bound:.1e}").into()),
    }
}

fn tolerance(text: &Option<String>) -> Result<f64, Failure> {
    let text = text.as_deref().ok_or("rng.json states no tolerance for this kind")?;
    if text == "exact" {
        return Ok(0.0);
    }
    let number = text.strip_prefix("max abs ").and_then(|rest| rest.split(' ').next());
    Ok(number.and_then(|x| x.parse().ok()).ok_or(format!("rng.json: tolerance {text:?}"))?)
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
