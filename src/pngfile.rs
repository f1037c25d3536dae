//! PNG files: pictures and animations written with their settings, and the settings read back.
//!
//! The settings are an [infotext](crate::infotext) in the text chunk `parameters`, where A1111 puts it: `tEXt` where
//! Latin-1 can say it, `iTXt` otherwise.

use std::io::Cursor;

use png::{BitDepth, ColorType, Decoder, Encoder, EncodingError};

use crate::error::{Error, Result};
use crate::picture::Picture;

/// The chunk's keyword.
const PARAMETERS: &str = "parameters";

impl Picture {
    /// The bytes of a PNG file, with `parameters` as its text when there are any.
    ///
    /// # Errors
    /// [`Error::BadFile`] when there are no pixels.
    pub fn to_png(&self, parameters: Option<&str>) -> Result<Vec<u8>> {
        animation(std::slice::from_ref(self), 0, parameters)
    }

    /// Writes a PNG file.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written, for a full disk too.
    #[cfg(feature = "native")]
    pub fn write_png(&self, path: &std::path::Path) -> Result<()> {
        std::fs::write(path, self.to_png(None)?).map_err(Error::io(path))
    }
}

/// The bytes of an animated PNG that plays for ever, each frame shown for `milliseconds`; one frame makes a still
/// picture. Programs that know no animations show the first frame.
///
/// # Errors
/// [`Error::Request`] without frames or with frames of different sizes; [`Error::BadFile`] when there are no pixels.
pub fn animation(frames: &[Picture], milliseconds: u16, parameters: Option<&str>) -> Result<Vec<u8>> {
    let Some(first) = frames.first() else { return Err(Error::Request("an animation of no pictures".into())) };
    if frames.iter().any(|frame| (frame.width, frame.height) != (first.width, first.height)) {
        return Err(Error::Request("the pictures of an animation must have one size".into()));
    }
    let mut bytes = Vec::new();
    write(&mut bytes, frames, milliseconds, parameters)
        .map_err(|error| Error::BadFile { file: "the PNG".into(), reason: error.to_string() })?;
    Ok(bytes)
}

/// The text chunk `parameters` of a PNG file; none where it has no such chunk.
///
/// # Errors
/// [`Error::BadFile`] when the bytes are no PNG file, or a damaged one.
pub fn parameters(bytes: &[u8]) -> Result<Option<String>> {
    let bad = |reason: String| Error::BadFile { file: "the picture".into(), reason };
    let mut reader = Decoder::new(Cursor::new(bytes)).read_info().map_err(|e| bad(format!("no PNG file: {e}")))?;
    if let Some(text) = text_of(reader.info()) {
        return Ok(Some(text));
    }
    reader.finish().map_err(|e| bad(format!("a damaged PNG file: {e}")))?;
    Ok(text_of(reader.info()))
}

fn write(
    to: &mut Vec<u8>,
    frames: &[Picture],
    milliseconds: u16,
    parameters: Option<&str>,
) -> std::result::Result<(), EncodingError> {
    let mut encoder = Encoder::new(to, frames[0].width as u32, frames[0].height as u32);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    if let [_, _, ..] = frames {
        encoder.set_animated(frames.len() as u32, 0)?;
        encoder.set_frame_delay(milliseconds, 1000)?;
    }
    if let Some(text) = parameters {
        match text.chars().all(|c| u32::from(c) < 256 && c != '\0') {
            true => encoder.add_text_chunk(PARAMETERS.into(), text.into())?,
            false => encoder.add_itxt_chunk(PARAMETERS.into(), text.into())?,
        }
    }
    let mut writer = encoder.write_header()?;
    for frame in frames {
        writer.write_image_data(&frame.rgb)?;
    }
    writer.finish()
}

fn text_of(info: &png::Info<'_>) -> Option<String> {
    let named = |keyword: &str| keyword == PARAMETERS;
    let plain = info.uncompressed_latin1_text.iter().find(|chunk| named(&chunk.keyword)).map(|c| c.text.clone());
    let packed = info.compressed_latin1_text.iter().find(|chunk| named(&chunk.keyword));
    let unicode = info.utf8_text.iter().find(|chunk| named(&chunk.keyword));
    plain.or_else(|| packed.and_then(|c| c.get_text().ok())).or_else(|| unicode.and_then(|c| c.get_text().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(colour: [u8; 3]) -> Picture {
        Picture::filled(5, 3, colour)
    }

    #[test]
    fn the_text_is_read_back_in_latin_and_beyond() {
        for text in ["a fox\nSteps: 4, Seed: 7", "ein Füchschen, 50 °C", "狐狸 🦊, \"x\"\nNegative prompt: ü"] {
            let bytes = picture([1, 2, 3]).to_png(Some(text)).unwrap();
            assert_eq!(parameters(&bytes).unwrap().as_deref(), Some(text));
            // As PIL writes it: tEXt where Latin-1 will do.
            let chunk: &[u8] =
                if text.is_ascii() || text.contains("°") { b"tEXtparameters\0" } else { b"iTXtparameters\0" };
            assert!(bytes.windows(chunk.len()).any(|part| part == chunk), "{text}");
        }
        assert_eq!(parameters(&picture([0; 3]).to_png(None).unwrap()).unwrap(), None);
    }

    #[test]
    fn an_animation_holds_every_frame() {
        let frames = [picture([255, 0, 0]), picture([0, 255, 0]), picture([0, 0, 255])];
        let bytes = animation(&frames, 120, Some("x")).unwrap();
        let mut reader = Decoder::new(Cursor::new(&bytes)).read_info().unwrap();
        assert_eq!(reader.info().animation_control().unwrap().num_frames, 3);
        for frame in &frames {
            let mut rgb = vec![0; frame.rgb.len()];
            reader.next_frame(&mut rgb).unwrap();
            assert_eq!(rgb, frame.rgb);
            let control = reader.info().frame_control().unwrap();
            assert_eq!((control.delay_num, control.delay_den), (120, 1000));
        }
    }

    #[test]
    fn what_cannot_be_written_or_read_is_refused_in_words() {
        let refused = |result: Result<Vec<u8>>| result.unwrap_err().to_string();
        assert!(refused(animation(&[], 1, None)).contains("no pictures"));
        assert!(refused(animation(&[picture([0; 3]), Picture::filled(1, 1, [0; 3])], 1, None)).contains("one size"));
        assert!(parameters(b"GIF89a").unwrap_err().to_string().contains("no PNG file"));
        let bytes = picture([9; 3]).to_png(None).unwrap();
        assert!(parameters(&bytes[..bytes.len() - 20]).is_err());
    }
}
