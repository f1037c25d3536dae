//! PNG files: writes pictures and animations with their settings, and reads the settings.
//!
//! The settings are an [infotext](crate::infotext) in the text chunk `parameters`, where A1111 puts it: `tEXt` if
//! Latin-1 can represent it, else `iTXt`. This module does not use the crate `png`, so that the page's wasm stays
//! small; the tests read everything back with that crate. Source: the PNG specification, third edition.

use std::borrow::Cow;

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use crate::error::{Error, Result};
use crate::picture::Picture;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The chunk's keyword.
const PARAMETERS: &str = "parameters";

impl Picture {
    /// The bytes of a PNG file, with the text `parameters` if there is one.
    ///
    /// # Errors
    /// [`Error::BadFile`] if there are no pixels.
    pub fn to_png(&self, parameters: Option<&str>) -> Result<Vec<u8>> {
        animation(std::slice::from_ref(self), 0, parameters)
    }

    /// Writes a PNG file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written, also because the disk is full.
    #[cfg(feature = "native")]
    pub fn write_png(&self, path: &std::path::Path) -> Result<()> {
        std::fs::write(path, self.to_png(None)?).map_err(Error::io(path))
    }
}

/// The bytes of an animated PNG that repeats forever and shows each frame for `milliseconds`; one frame gives a still
/// picture. Programs without support for animations show the first frame.
///
/// # Errors
/// [`Error::Request`] without frames or with frames of different sizes; [`Error::BadFile`] if there are no pixels.
pub fn animation(frames: &[Picture], milliseconds: u16, parameters: Option<&str>) -> Result<Vec<u8>> {
    let Some(first) = frames.first() else { return Err(Error::Request("an animation of no pictures".into())) };
    if frames.iter().any(|frame| (frame.width, frame.height) != (first.width, first.height)) {
        return Err(Error::Request("the pictures of an animation must have one size".into()));
    }
    if first.width == 0 || first.height == 0 {
        return Err(Error::BadFile { file: "the PNG".into(), reason: "a picture without pixels".into() });
    }
    let size = [(first.width as u32).to_be_bytes(), (first.height as u32).to_be_bytes()].concat();
    let mut png = SIGNATURE.to_vec();
    let transparent = frames.iter().any(|frame| frame.alpha.is_some());
    // 8 bits a channel; red, green and blue, with or without alpha; the usual compression and filters, not interlaced.
    let colour_type = if transparent { 6 } else { 2 };
    chunk(&mut png, b"IHDR", &[&size[..], &[8, colour_type, 0, 0, 0]].concat());
    if let Some(text) = parameters {
        write_text(&mut png, text);
    }
    let animated = frames.len() > 1;
    if animated {
        chunk(&mut png, b"acTL", &[(frames.len() as u32).to_be_bytes(), [0; 4]].concat());
    }
    let mut sequence = 0u32;
    let mut next = || {
        sequence += 1;
        (sequence - 1).to_be_bytes()
    };
    for (at, frame) in frames.iter().enumerate() {
        if animated {
            let delay = [milliseconds.to_be_bytes(), 1000u16.to_be_bytes()].concat();
            // Index, size, no offset, delay; the next frame replaces this one.
            chunk(&mut png, b"fcTL", &[&next()[..], &size, &[0; 8], &delay, &[0, 0]].concat());
        }
        let data = compress_to_vec_zlib(&filtered(frame, transparent), LEVEL);
        match at {
            0 => chunk(&mut png, b"IDAT", &data),
            _ => chunk(&mut png, b"fdAT", &[&next()[..], &data].concat()),
        }
    }
    chunk(&mut png, b"IEND", &[]);
    Ok(png)
}

/// The text chunk `parameters` of a PNG file; none if it has no such chunk.
///
/// # Errors
/// [`Error::BadFile`] if the bytes are no PNG file, or a damaged one.
pub fn parameters(bytes: &[u8]) -> Result<Option<String>> {
    let bad = |reason: &str| Error::BadFile { file: "the picture".into(), reason: reason.into() };
    let mut rest = bytes.strip_prefix(SIGNATURE).ok_or_else(|| bad("no PNG file"))?;
    let cut = || bad("a damaged PNG file: it is cut short");
    loop {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let (kind, after) = after.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (data, after) = after.split_at_checked(length).ok_or_else(cut)?;
        let (sum, after) = after.split_first_chunk::<4>().ok_or_else(cut)?;
        if let Some(text) = text_of(kind, data) {
            if u32::from_be_bytes(*sum) != crc32(&[&kind[..], data]) {
                return Err(bad("a damaged PNG file: the settings do not have their checksum"));
            }
            return text.map(Some).ok_or_else(|| bad("its settings cannot be read"));
        }
        if kind == b"IEND" {
            return Ok(None);
        }
        rest = after;
    }
}

