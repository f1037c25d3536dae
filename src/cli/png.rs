//! Pictures as PNG files.

use std::path::Path;

use anyhow::Result;

/// Finds out before a long drawing whether its file can be written; leaves no trace.
pub fn check_writable(path: &Path) -> std::io::Result<()> {
    let existed = path.exists();
    std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    match existed {
        true => Ok(()),
        false => std::fs::remove_file(path),
    }
}

/// Writes 8-bit red, green and blue, `height · width · 3` bytes.
pub fn write_rgb(path: &Path, width: usize, height: usize, rgb: &[u8]) -> Result<()> {
    let file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut encoder = png::Encoder::new(file, width.try_into()?, height.try_into()?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    Ok(writer.finish()?)
}
