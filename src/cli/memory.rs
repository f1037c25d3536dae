//! The option `--memory`: what the graphics card's allocator holds while a picture is drawn, and what was planned.

use anyhow::{Context, Result};
use burn::tensor::Device;

use crate::pipeline::{Plan, PlanOptions};
use crate::weights::Files;

/// The maximum of several readings, in bytes.
pub struct Memory {
    device: Device,
    in_use: u64,
    reserved: u64,
}

impl Memory {
    /// Starts with a first reading.
    ///
    /// # Errors
    /// If the device reports no memory.
    pub fn of(device: &Device) -> Result<Self> {
        let mut this = Self { device: device.clone(), in_use: 0, reserved: 0 };
        device.memory_pool_usage().context("--memory: this device does not tell what it holds; use --device wgpu")?;
        this.read();
        Ok(this)
    }

    /// Takes another reading.
    pub fn read(&mut self) {
        if let Some(usage) = self.device.memory_pool_usage() {
            self.in_use = self.in_use.max(usage.bytes_in_use + usage.bytes_padding);
            self.reserved = self.reserved.max(usage.bytes_reserved);
        }
    }

    /// Prints the maximum and the plan's figure.
    ///
    /// # Errors
    /// Those of planning.
    pub fn print(&self, files: &impl Files, options: &PlanOptions) -> Result<()> {
        let planned = Plan::read(files, options)?.device;
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let apart = 100.0 * (self.reserved as f64 / planned as f64 - 1.0);
        eprintln!(
            "graphics memory: {:.1} MB held ({:.1} MB in use between steps), {:.1} MB planned ({apart:+.1} %)",
            megabytes(self.reserved),
            megabytes(self.in_use),
            megabytes(planned)
        );
        Ok(())
    }
}