/// Compression level, of 0 to 10; higher ones take longer and save almost nothing.
const LEVEL: u8 = 8;
/// Greatest size of a decompressed text, in bytes.
const LONGEST: usize = 1 << 20;

fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    png.extend((data.len() as u32).to_be_bytes());
    png.extend(kind);
    png.extend(data);
    png.extend(crc32(&[kind, data]).to_be_bytes());
}

fn write_text(png: &mut Vec<u8>, text: &str) {
    let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok().filter(|b| *b != 0)).collect();
    match latin {
        Some(latin) => chunk(png, b"tEXt", &[PARAMETERS.as_bytes(), &[0], &latin].concat()),
        // Not compressed, no language, no translated keyword.
        None => chunk(png, b"iTXt", &[PARAMETERS.as_bytes(), &[0; 5], text.as_bytes()].concat()),
    }
}

/// The text of a chunk `parameters`: none for other chunks, and an inner none for a text that cannot be read.
fn text_of(kind: &[u8; 4], data: &[u8]) -> Option<Option<String>> {
    let rest = data.strip_prefix(PARAMETERS.as_bytes())?.strip_prefix(&[0])?;
    let latin = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let unpacked = |bytes: &[u8]| decompress_to_vec_zlib_with_limit(bytes, LONGEST).ok();
    match kind {
        b"tEXt" => Some(Some(latin(rest))),
        b"zTXt" => Some(rest.split_first().and_then(|(_, packed)| unpacked(packed)).map(|bytes| latin(&bytes))),
        b"iTXt" => Some(international(rest, unpacked)),
        _ => None,
    }
}

/// The rest of the chunk after the keyword: compression flag and method, language, translated keyword, text in UTF-8.
fn international(rest: &[u8], unpacked: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<String> {
    let ([packed, _method], rest) = rest.split_first_chunk::<2>()?;
    let mut parts = rest.splitn(3, |byte| *byte == 0);
    let text = parts.nth(2)?;
    let bytes = if *packed == 0 { Cow::Borrowed(text) } else { Cow::Owned(unpacked(text)?) };
    String::from_utf8(bytes.into_owned()).ok()
}

/// Each row with the filter that gives the smallest sum: a row's bytes as differences to their neighbours.
fn filtered(picture: &Picture, transparent: bool) -> Vec<u8> {
    let channels = if transparent { 4 } else { 3 };
    let bytes = if transparent { Cow::Owned(picture.rgba()) } else { Cow::Borrowed(&picture.rgb) };
    let length = channels * picture.width;
    let mut rows = Vec::with_capacity((length + 1) * picture.height);
    let mut above = vec![0; length];
    for row in bytes.chunks_exact(length) {
        let tried = (0..5u8).map(|filter| (filter, with_filter(filter, channels, row, &above)));
        let loudness = |bytes: &[u8]| bytes.iter().map(|byte| u64::from((*byte as i8).unsigned_abs())).sum::<u64>();
        if let Some((filter, best)) = tried.min_by_key(|(_, bytes)| loudness(bytes)) {
            rows.push(filter);
            rows.extend(best);
        }
        above = row.to_vec();
    }
    rows
}

fn with_filter(filter: u8, channels: usize, row: &[u8], above: &[u8]) -> Vec<u8> {
    let byte = |i: usize| {
        let before = |row: &[u8]| i.checked_sub(channels).map_or(0, |i| row[i]);
        let (left, up, corner) = (before(row), above[i], before(above));
        row[i].wrapping_sub(match filter {
            0 => 0,
            1 => left,
            2 => up,
            3 => ((u16::from(left) + u16::from(up)) / 2) as u8,
            _ => paeth(left, up, corner),
        })
    };
    (0..row.len()).map(byte).collect()
}

/// The one of three neighbours that is nearest to left + up - corner (Paeth, 1991).
fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let [a, b, c] = [left, up, corner].map(i16::from);
    let near = |x: i16| (a + b - c - x).abs();
    match () {
        () if near(a) <= near(b) && near(a) <= near(c) => left,
        () if near(b) <= near(c) => up,
        () => corner,
    }
}

