//! The command line. Each command is in its own file; `run` turns results into exit codes.

mod adapt;
mod components;
mod control;
mod dataset;
mod dataset_judge;
mod device;
mod digits;
mod distill;
mod drawing;
mod edit;
mod edit_imagic;
mod eval;
mod eval_autoencoder;
mod eval_edit;
mod eval_guidance;
mod eval_steps;
mod export;
mod full_width;
mod generate;
mod generate_edit;
mod manifest;
mod memory;
mod model;
mod pack;
mod plan;
mod progress;
mod quantize;
mod quantize_report;
mod strip;
mod tokenizer;
mod train;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "fourstep", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Adapt(adapt::AdaptArgs),
    Dataset(dataset::Dataset),
    Digits(digits::DigitsArgs),
    Distill(distill::Distill),
    Edit(edit::EditArgs),
    Eval(eval::Eval),
    EvalAutoencoder(eval_autoencoder::EvalAutoencoder),
    EvalEdit(eval_edit::EvalEdit),
    EvalGuidance(eval_guidance::EvalGuidance),
    EvalSteps(eval_steps::EvalSteps),
    Export(export::ExportArgs),
    #[command(hide = true)]
    FullWidth(full_width::FullWidth),
    Generate(generate::Generate),
    Manifest(manifest::ManifestArgs),
    Pack(pack::PackArgs),
    Plan(plan::PlanArgs),
    Quantize(quantize::QuantizeArgs),
    Tokenizer(tokenizer::Tokenizer),
    Train(train::Train),
}

/// Parses the arguments and runs the command; 0 on success, 2 on an error, with one line on standard error.
pub fn run() -> u8 {
    let cli = Cli::parse();
    let result: anyhow::Result<()> = match cli.command {
        Command::Adapt(args) => adapt::run(&args),
        Command::Dataset(args) => dataset::run(args),
        Command::Digits(args) => digits::run(&args),
        Command::Distill(args) => distill::run(&args),
        Command::Edit(args) => edit::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::EvalAutoencoder(args) => eval_autoencoder::run(&args),
        Command::EvalEdit(args) => eval_edit::run(&args),
        Command::EvalGuidance(args) => eval_guidance::run(&args),
        Command::EvalSteps(args) => eval_steps::run(&args),
        Command::Export(args) => export::run(&args),
        Command::FullWidth(args) => full_width::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Manifest(args) => manifest::run(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Tokenizer(args) => tokenizer::run(&args),
        Command::Train(args) => train::run(&args),
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("fourstep: {error:#}");
            2
        }
    }
}
