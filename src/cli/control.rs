//! The options for ControlNets: `--controlnet DIR --control-image FILE.png`, each of which may be repeated.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::kernels::BlockFormat;
use crate::picture::Picture;
use crate::pipeline::{Control, Pipeline};
use crate::weights::DirFiles;

// (A doc comment would become the command's own help.)
#[derive(clap::Args)]
#[command(next_help_heading = "Pictures that the drawing follows")]
pub struct ControlArgs {
    /// Folder of a ControlNet for this model, in the diffusers layout; may be repeated
    #[arg(long, value_name = "DIR", requires = "control_image")]
    controlnet: Vec<PathBuf>,
    /// The picture for it (scribble, edges, depth or pose), as large as the one to draw; one for each --controlnet
    #[arg(long, value_name = "FILE.png", requires = "controlnet")]
    control_image: Vec<PathBuf>,
    /// How strongly the drawing follows it; one for each, or one for all [default: 1]
    #[arg(long, value_name = "NUMBER", requires = "controlnet")]
    controlnet_scale: Vec<f32>,
    /// The share of the steps after which it begins, 0 to 1 [default: 0]
    #[arg(long, value_name = "SHARE", requires = "controlnet")]
    control_start: Vec<f64>,
    /// The share of the steps after which it ends [default: 1]
    #[arg(long, value_name = "SHARE", requires = "controlnet")]
    control_end: Vec<f64>,
}

impl ControlArgs {
    /// Reads the pictures.
    pub fn controls(&self) -> Result<Vec<Control>> {
        let count = self.controlnet.len();
        let images = self.control_image.len();
        ensure!(images == count, "--control-image: {images} pictures for {count} ControlNets; give one for each");
        let each = self.control_image.iter().enumerate();
        each.map(|(i, path)| {
            let image = Picture::read_png(path).with_context(|| format!("--control-image {}", path.display()))?;
            let own = Control::new(image);
            Ok(Control {
                controlnet_conditioning_scale: nth(&self.controlnet_scale, i, count, "--controlnet-scale")?
                    .unwrap_or(own.controlnet_conditioning_scale),
                control_guidance_start: nth(&self.control_start, i, count, "--control-start")?
                    .unwrap_or(own.control_guidance_start),
                control_guidance_end: nth(&self.control_end, i, count, "--control-end")?
                    .unwrap_or(own.control_guidance_end),
                ..own
            })
        })
        .collect()
    }

    /// Loads the networks beside the model.
    pub fn load(&self, pipeline: &mut Pipeline, quantize: Option<BlockFormat>) -> Result<()> {
        for folder in &self.controlnet {
            let name =
                folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.display().to_string());
            let files = DirFiles::new(folder);
            pipeline
                .add_controlnet(&name, &files, quantize)
                .with_context(|| format!("--controlnet {}", folder.display()))?;
        }
        Ok(())
    }
}

/// The value for ControlNet `i` of `count`: its own, the one for all, or none.
fn nth<T: Copy>(values: &[T], i: usize, count: usize, option: &str) -> Result<Option<T>> {
    match values {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        each if each.len() == count => Ok(Some(each[i])),
        each => {
            anyhow::bail!("{option}: {} values for {count} ControlNets; give one for each, or one for all", each.len())
        }
    }
}