/// The checksum of a chunk (ISO 3309).
fn crc32(parts: &[&[u8]]) -> u32 {
    const TABLE: [u32; 256] = table();
    let step = |crc: u32, byte: &u8| TABLE[(crc as u8 ^ byte) as usize] ^ (crc >> 8);
    !parts.iter().flat_map(|part| part.iter()).fold(!0, step)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let (mut value, mut bit) = (n as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[n] = value;
        n += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use png::Decoder;

    use super::*;

    fn picture(colour: [u8; 3]) -> Picture {
        Picture::filled(5, 3, colour)
    }

    #[test]
    fn the_text_is_read_back_in_latin_and_beyond() {
        for text in ["a fox\nSteps: 4, Seed: 7", "ein Füchschen, 50 °C", "狐狸 🦊, \"x\"\nNegative prompt: ü"] {
            let bytes = picture([1, 2, 3]).to_png(Some(text)).unwrap();
            assert_eq!(parameters(&bytes).unwrap().as_deref(), Some(text));
            // As PIL writes it: tEXt if Latin-1 is enough.
            let chunk: &[u8] =
                if text.is_ascii() || text.contains("°") { b"tEXtparameters\0" } else { b"iTXtparameters\0" };
            assert!(bytes.windows(chunk.len()).any(|part| part == chunk), "{text}");
        }
        assert_eq!(parameters(&picture([0; 3]).to_png(None).unwrap()).unwrap(), None);
    }

    #[test]
    fn every_filter_is_undone_by_others() {
        let noise = |i: usize| (i * i * 31 + i * 7) as u8;
        let kinds: [fn(usize) -> u8; 4] = [|i| (i / 3) as u8, |i| (i / 96) as u8 * 9, |i| (i % 96) as u8, |i| i as u8];
        for kind in kinds.into_iter().chain([noise as fn(usize) -> u8]) {
            let opaque = Picture::opaque(32, 20, (0..32 * 20 * 3).map(kind).collect());
            let clear = Picture::from_rgba(32, 20, &(0..32 * 20 * 4).map(kind).collect::<Vec<u8>>()).unwrap();
            for (picture, wanted) in [(&opaque, &opaque.rgb), (&clear, &clear.rgba())] {
                let bytes = picture.to_png(Some("x")).unwrap();
                let mut reader = Decoder::new(Cursor::new(&bytes)).read_info().unwrap();
                assert_eq!(reader.info().uncompressed_latin1_text[0].text, "x");
                let mut read = vec![0; wanted.len()];
                reader.next_frame(&mut read).unwrap();
                assert_eq!(read, *wanted);
            }
        }
    }

    #[test]
    fn packed_texts_of_others_are_read() {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
        encoder.add_ztxt_chunk("parameters".into(), "a fox".repeat(50)).unwrap();
        encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
        assert_eq!(parameters(&bytes).unwrap(), Some("a fox".repeat(50)));
        let mut chunk = png::text_metadata::ITXtChunk::new("parameters", "狐".repeat(50));
        chunk.compress_text().unwrap();
        let mut bytes = Vec::new();
        let mut writer = png::Encoder::new(&mut bytes, 1, 1).write_header().unwrap();
        writer.write_text_chunk(&chunk).unwrap();
        writer.write_image_data(&[0]).unwrap();
        drop(writer);
        assert_eq!(parameters(&bytes).unwrap(), Some("狐".repeat(50)));
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

    /// All frames of a file have the same channels.
    #[test]
    fn one_transparent_frame_gives_all_an_alpha() {
        let frames = [picture([255, 0, 0]), Picture::from_rgba(5, 3, &[9, 8, 7, 6].repeat(15)).unwrap()];
        let bytes = animation(&frames, 120, None).unwrap();
        let mut reader = Decoder::new(Cursor::new(&bytes)).read_info().unwrap();
        for frame in &frames {
            let mut read = vec![0; 4 * 15];
            reader.next_frame(&mut read).unwrap();
            assert_eq!(read, frame.rgba());
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
