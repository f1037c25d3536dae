//! `fourstep plan`: prints how much memory a model needs, before any of it is loaded.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::kernels::BlockFormat;
use crate::pipeline::{Plan, PlanOptions, WEBGPU_BUFFER};

/// Says how much memory a model needs, from its configurations and the headers of its weights
#[derive(clap::Args)]
pub struct PlanArgs {
    /// A model in the diffusers folder layout, or one .safetensors or .gguf file
    dir: PathBuf,
    /// For one file: a diffusers folder whose configurations, vocabulary and missing parts are used
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Width and height of the picture in pixels [default: the model's]
    #[arg(long)]
    size: Option<usize>,
    /// Puts float weights into blocks of 8 or 4 bits while they are read
    #[arg(long, value_parser = super::quantize::format)]
    bits: Option<BlockFormat>,
    /// The largest buffer that the graphics card binds, in MiB
    #[arg(long, value_name = "MIB", default_value_t = WEBGPU_BUFFER >> 20)]
    buffer: u64,
    /// Prints JSON, all sizes in bytes
    #[arg(long)]
    json: bool,
}

pub fn run(args: &PlanArgs) -> Result<()> {
    let options =
        PlanOptions { size: args.size.map(|size| (size, size)), quantize: args.bits, buffer: Some(args.buffer << 20) };
    let model = super::model::open(&args.dir, args.config.as_deref())?;
    let plan = model.told(Plan::read(&model.files, &options))?;
    let text = if args.json { serde_json::to_string_pretty(&plan)? + "\n" } else { table(&plan) };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn table(plan: &Plan) -> String {
    let mut lines = vec![format!("{:<30} {:>12} {:>12}   in the files", "weights", "parameters", "memory, MB")];
    for component in &plan.components {
        let stored = component.stored.iter().map(|(dtype, bytes)| format!("{dtype} {:.1} MB", mega(*bytes)));
        let stored = stored.collect::<Vec<_>>().join(", ");
        let (name, memory) = (format!("  {}", component.name), mega(component.device));
        lines.push(format!("{name:<30} {:>12} {memory:>12.1}   {stored}", component.parameters));
    }
    let (width, height, batch) = (plan.width, plan.height, plan.batch);
    let guided = if batch == 2 { ", guided: two at once" } else { "" };
    let tiles = plan.tile.map_or(String::new(), |side| format!(", in tiles of {side}"));
    lines.push(format!("{:<30} {:>25}   largest buffer", format!("at {width} x {height}{guided}"), "at once, MB"));
    for phase in &plan.activations {
        let largest = format!("{:.1} MB, {}", mega(phase.largest.bytes), phase.largest.what);
        let tiles = if phase.name == "the decoder" { tiles.as_str() } else { "" };
        lines.push(format!("{:<30} {:>25.1}   {largest}", format!("  {}{tiles}", phase.name), mega(phase.bytes)));
    }
    if let Some(large) = &plan.large {
        let tiles = large.tile.map_or(String::new(), |side| format!(", in tiles of {side}"));
        let name = format!("  {}{tiles}", large.phase.name);
        let what = format!("{} times as large, where that is asked for", large.times);
        lines.push(format!("{name:<30} {:>25.1}   {what}", mega(large.phase.bytes)));
    }
    let buffer = &plan.largest_buffer;
    lines.push(format!("{:<30} {:>25.1}   {}", "largest buffer", mega(buffer.bytes), buffer.what));
    for (name, bytes, what) in [
        ("graphics memory", plan.device, "weights and the largest of these"),
        ("  RAM beside it", plan.host, "the table of tokens"),
        ("RAM on the processor", plan.processor, "where no graphics card draws; the picture is decoded whole"),
    ] {
        lines.push(format!("{name:<30} {:>25.1}   {what}", mega(bytes)));
    }
    let loading = "beside that, while weights are read";
    lines.push(format!("{:<30} {:>25.1}   {loading}", "RAM for loading", mega(plan.loading)));
    lines.push(format!("{:<30} {:>25.1}   all files", "download", mega(plan.download)));
    lines.join("\n") + "\n"
}

/// Millions of bytes.
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
