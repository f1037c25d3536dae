//! `fourstep plan`: what a model needs, before anything of it is loaded.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::kernels::BlockFormat;
use crate::pipeline::{Plan, PlanOptions};
use crate::weights::{DirFiles, WIDENED_AT_LOAD};

/// Tells what memory a model needs, from its configurations and the headers of its weights
#[derive(clap::Args)]
pub struct PlanArgs {
    /// A model in the diffusers folder layout
    dir: PathBuf,
    /// Width and height of the picture in pixels [default: the model's]
    #[arg(long)]
    size: Option<usize>,
    /// Float weights are put into blocks of 8 or 4 bits as they are read
    #[arg(long, value_parser = super::quantize::format)]
    bits: Option<BlockFormat>,
    /// As JSON, all sizes in bytes
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &PlanArgs) -> Result<()> {
    let options = PlanOptions { size: args.size.map(|size| (size, size)), quantize: args.bits };
    let plan = Plan::read(&DirFiles::new(&args.dir), &options)?;
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
    lines.push(format!("{:<30} {:>25}   largest buffer", format!("at {width} x {height}{guided}"), "at once, MB"));
    for phase in &plan.activations {
        let largest = format!("{:.1} MB, {}", mega(phase.largest.bytes), phase.largest.what);
        lines.push(format!("{:<30} {:>25.1}   {largest}", format!("  {}", phase.name), mega(phase.bytes)));
    }
    let buffer = &plan.largest_buffer;
    lines.push(format!("{:<30} {:>25.1}   {}", "largest buffer", mega(buffer.bytes), buffer.what));
    let device = "weights and the largest of these: graphics memory, or RAM on the processor";
    lines.push(format!("{:<30} {:>25.1}   {device}", "memory", mega(plan.device)));
    let loading = "beside that, while weights are read";
    lines.push(format!("{:<30} {:>25.1}   {loading}", "RAM for loading", mega(plan.loading)));
    lines.push(format!("{:<30} {:>25.1}   all files", "download", mega(plan.download)));
    if WIDENED_AT_LOAD {
        lines.push("Weights in blocks are widened to 32-bit floats when they are loaded.".to_string());
    }
    lines.join("\n") + "\n"
}

/// Millions of bytes.
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
