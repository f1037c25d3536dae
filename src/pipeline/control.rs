//! ControlNets beside the UNet (Zhang et al., 2023): pictures (scribbles, edges, depth, poses) that the drawing follows.

use burn::tensor::{Device, Tensor};

use super::denoise::{Denoiser, Place, Prediction};
use super::guidance::Guidance;
use super::load::WEIGHTS;
use super::request::Control;
use super::{Pipeline, Request};
use crate::kernels::BlockFormat;
use crate::models::{AddedConditions, ControlNetConfig, ControlNetModel, Residuals};
use crate::picture::{Picture, WHITE};
use crate::weights::{self, Checkpoint, Files, Quantization};
use crate::{Error, Result};

const CONFIG: &str = "config.json";

/// A ControlNet that was loaded for a pipeline.
pub(super) struct ControlNet {
    name: String,
    network: ControlNetModel,
}

/// A UNet with guidance and, beside it, the ControlNets of a request.
pub(super) struct Controlled<'a> {
    guidance: Guidance<'a>,
    controls: Vec<(&'a ControlNetModel, &'a Control, Tensor<4>)>,
}

impl Controlled<'_> {
    /// The sum of the residuals of all ControlNets that act in this step.
    fn residuals(&self, x: &Tensor<4>, t: f32, place: Place) -> Option<Residuals> {
        let Guidance { context, conditions, .. } = &self.guidance;
        let parts = context.dims()[0] / x.dims()[0];
        let acting = self.controls.iter().filter(|(_, control, _)| acts(control, place));
        let one = |(network, control, hint): &(&ControlNetModel, &Control, Tensor<4>)| {
            let sample = x.clone().repeat_dim(0, parts);
            let scale = control.controlnet_conditioning_scale;
            network.forward(sample, t, context.clone(), hint.clone(), conditions, scale)
        };
        acting.map(one).reduce(Residuals::plus)
    }
}

/// Whether a step lies completely between the start and the end of a control, as in diffusers.
fn acts(control: &Control, Place { index, steps }: Place) -> bool {
    let (before, after) = (index as f64 / steps as f64, (index + 1) as f64 / steps as f64);
    before >= control.control_guidance_start && after <= control.control_guidance_end
}

impl Denoiser for Controlled<'_> {
    fn predict(&self, x: Tensor<4>, t: f32, place: Place) -> Prediction {
        let control = self.residuals(&x, t, place);
        self.guidance.predict_with(x, t, &AddedConditions { control, ..self.guidance.conditions.clone() })
    }
}

impl Pipeline {
    /// Loads a ControlNet in the diffusers layout beside the model. Each request then needs a [`Control`] for each, in the
    /// order of loading. `quantize` is that of [`super::LoadOptions`].
    ///
    /// # Errors
    /// [`Error::Config`] for one that does not fit the UNet; those of reading the files.
    pub fn add_controlnet(&mut self, name: &str, files: &impl Files, quantize: Option<BlockFormat>) -> Result<()> {
        let file = format!("{name}/{CONFIG}");
        let bytes = files.read(CONFIG)?;
        let config = ControlNetConfig::parse(&file, &bytes)?;
        self.check_fits(&config, &file)?;
        let quantization = Quantization::parse(&file, &bytes)?;
        let checkpoint = Checkpoint::open(files, WEIGHTS)?.with_quantization(quantization).quantizing(quantize);
        let network = weights::load(ControlNetModel::new(&config, &file, &self.device)?, &checkpoint)?;
        self.controlnets.push(ControlNet { name: name.to_string(), network });
        Ok(())
    }

