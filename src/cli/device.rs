//! The option `--device`.

use anyhow::Result;
use burn::tensor::Device;

use crate::Error;

/// A device by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DeviceName {
    /// The CPU (burn's flex)
    Cpu,
    /// A graphics card (or Mesa's software Vulkan) through wgpu
    Wgpu,
    /// A graphics card through Vulkan, with autotuned kernels, for training
    #[cfg(feature = "vulkan")]
    Vulkan,
}

impl std::fmt::Display for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
            #[cfg(feature = "vulkan")]
            Self::Vulkan => "vulkan",
        })
    }
}

impl DeviceName {
    /// Opens the device.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no adapter.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            Self::Wgpu => {
                let device = pollster::block_on(Device::wgpu_options().init_async());
                Ok(device.map_err(|error| Error::Device(format!("no wgpu adapter: {error}")))?)
            }
            #[cfg(feature = "vulkan")]
            Self::Vulkan => Ok(Device::vulkan(burn::tensor::DeviceKind::DefaultDevice)),
        }
    }
}
