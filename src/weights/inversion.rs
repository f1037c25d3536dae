//! Words that were learned from pictures: embeddings of textual inversion (Gal et al., 2022, arXiv 2208.01618).

use burn::tensor::TensorData;

use super::Checkpoint;
use crate::{Error, Result};

/// One learned word.
#[derive(Clone, Debug)]
pub struct TextualInversion {
    /// The word in prompts.
    pub token: String,
    /// Its vectors `[n, features]`: one entry, or for Stable Diffusion XL one for each text encoder.
    pub vectors: Vec<TensorData>,
}

/// The web UI's key for one text encoder.
const SINGLE: &str = "emb_params";
/// The keys for Stable Diffusion XL's text encoders, in their order.
const PAIR: [&str; 2] = ["clip_l", "clip_g"];

impl TextualInversion {
    /// Reads a safetensors file: diffusers' `learned_embeds` (the key is the word), or the web UI's (the word is the file's
    /// name). `token` is the word to use instead.
    ///
    /// # Errors
    /// [`Error::BadFile`] for anything else, with the keys that were found.
    pub fn parse(file: &str, bytes: &[u8], token: Option<&str>) -> Result<Self> {
        let bad = |reason: String| Error::BadFile { file: file.to_string(), reason };
        let checkpoint = Checkpoint::parse(file, bytes)?;
        let keys: Vec<String> = checkpoint.keys().map(str::to_string).collect();
        let named = |key: &str| keys.iter().any(|found| found == key);
        let (found, own): (Vec<&str>, Option<&str>) = match keys.as_slice() {
            _ if named(PAIR[0]) && named(PAIR[1]) => (PAIR.to_vec(), None),
            _ if named(SINGLE) => (vec![SINGLE], None),
            [key] => (vec![key], Some(key)),
            _ => {
                let some = keys.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
                return Err(bad(format!("not a textual inversion: it has {} tensors ({some})", keys.len())));
            }
        };
        let token = token.or(own).unwrap_or_else(|| stem(file));
        if token.is_empty() || token.contains(char::is_whitespace) {
            return Err(bad(format!("{token:?} cannot be a word of a prompt: name another")));
        }
        let vectors = found.into_iter().map(|key| rows(checkpoint.f32(key)?).ok_or_else(|| bad(shapeless(key))));
        let vectors = vectors.collect::<Result<Vec<_>>>()?;
        if vectors.iter().any(|each| each.shape()[0] != vectors[0].shape()[0]) {
            return Err(bad(format!("{} and {} have different numbers of vectors", PAIR[0], PAIR[1])));
        }
        Ok(Self { token: token.to_string(), vectors })
    }

    /// The words that stand for its vectors, one each, as diffusers names them.
    pub fn words(&self) -> Vec<String> {
        let more = (1..self.vectors[0].shape()[0]).map(|i| format!("{}_{i}", self.token));
        std::iter::once(self.token.clone()).chain(more).collect()
    }
}

fn shapeless(key: &str) -> String {
    format!("{key}: a learned word has one to 75 vectors")
}

/// `[n, features]`, also for a single vector.
fn rows(data: TensorData) -> Option<TensorData> {
    let shape = match data.shape().to_vec()[..] {
        [features] => [1, features],
        [n, features] => [n, features],
        _ => return None,
    };
    let [n, features] = shape;
    ((1..=75).contains(&n) && features > 0).then(|| TensorData::new(data.iter::<f32>().collect(), shape))
}

/// The file's name without folder and ending.
fn stem(file: &str) -> &str {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::{Dtype, tensor::TensorView};

    fn file(tensors: &[(&str, usize, usize)]) -> Vec<u8> {
        let zeros = vec![0; 4096];
        let view = |n, width| TensorView::new(Dtype::F32, vec![n, width], &zeros[..4 * n * width]).unwrap();
        let views = tensors.iter().map(|(key, n, width)| (*key, view(*n, *width)));
        safetensors::serialize(views, None).unwrap()
    }

    #[test]
    fn a_word_comes_from_the_key_or_the_name_of_the_file() {
        let read = |bytes: &[u8], token| TextualInversion::parse("some/easy.safetensors", bytes, token);
        let own = read(&file(&[("<cat>", 2, 4)]), None).unwrap();
        assert_eq!((own.token.as_str(), own.words()), ("<cat>", vec!["<cat>".to_string(), "<cat>_1".into()]));
        assert_eq!(read(&file(&[("emb_params", 1, 4)]), None).unwrap().token, "easy");
        let pair = read(&file(&[("clip_g", 3, 6), ("clip_l", 3, 4)]), Some("mine")).unwrap();
        assert_eq!(
            (pair.token.as_str(), pair.vectors[0].shape().to_vec(), pair.words().len()),
            ("mine", vec![3, 4], 3)
        );
    }

    #[test]
    fn other_files_are_refused() {
        let refused = |tensors: &[(&str, usize, usize)]| {
            TextualInversion::parse("x.safetensors", &file(tensors), None).unwrap_err().to_string()
        };
        assert!(refused(&[("a", 1, 4), ("b", 1, 4)]).contains("not a textual inversion: it has 2 tensors"));
        assert!(refused(&[("clip_g", 2, 6), ("clip_l", 3, 4)]).contains("different numbers"));
        assert!(refused(&[("two words", 1, 4)]).contains("cannot be a word"));
        assert!(refused(&[("x", 76, 4)]).contains("one to 75 vectors"));
    }
}
