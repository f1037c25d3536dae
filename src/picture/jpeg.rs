//! Reads picture files: PNG, or JPEG, rotated as its Exif data says.

use std::path::Path;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::Picture;
use crate::error::{Error, Result};

impl Picture {
    /// Reads a PNG or JPEG file; its content decides, not its name. A JPEG file's colour profile is ignored.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::BadFile`] if it is neither, or is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let file = path.display().to_string();
        match bytes.get(..4) {
            Some([0xff, 0xd8, ..]) => jpeg(&bytes).map_err(|reason| Error::BadFile { file, reason }),
            Some(b"\x89PNG") => Self::from_png(bytes, &file),
            _ => Err(Error::BadFile { file, reason: "neither a PNG nor a JPEG file".into() }),
        }
    }
}

/// Strict, because a decoder that continues after damage leaves grey areas.
fn jpeg(bytes: &[u8]) -> std::result::Result<Picture, String> {
    let mut decoder =
        JpegDecoder::new_with_options(ZCursor::new(bytes), DecoderOptions::default().set_strict_mode(true));
    let rgb = decoder.decode().map_err(|error| format!("a damaged JPEG file: {error}"))?;
    let (width, height) = decoder.dimensions().ok_or("a JPEG file without a size")?;
    let orientation = decoder.exif().and_then(|exif| orientation(exif)).unwrap_or(1);
    Ok(turned(&Picture::opaque(width, height, rgb), orientation))
}

/// Tag 0x0112 of the first directory of an Exif block, which is a TIFF file.
fn orientation(exif: &[u8]) -> Option<u16> {
    let little = exif.starts_with(b"II");
    let bytes = |at: usize, count: usize| {
        let part = exif.get(at..at.checked_add(count)?)?;
        let all = part.iter().map(|byte| u32::from(*byte));
        let value = |sum: u32, byte: u32| sum << 8 | byte;
        Some(if little { all.rev().fold(0, value) } else { all.fold(0, value) })
    };
    let first = bytes(4, 4)? as usize;
    let entries = (0..bytes(first, 2)? as usize).map(|entry| first + 2 + 12 * entry);
    let found = entries.into_iter().find(|at| bytes(*at, 2) == Some(0x0112))?;
    bytes(found + 8, 2).map(|value| value as u16)
}

/// The picture in its upright orientation: 2 to 8 are mirrored or rotated, everything else is upright already.
fn turned(picture: &Picture, orientation: u16) -> Picture {
    let (width, height) = match orientation {
        5..=8 => (picture.height, picture.width),
        _ => (picture.width, picture.height),
    };
    let (right, bottom) = (picture.width - 1, picture.height - 1);
    let source = |x: usize, y: usize| match orientation {
        2 => (right - x, y),
        3 => (right - x, bottom - y),
        4 => (x, bottom - y),
        5 => (y, x),
        6 => (y, bottom - x),
        7 => (right - y, bottom - x),
        8 => (right - y, x),
        _ => (x, y),
    };
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let rgb = places.flat_map(|(x, y)| {
        let (x, y) = source(x, y);
        picture.pixel(x, y)
    });
    Picture::opaque(width, height, rgb.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURNED: &[u8] = include_bytes!("testing/turned.jpg");
    const GREY: &[u8] = include_bytes!("testing/grey.jpg");

    fn close(found: [u8; 3], wanted: [u8; 3]) -> bool {
        found.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= 6)
    }

    #[test]
    fn a_photograph_stands_upright() {
        // Pillow's ImageOps.exif_transpose gives the same: 24 x 16 pixels, rotated to the right.
        let picture = jpeg(TURNED).unwrap();
        assert_eq!((picture.width, picture.height), (16, 24));
        let corners = [(3, 3), (12, 3), (3, 20), (12, 20)].map(|(x, y)| picture.pixel(x, y));
        let (white, red, blue) = ([250; 3], [220, 30, 30], [30, 30, 220]);
        assert!(close(corners[0], red) && close(corners[1], white), "{corners:?}");
        assert!(close(corners[2], blue) && close(corners[3], blue), "{corners:?}");
    }

    #[test]
    fn turning_there_and_back_changes_nothing() {
        let picture = Picture::opaque(3, 2, (0..18).collect());
        for (there, back) in [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 8), (7, 7), (8, 6)] {
            assert_eq!(turned(&turned(&picture, there), back), picture, "{there}");
        }
        assert_eq!(
            turned(&picture, 6).pixel(0, 0),
            picture.pixel(0, 1),
            "the lower left corner comes to the upper left"
        );
    }

    #[test]
    fn grey_and_progressive_files_are_read() {
        let picture = jpeg(GREY).unwrap();
        assert_eq!((picture.width, picture.height), (24, 16));
        assert!(
            close(picture.pixel(3, 3), [250; 3]) && close(picture.pixel(20, 3), [52; 3]),
            "{:?}",
            picture.pixel(20, 3)
        );
    }

    #[test]
    fn what_is_damaged_or_of_another_kind_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fox.jpg");
        let message = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Picture::read(&path).unwrap_err().to_string()
        };
        for bytes in [&TURNED[..TURNED.len() - 40], &TURNED[..30], &GREY[..GREY.len() / 2]] {
            let message = message(bytes);
            assert!(message.contains("fox.jpg: a damaged JPEG file"), "{message}");
        }
        assert!(message(b"GIF89a").contains("fox.jpg: neither a PNG nor a JPEG file"));
        assert!(message(b"\x89PNG\r\n").contains("fox.jpg: no PNG file"));
        Picture::filled(2, 1, [9, 8, 7]).write_png(&path).unwrap();
        assert_eq!(Picture::read(&path).unwrap(), Picture::filled(2, 1, [9, 8, 7]), "the name does not matter");
    }
}