    /// Checks that the residuals have the shapes of the UNet's features.
    fn check_fits(&self, config: &ControlNetConfig, file: &str) -> Result<()> {
        let (mine, unet) = (&config.unet, &self.components.unet_config);
        let latents = self.components.vae.latent_channels();
        let pairs = [
            ("cross_attention_dim", format!("{}", mine.cross_attention_dim), format!("{}", unet.cross_attention_dim)),
            ("block_out_channels", format!("{:?}", mine.block_out_channels), format!("{:?}", unet.block_out_channels)),
            ("layers_per_block", format!("{}", mine.layers_per_block), format!("{}", unet.layers_per_block)),
            ("in_channels", format!("{}", mine.in_channels), format!("{latents}")),
            (
                "addition_embed_type",
                format!("{:?}", mine.addition_embed_type),
                format!("{:?}", unet.addition_embed_type),
            ),
            ("conditioning_channels", format!("{}", config.conditioning_channels), "3".into()),
            ("pixels for each latent", format!("{}", config.scale()), format!("{}", self.scale())),
        ];
        match pairs.into_iter().find(|(_, mine, wanted)| mine != wanted) {
            None => Ok(()),
            Some((key, mine, wanted)) => {
                let reason =
                    format!("{key} = {mine}, but this model needs {wanted}: the ControlNet is for another model");
                Err(Error::Config { file: file.to_string(), reason })
            }
        }
    }

    /// # Errors
    /// [`Error::Request`] for settings out of range, or another number of control images than of ControlNets.
    pub(super) fn check_controls(&self, request: &Request) -> Result<()> {
        let (nets, images) = (self.controlnets.len(), request.controls.len());
        if nets != images {
            let reason = format!("{images} control images for {nets} ControlNets: give one for each");
            return Err(Error::Request(reason));
        }
        request.controls.iter().try_for_each(|control| control.check(request))
    }

    /// `guidance` with the ControlNets of `request`.
    pub(super) fn controlled<'a>(&'a self, guidance: Guidance<'a>, request: &'a Request) -> Controlled<'a> {
        let pairs = self.controlnets.iter().zip(&request.controls);
        let controls = pairs.map(|(ControlNet { network, .. }, control)| {
            let hint = network.controlnet_cond_embedding.forward(picture(&control.image, &self.device));
            (network, control, hint)
        });
        Controlled { controls: controls.collect(), guidance }
    }

    /// The names under which the ControlNets were loaded.
    pub fn controlnets(&self) -> impl Iterator<Item = &str> {
        self.controlnets.iter().map(|net| net.name.as_str())
    }
}

/// `[1, 3, height, width]` in [0, 1].
fn picture(image: &Picture, device: &Device) -> Tensor<4> {
    (image.over(WHITE).to_tensor(3, device) + 1.0) / 2.0
}

#[cfg(test)]
mod tests {
    use super::super::tests::golden;
    use super::*;
    use crate::weights::DirFiles;

    #[test]
    fn a_net_for_another_model_and_a_missing_picture_are_refused() {
        let mut pipeline = golden("sd15");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/families/controlnets/tiny-edges");
        let message = pipeline.add_controlnet("edges", &DirFiles::new(folder), None).unwrap_err().to_string();
        assert!(message.contains("edges/config.json") && message.contains("is for another model"), "{message}");
        let size = (pipeline.request("x").width, pipeline.request("x").height);
        let control = Control::new(Picture::filled(size.0, size.1, [0; 3]));
        let request = Request { controls: vec![control.clone()], ..pipeline.request("x") };
        let message = pipeline.check_controls(&request).unwrap_err().to_string();
        assert!(message.contains("1 control images for 0 ControlNets"), "{message}");
        let refused = |control: Control| control.check(&request).unwrap_err().to_string();
        assert!(control.check(&request).is_ok());
        let small = Control { image: Picture::filled(8, 8, [0; 3]), ..control.clone() };
        assert!(refused(small).contains("8 x 8 pixels"));
        assert!(refused(Control { controlnet_conditioning_scale: -1.0, ..control.clone() }).contains("use 0 to 10"));
        let backwards = Control { control_guidance_start: 0.6, control_guidance_end: 0.5, ..control };
        assert!(refused(backwards).contains("an end after the start"));
    }

    #[test]
    fn a_control_acts_between_its_start_and_its_end() {
        let control = |control_guidance_start, control_guidance_end| Control {
            control_guidance_start,
            control_guidance_end,
            ..Control::new(Picture::filled(8, 8, [0; 3]))
        };
        let acting =
            |control: Control| (0..4).map(|index| acts(&control, Place { index, steps: 4 })).collect::<Vec<_>>();
        assert_eq!(acting(control(0.0, 1.0)), [true; 4]);
        assert_eq!(acting(control(0.25, 0.8)), [false, true, true, false]);
        assert_eq!(acting(control(0.3, 0.5)), [false; 4]);
    }
}
