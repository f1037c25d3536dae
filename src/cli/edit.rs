//! `fourstep edit`: a picture and what it should show become a strip of edits, from little change to much.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::device::DeviceName;
use super::edit_imagic::{self, ImagicArgs};
use super::model::ModelArgs;
use super::progress::Progress;
use super::strip::{check_writable, print_notes, write_strip};
use crate::edit::imagic::{Drawn, ImagicRequest};
use crate::edit::{self, EditRequest, Method};
use crate::infotext::Infotext;
use crate::picture::Picture;
use crate::pipeline::{Pipeline, StepEvent, parse_seed, parse_steps};
use crate::pngfile;

/// Changes a picture by words and shows it over strength: a strip that begins with the picture itself
#[derive(clap::Args)]
pub struct EditArgs {
    /// What the picture should show
    prompt: String,
    /// The picture; its sides must be multiples of the model's (four or eight pixels)
    #[arg(long, value_name = "FILE.png")]
    image: PathBuf,
    /// What the picture shows [default: the prompt that it carries, if it carries one, else nothing]
    #[arg(long, value_name = "TEXT")]
    from: Option<String>,
    /// How
    #[arg(long, value_enum, default_value_t = MethodName::Flowedit)]
    method: MethodName,
    /// How far the edit may go, 0 to 1, for each picture of the strip: the share of the steps that are taken
    /// [default: 0.25,0.5,0.75,1]
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    strength: Option<Vec<f64>>,
    #[command(flatten)]
    model: ModelArgs,
    /// What to keep away from
    #[arg(long, value_name = "TEXT", default_value = "")]
    negative: String,
    /// Of the random numbers: the same seed makes the same edit
    #[arg(long, default_value_t = 0, value_parser = parse_seed)]
    seed: u64,
    /// Steps at strength 1 [default: the model's]
    #[arg(long, value_parser = parse_steps)]
    steps: Option<usize>,
    /// How strongly the edit follows the prompt [default: the model's]
    #[arg(long)]
    guidance: Option<f32>,
    /// How strongly --from is taken away [default: the model's guidance]
    #[arg(long)]
    source_guidance: Option<f32>,
    /// Draws of noise over which each step takes the mean [default: 1]
    #[arg(long, value_name = "DRAWS")]
    n_avg: Option<usize>,
    /// With --method flowedit: steps at the end that draw by the prompt alone [default: 0]
    #[arg(long, value_name = "STEPS")]
    n_min: Option<usize>,
    #[command(flatten)]
    imagic: ImagicArgs,
    /// Where to compute: the processor, or a graphics card through wgpu
    #[arg(long, value_enum, default_value_t = DeviceName::Cpu)]
    device: DeviceName,
    /// The strip; --method imagic writes its losses (.svg) and the edit (.safetensors, for `fourstep generate --edit`) beside it
    #[arg(long, value_name = "FILE.png")]
    out: PathBuf,
}

/// [`Method`] by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum MethodName {
    /// Kulikov et al., 2024
    Flowedit,
    /// Xu et al., 2023, without attention control
    Infedit,
    /// Kawar et al., 2022: slow, for it fits the model to the picture; --eta instead of --strength
    Imagic,
}

const STRENGTHS: [f64; 4] = [0.25, 0.5, 0.75, 1.0];

/// Runs the command.
pub fn run(args: &EditArgs) -> Result<()> {
    args.check()?;
    let image = Picture::read_png(&args.image).context("--image")?;
    let from = match &args.from {
        Some(from) => from.clone(),
        None => carried_prompt(&args.image)?,
    };
    let method = match args.method {
        MethodName::Flowedit => Method::FlowEdit,
        MethodName::Infedit => Method::InfEdit,
        MethodName::Imagic => return args.imagic(image, from),
    };
    let device = args.device.open()?;
    let pipeline = args.model.open()?.load(&device)?;
    let request = args.request(&pipeline, method, image.clone(), &from);
    check_writable(&args.out).with_context(|| args.out.display().to_string())?;
    let mut progress = Progress::new();
    let (mut cells, mut notes) = (vec![(image, "input".to_owned())], Vec::new());
    let strengths = args.strength.as_deref().unwrap_or(&STRENGTHS);
    for (i, &strength) in strengths.iter().enumerate() {
        let mut on_step = async |event: StepEvent<'_>| {
            let what = format!("picture {} of {}, steps", i + 1, strengths.len());
            progress.say(&what, event.index + 1, event.steps);
            ControlFlow::Continue(())
        };
        let one = EditRequest { strength, ..request.clone() };
        let (picture, warnings) = pollster::block_on(edit::edit(&pipeline, &one, &mut on_step))?;
        cells.push((picture, strength.to_string()));
        notes.extend(warnings);
    }
    progress.end();
    print_notes(notes);
    write_strip(&cells, &args.out)
}

impl EditArgs {
    /// Refuses options that the method does not read.
    fn check(&self) -> Result<()> {
        if self.method == MethodName::Imagic {
            ensure!(self.strength.is_none(), "--strength: --method imagic has --eta instead");
            let given = [(self.source_guidance.is_some(), "--source-guidance"), (self.n_avg.is_some(), "--n-avg")];
            if let Some((_, option)) = given.into_iter().find(|(given, _)| *given) {
                bail!("{option}: --method imagic does not have it");
            }
        } else if let Some(option) = self.imagic.given() {
            bail!("{option}: only --method imagic has it");
        }
        ensure!(self.method == MethodName::Flowedit || self.n_min.is_none(), "--n-min: only --method flowedit has it");
        Ok(())
    }

    fn imagic(&self, image: Picture, from: String) -> Result<()> {
        // Gradients need floats: blocks are widened on a device that keeps gradients.
        let pipeline = self.model.open()?.load(&self.device.open()?.autodiff())?;
        let drawn = Drawn { seed: self.seed, steps: self.steps, guidance_scale: self.guidance };
        let request = ImagicRequest {
            source_prompt: Some(from).filter(|from| !from.is_empty()),
            negative_prompt: self.negative.clone(),
            ..self.imagic.request(image, &self.prompt, self.seed)
        };
        edit_imagic::run(&self.imagic, &pipeline, &request, drawn, &self.out)
    }

    fn request(&self, pipeline: &Pipeline, method: Method, image: Picture, from: &str) -> EditRequest {
        let own = EditRequest::new(pipeline, method, image, from, &self.prompt);
        EditRequest {
            negative_prompt: self.negative.clone(),
            num_inference_steps: self.steps.unwrap_or(own.num_inference_steps),
            source_guidance_scale: self.source_guidance.unwrap_or(own.source_guidance_scale),
            target_guidance_scale: self.guidance.unwrap_or(own.target_guidance_scale),
            n_avg: self.n_avg.unwrap_or(own.n_avg),
            n_min: self.n_min.unwrap_or(own.n_min),
            seed: self.seed,
            ..own
        }
    }
}

/// The prompt in a picture's settings, and a word about it.
fn carried_prompt(image: &Path) -> Result<String> {
    let bytes = std::fs::read(image).with_context(|| image.display().to_string())?;
    let text = pngfile::parameters(&bytes).with_context(|| image.display().to_string())?;
    let prompt = text.map(|text| Infotext::parse(&text).prompt).filter(|prompt| !prompt.is_empty());
    match &prompt {
        Some(prompt) => eprintln!("note: --from is “{prompt}”, which the picture says of itself"),
        None => eprintln!("note: the picture does not say what it shows; with --from it is kept better"),
    }
    Ok(prompt.unwrap_or_default())
}
