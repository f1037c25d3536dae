//! IDX, the format of MNIST's files: a magic number, the sizes, then the bytes. Read item by item, gzipped or not.
//!
//! Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits" (the section on file formats).

use std::io::{BufReader, Read, Write};

use flate2::bufread::GzDecoder;

use crate::{Error, Result};

/// The largest size of one item in bytes, that of a picture of 1024 x 1024. It limits the memory that a broken header
/// can request.
const MAX_ITEM: usize = 1 << 20;
const MAX_AXES: u8 = 4;
/// File formats that are often chosen by mistake: their first bytes, and their names.
const OTHERS: &[(&[u8], &str)] = &[
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"RIFF", "a WebP picture or a sound"),
    (b"BM", "a BMP picture"),
    (b"%PDF", "a PDF document"),
    (b"PK", "a zip archive: unpack it and take the files in it"),
    (b"\x80\x02", PICKLE),
    (b"\x80\x03", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x80\x05", PICKLE),
];
const PICKLE: &str = "a Python pickle (mnist.pkl.gz?), which only Python and numpy can read: take MNIST's own files, \
    train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz";

/// The items of an IDX file of bytes, one after the other. Nothing is read before it is requested.
pub struct Idx<'a> {
    name: String,
    bytes: Box<dyn Read + 'a>,
    shape: Vec<usize>,
    given: usize,
    failed: bool,
}

impl<'a> Idx<'a> {
    /// Reads the header; gzip is detected by its first bytes. `name` is for messages.
    ///
    /// # Errors
    /// [`Error::BadFile`] for a file that is no IDX file of bytes; it says what the file seems to be instead.
    pub fn open(name: &str, file: impl Read + 'a) -> Result<Self> {
        let mut file = BufReader::new(file);
        let zipped = peek(name, &mut file)?.starts_with(&[0x1f, 0x8b]);
        let mut bytes: Box<dyn Read + 'a> =
            if zipped { Box::new(BufReader::new(GzDecoder::new(file))) } else { Box::new(file) };
        let shape = header(name, &mut bytes)?;
        Ok(Self { name: name.to_owned(), bytes, shape, given: 0, failed: false })
    }

    /// The sizes: the number of items, then the axes of one (28 x 28 for MNIST's pictures, none for its labels).
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn read_item(&mut self) -> Result<Vec<u8>> {
        let mut item = vec![0; self.shape[1..].iter().product()];
        let (name, given, count) = (&self.name, self.given, self.shape[0]);
        self.bytes.read_exact(&mut item).map_err(|e| {
            bad(name, format!("its header promises {count} items, but it ends after {given} ({})", plain(&e)))
        })?;
        self.given += 1;
        Ok(item)
    }

    fn check_end(&mut self) -> Result<()> {
        match self.bytes.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(bad(&self.name, format!("it goes on after the {} items of its header", self.shape[0]))),
            Err(e) => Err(bad(&self.name, plain(&e))),
        }
    }
}

// cell: idx
/// Item by item: a picture is decompressed when `next` requests it, as with a generator in Python.
impl Iterator for Idx<'_> {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = if self.given < self.shape[0] {
            self.read_item()
        } else {
            self.failed = true; // asked once: nothing may follow the last item
            Err(self.check_end().err()?)
        };
        self.failed |= item.is_err();
        Some(item)
    }
}

/// The header: two zeros, the type (8: bytes), the number of axes, then each size in four bytes, big-endian.
fn header(name: &str, bytes: &mut impl Read) -> Result<Vec<usize>> {
    let magic = four(name, bytes)?;
    let [0, 0, 8, axes @ 1..=MAX_AXES] = magic else {
        return Err(no_idx(name, magic));
    };
    let shape = (0..axes)
        .map(|_| four(name, bytes).map(|size| u32::from_be_bytes(size) as usize))
        .collect::<Result<Vec<_>>>()?;
    let item = shape[1..].iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    match item {
        Some(1..=MAX_ITEM) => Ok(shape),
        _ => Err(bad(name, format!("one item of shape {:?} is empty or over {MAX_ITEM} bytes", &shape[1..]))),
    }
}
// end

/// Writes items of the same shape as IDX.
///
/// # Errors
/// [`Error::Request`] if an item has another shape; [`Error::Io`] from the writer.
pub fn write_idx<'a>(
    out: &mut impl Write,
    count: usize,
    shape: &[usize],
    items: impl IntoIterator<Item = &'a [u8]>,
) -> Result<()> {
    let size = |n: usize| u32::try_from(n).map_err(|_| Error::Request(format!("{n} is too much for an IDX file")));
    let mut head = vec![0, 0, 8, 1 + shape.len() as u8];
    for n in std::iter::once(&count).chain(shape) {
        head.extend(size(*n)?.to_be_bytes());
    }
    out.write_all(&head).map_err(Error::io("the IDX file"))?;
    let length: usize = shape.iter().product();
    let mut written = 0;
    for item in items {
        if item.len() != length {
            return Err(Error::Request(format!("item {written} has {} bytes, shape {shape:?} {length}", item.len())));
        }
        out.write_all(item).map_err(Error::io("the IDX file"))?;
        written += 1;
    }
    if written != count {
        return Err(Error::Request(format!("{written} items for an IDX file of {count}")));
    }
    Ok(())
}

