//! The ways to make a picture of a case: methods over their strength, and what they are measured by.

use std::ops::ControlFlow;
use std::time::Instant;

use serde::Serialize;

use super::{Case, Settings};
use crate::Result;
use crate::edit::imagic::{Imagic, ImagicRequest};
use crate::edit::{self, EditRequest, Method};
use crate::picture::Picture;
use crate::pipeline::{self, Pipeline, Request, StepEvent};

/// What makes a picture of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The picture as it is: no edit at all.
    Nothing,
    /// The true result after the autoencoder, which no method can do without.
    Autoencoder,
    /// The target prompt alone.
    TextToImage,
    /// The target prompt, from the picture.
    ImageToImage,
    /// [`Method::FlowEdit`].
    FlowEdit,
    /// [`Method::InfEdit`].
    InfEdit,
    /// [`Imagic`], whose strength is eta.
    Imagic,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Nothing,
        Self::Autoencoder,
        Self::TextToImage,
        Self::ImageToImage,
        Self::FlowEdit,
        Self::InfEdit,
        Self::Imagic,
    ];

    /// For tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Nothing => "no edit",
            Self::Autoencoder => "the true result through the autoencoder",
            Self::TextToImage => "text to image",
            Self::ImageToImage => "image to image",
            Self::FlowEdit => "FlowEdit",
            Self::InfEdit => "InfEdit",
            Self::Imagic => "Imagic",
        }
    }

    /// The strengths that it is tried with.
    pub(super) fn strengths(self, settings: &Settings) -> Vec<Option<f64>> {
        match self {
            Self::Nothing | Self::Autoencoder | Self::TextToImage => vec![None],
            Self::ImageToImage | Self::FlowEdit | Self::InfEdit => {
                settings.strengths.iter().copied().map(Some).collect()
            }
            Self::Imagic => settings.imagic.iter().flat_map(|imagic| &imagic.etas).copied().map(Some).collect(),
        }
    }
}

/// A case that is to be drawn.
pub(super) struct Sitting<'a> {
    pub pipeline: &'a Pipeline,
    /// With gradients, for Imagic.
    pub tracked: Option<&'a Pipeline>,
    pub settings: &'a Settings,
    pub case: &'a Case,
    /// Captions of both ends.
    pub says: [String; 2],
    /// The input and the true result.
    pub known: [Picture; 2],
    /// Of the noise.
    pub seed: u64,
}

impl Sitting<'_> {
    /// The picture of each strength, with the seconds that it took. Those of Imagic hold a share of the fitting.
    pub fn made(&self, way: Way) -> Result<Vec<(Picture, f64)>> {
        let strengths = way.strengths(self.settings);
        let started = Instant::now();
        let fitted = match way {
            Way::Imagic => Some(self.fitted()?),
            _ => None,
        };
        let each = started.elapsed().as_secs_f64();
        let one = |strength: Option<f64>| {
            let started = Instant::now();
            let picture = match &fitted {
                Some((pipeline, imagic)) => self.imagic(pipeline, imagic, strength.unwrap_or(1.0))?,
                None => self.one(way, strength)?,
            };
            Ok((picture, each + started.elapsed().as_secs_f64()))
        };
        strengths.into_iter().map(one).collect()
    }

    fn one(&self, way: Way, strength: Option<f64>) -> Result<Picture> {
        let Self { pipeline, settings, known: [input, result], says: [from, to], .. } = self;
        let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
        let own = pipeline.request(to);
        let text_to_image = Request {
            seed: self.seed,
            num_inference_steps: settings.steps.unwrap_or(own.num_inference_steps),
            guidance_scale: settings.guidance.unwrap_or(own.guidance_scale),
            ..own
        };
        let method = match way {
            Way::Autoencoder => {
                let latents = pipeline.encode(result.to_tensor(pipeline.channels(), pipeline.device()));
                return Ok(pollster::block_on(Picture::from_tensor(pipeline.decode(latents)))?.swap_remove(0));
            }
            Way::TextToImage | Way::ImageToImage => {
                let image = (way == Way::ImageToImage).then(|| input.clone());
                let request = Request { image, strength: strength.unwrap_or(1.0), ..text_to_image };
                return Ok(pollster::block_on(pipeline.generate(&request, &mut on_step))?.0.swap_remove(0));
            }
            Way::FlowEdit => Method::FlowEdit,
            Way::InfEdit => Method::InfEdit,
            Way::Nothing | Way::Imagic => return Ok(input.clone()),
        };
        let own = EditRequest::new(pipeline, method, input.clone(), from, to);
        let request = EditRequest {
            seed: self.seed,
            strength: strength.unwrap_or(own.strength),
            num_inference_steps: settings.steps.unwrap_or(own.num_inference_steps),
            target_guidance_scale: settings.guidance.unwrap_or(own.target_guidance_scale),
            source_guidance_scale: settings.source_guidance.unwrap_or(own.source_guidance_scale),
            n_avg: settings.n_avg.unwrap_or(own.n_avg),
            ..own
        };
        Ok(pollster::block_on(edit::edit(pipeline, &request, &mut on_step))?.0)
    }

    fn fitted(&self) -> Result<(&Pipeline, Imagic)> {
        let (Some(pipeline), Some(imagic)) = (self.tracked, &self.settings.imagic) else {
            let reason = "Imagic needs a pipeline with gradients and its settings";
            return Err(crate::Error::Request(reason.into()));
        };
        let own = ImagicRequest::new(self.known[0].clone(), &self.says[1], self.seed);
        let request = ImagicRequest {
            embedding: edit::fit::StageOptions { seed: self.seed, ..imagic.embedding.clone() },
            adapters: edit::fit::StageOptions { seed: self.seed, ..imagic.adapters.clone() },
            rank: imagic.rank,
            source_prompt: imagic.source.then(|| self.says[0].clone()),
            ..own
        };
        let mut on_step = async |_, _: edit::fit::StageStep<'_>| ControlFlow::Continue(());
        Ok((pipeline, pollster::block_on(Imagic::fit(pipeline, &request, &mut on_step))?))
    }

    fn imagic(&self, pipeline: &Pipeline, imagic: &Imagic, eta: f64) -> Result<Picture> {
        let settings = pipeline::Settings {
            seed: self.seed,
            steps: self.settings.steps,
            guidance_scale: self.settings.guidance,
            ..pipeline::Settings::default()
        };
        let mut on_step = async |_: StepEvent<'_>| ControlFlow::Continue(());
        pollster::block_on(imagic.draw(pipeline, eta, settings, &mut on_step))
    }
}
