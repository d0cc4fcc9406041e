use tokenizers::processors::template::TemplateProcessing;
use tokenizers::Tokenizer;

use crate::byte_level::ByteLevel;
use crate::failure::Failure;

const JSON_BYTES_MAX: usize = 256 << 20;
const TEXT_BYTES_MAX: usize = 64 << 20;

pub struct TextTokenizer {
    inner: Tokenizer,
    fast: Option<ByteLevel>,
    size: u32,
}

impl TextTokenizer {
    pub fn from_json(json: &[u8]) -> Result<Self, Failure> {
        if json.len() > JSON_BYTES_MAX {
            return Err(Failure(format!(
                "the tokenizer has {} bytes, the limit is {JSON_BYTES_MAX}",
                json.len()
            )));
        }
        let mut inner =
            Tokenizer::from_bytes(json).map_err(|e| Failure(format!("cannot read the tokenizer: {e}")))?;
        // As transformers does: cutting and padding are the caller's business.
        inner.with_truncation(None).map_err(|e| Failure(format!("cannot use the tokenizer: {e}")))?;
        inner.with_padding(None);
        let size = u32::try_from(inner.get_vocab_size(true))
            .map_err(|_| Failure("the vocabulary does not fit 32 bits".into()))?;
        let fast = ByteLevel::of(&inner, json);
        Ok(TextTokenizer { inner, fast, size })
    }

    /// A copy that adds `bos` before and `eos` after a text, those that are not empty.
    pub fn framed(&self, bos: &str, eos: &str) -> Result<Self, Failure> {
        let mut single = Vec::new();
        let mut special = Vec::new();
        for (token, place) in [(bos, 0), ("$A", 1), (eos, 2)] {
            if token.is_empty() {
                continue;
            }
            single.push(token.to_string());
            if place != 1 && !special.iter().any(|(known, _)| known == token) {
                let id = self
                    .inner
                    .token_to_id(token)
                    .ok_or_else(|| Failure(format!("the token {token:?} is not in the vocabulary")))?;
                special.push((token.to_string(), id));
            }
        }
        let post_processor = TemplateProcessing::builder()
            .try_single(single)
            .map_err(Failure)?
            .special_tokens(special)
            .build()
            .map_err(|e| Failure(e.to_string()))?;
        let mut inner = self.inner.clone();
        inner.with_post_processor(Some(post_processor));
        let fast = self.fast.as_ref().and_then(|fast| fast.framed(&inner));
        Ok(TextTokenizer { inner, fast, size: self.size })
    }

    pub fn by_crate(&self) -> Self {
        TextTokenizer { inner: self.inner.clone(), fast: None, size: self.size }
    }

    pub fn is_fast(&self) -> bool {
        self.fast.is_some()
    }

    /// Ids and, two for each id, the byte positions in `text` where it starts and ends.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<(Vec<u32>, Vec<u32>), Failure> {
        check_size(text)?;
        if let Some(fast) = &self.fast {
            let mut places = Vec::new();
            if let Some(ids) = fast.encode(text, add_special, Some(&mut places)) {
                return Ok((ids, places));
            }
        }
        let encoding = self.inner.encode(text, add_special).map_err(cannot_encode)?;
        let offsets =
            encoding.get_offsets().iter().flat_map(|&(start, end)| [start as u32, end as u32]).collect();
        Ok((encoding.get_ids().to_vec(), offsets))
    }

    pub fn encode_ids(&self, text: &str, add_special: bool) -> Result<Vec<u32>, Failure> {
        check_size(text)?;
        if let Some(ids) = self.fast.as_ref().and_then(|fast| fast.encode(text, add_special, None)) {
            return Ok(ids);
        }
        let encoding = self.inner.encode_fast(text, add_special).map_err(cannot_encode)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of a text, and how many of the first of them are also those of its first `start` bytes alone.
    pub fn encode_after(
        &self,
        text: &str,
        start: usize,
        add_special: bool,
    ) -> Result<(Vec<u32>, usize), Failure> {
        check_size(text)?;
        if !text.is_char_boundary(start) {
            return Err(Failure(format!("byte {start} of the text is inside a character")));
        }
        let fast = self.fast.as_ref().and_then(|fast| fast.encode_after(text, start, add_special));
        if let Some(encoded) = fast {
            return Ok(encoded);
        }
        let alone = self.encode_ids(&text[..start], add_special)?;
        let ids = self.encode_ids(text, add_special)?;
        let same = ids.iter().zip(&alone).take_while(|(a, b)| a == b).count();
        Ok((ids, same))
    }

    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, Failure> {
        self.inner.decode(ids, skip_special).map_err(|e| Failure(format!("cannot decode: {e}")))
    }

    pub fn size(&self) -> u32 {
        self.size
    }

    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }
}

fn check_size(text: &str) -> Result<(), Failure> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Failure(format!("the text has {} bytes, the limit is {TEXT_BYTES_MAX}", text.len())));
    }
    Ok(())
}

fn cannot_encode(error: tokenizers::Error) -> Failure {
    Failure(format!("cannot encode: {error}"))
}