/// The bytes that the reader has buffered, at least one unless it is at its end; nothing is consumed.
fn peek<'a, R: Read>(name: &str, file: &'a mut BufReader<R>) -> Result<&'a [u8]> {
    use std::io::BufRead;
    file.fill_buf().map_err(|e| bad(name, plain(&e)))
}

fn four(name: &str, bytes: &mut impl Read) -> Result<[u8; 4]> {
    let mut four = [0; 4];
    bytes.read_exact(&mut four).map_err(|e| bad(name, format!("it ends within its header ({})", plain(&e))))?;
    Ok(four)
}

fn no_idx(name: &str, magic: [u8; 4]) -> Error {
    let other = OTHERS.iter().find(|(start, _)| magic.starts_with(start));
    bad(
        name,
        match (other, magic) {
            (Some((_, what)), _) => format!("it is no IDX file, but {what}"),
            (None, [0, 0, kind, 1..=MAX_AXES]) => {
                format!("its numbers are of type {kind:#04x}; only bytes (0x08) can be read")
            }
            (None, _) => format!(
                "its magic number is {magic:02x?}; an IDX file of bytes begins with 00 00 08 and the number of axes"
            ),
        },
    )
}

fn bad(name: &str, reason: String) -> Error {
    Error::BadFile { file: name.to_owned(), reason }
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "no more bytes".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn file(count: usize, shape: &[usize]) -> Vec<u8> {
        let items: Vec<Vec<u8>> = (0..count).map(|i| vec![i as u8; shape.iter().product()]).collect();
        let mut bytes = vec![];
        write_idx(&mut bytes, count, shape, items.iter().map(Vec::as_slice)).expect("writes");
        bytes
    }

    fn zipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(vec![], Compression::default());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn trouble(bytes: &[u8]) -> String {
        match Idx::open("digits", bytes) {
            Err(error) => error.to_string(),
            Ok(mut items) => items.find_map(|item| item.err()).expect("an error").to_string(),
        }
    }

    #[test]
    fn reads_what_it_writes_gzipped_or_not() {
        let bytes = file(3, &[4, 5]);
        assert_eq!(bytes[..8], [0, 0, 8, 3, 0, 0, 0, 3], "MNIST's magic number 2051");
        for bytes in [bytes.clone(), zipped(&bytes)] {
            let idx = Idx::open("digits", &bytes[..]).expect("a good file");
            assert_eq!(idx.shape(), [3, 4, 5]);
            let items: Vec<_> = idx.collect::<Result<_>>().expect("whole");
            assert_eq!(items, [[0; 20], [1; 20], [2; 20]]);
        }
    }

    /// A reader that counts the bytes that are read.
    struct Counted<'a>(&'a [u8], &'a std::cell::Cell<usize>);

    impl Read for Counted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = self.0.read(buffer)?;
            self.1.set(self.1.get() + n);
            Ok(n)
        }
    }

    #[test]
    fn reads_lazily() {
        let bytes = file(600, &[28, 28]);
        let taken = std::cell::Cell::new(0);
        let mut idx = Idx::open("digits", Counted(&bytes, &taken)).expect("a good file");
        idx.nth(9).expect("there").expect("whole");
        assert!(taken.get() < bytes.len() / 10, "ten items took {} of {} bytes", taken.get(), bytes.len());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = file(3, &[4, 5]);
        assert!(trouble(&good[..40]).contains("promises 3 items, but it ends after 1"));
        assert!(trouble(&[&good[..], &[7]].concat()).contains("goes on after the 3 items"));
        assert!(trouble(&zipped(&good)[..30]).starts_with("digits: "));
        assert!(trouble(b"\x89PNG\r\n\x1a\n").contains("but a PNG picture"));
        assert!(trouble(&zipped(b"\x80\x02((cnumpy")).contains("Python pickle"));
        assert!(trouble(b"").contains("ends within its header"));
        assert!(trouble(&[0, 0, 13, 1, 0, 0, 0, 0]).contains("type 0x0d"));
        assert!(trouble(b"hello").contains("magic number is [68, 65, 6c, 6c]"));
        assert!(trouble(&[0, 0, 8, 3, 0, 0, 0, 9, 255, 255, 255, 255, 255, 255, 255, 255]).contains("over"));
        assert!(trouble(&[0, 0, 8, 2, 0, 0, 0, 9, 0, 0, 0, 0]).contains("is empty"));
    }

    #[test]
    fn no_change_of_a_byte_breaks_the_reader() {
        let good = file(3, &[4, 5]);
        for whole in [good.clone(), zipped(&good)] {
            for at in 0..whole.len() {
                for value in [0, 1, 0x7f, 0xff] {
                    let mut broken = whole.clone();
                    broken[at] = value;
                    if let Ok(items) = Idx::open("digits", &broken[..]) {
                        assert!(
                            items.take(1000).all(|item| item.is_err() || item.is_ok_and(|item| item.len() <= MAX_ITEM))
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn an_error_ends_the_items() {
        let good = file(3, &[4, 5]);
        let idx = Idx::open("digits", &good[..40]).expect("a good header");
        assert_eq!(idx.count(), 2, "one item, one error");
        let mut idx = Idx::open("digits", &good[..]).expect("good");
        assert_eq!((idx.by_ref().count(), idx.next().is_none()), (3, true));
    }
}
