//! A second way through byte-level BPE tokenizers (GPT-2, Llama 3, Qwen, SmolLM): the crate `tokenizers` reads
//! tokenizer.json, and this gives the same ids and offsets some ten times faster. What it does not know (a
//! normalizer, another model, added tokens that take the white space around them) it leaves to the crate.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use serde::Deserialize;
use tokenizers::{
    AddedToken, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    SplitDelimiterBehavior, Tokenizer,
};

use crate::bpe::{Bpe, Cache};
use crate::split::Splitter;

/// No normalizer that is taken here changes a text of characters below this one.
const FIRST_UNSTABLE: char = '\u{300}';

#[derive(Clone)]
pub struct ByteLevel {
    core: Arc<Core>,
    frame: Frame,
}

struct Core {
    bpe: Bpe,
    splitter: Splitter,
    normalizes: bool,
    added: Vec<Added>,    // looked for one after the other
    longest_added: usize, // in bytes
    caches: Mutex<Vec<Cache>>,
}

struct Added {
    finder: AhoCorasick,
    ids: Vec<u32>,
}

/// What the post-processor does.
#[derive(Clone, Default)]
struct Frame {
    before: Vec<u32>,
    after: Vec<u32>,
    /// White space at a token's ends is not part of its place; true: but for the one space that a pre-tokenizer may
    /// have put before the text.
    trim: Option<bool>,
}

impl ByteLevel {
    /// None when the tokenizer is not one for this. `json`: what it was read from.
    pub fn of(tokenizer: &Tokenizer, json: &[u8]) -> Option<Self> {
        let ModelWrapper::BPE(model) = tokenizer.get_model() else { return None };
        let plain = model.dropout.is_none_or(|share| share == 0.0)
            && !model.byte_fallback
            && model.continuing_subword_prefix.as_deref().unwrap_or_default().is_empty()
            && model.end_of_word_suffix.as_deref().unwrap_or_default().is_empty();
        if !plain || tokenizer.get_encode_special_tokens() {
            return None;
        }
        let normalizes = match tokenizer.get_normalizer() {
            None => false,
            Some(NormalizerWrapper::NFC(_)) => true,
            Some(_) => return None,
        };
        let core = Core {
            splitter: splitter_of(tokenizer.get_pre_tokenizer()?)?,
            added: added_of(tokenizer, normalizes)?,
            longest_added: longest_added(tokenizer),
            bpe: Bpe::new(&model.get_vocab(), &merges_of(json)?, model.ignore_merges)?,
            normalizes,
            caches: Mutex::new(Vec::new()),
        };
        Some(ByteLevel { core: Arc::new(core), frame: Frame::of(tokenizer)? })
    }

    /// The same with another post-processor: that of `tokenizer`.
    pub fn framed(&self, tokenizer: &Tokenizer) -> Option<Self> {
        Some(ByteLevel { core: self.core.clone(), frame: Frame::of(tokenizer)? })
    }

    /// None: this text is for the crate. Into `places`, if asked for, go two byte positions for each id.
    pub fn encode(
        &self,
        text: &str,
        add_special: bool,
        mut places: Option<&mut Vec<u32>>,
    ) -> Option<Vec<u32>> {
        let core = &*self.core;
        if core.normalizes && text.chars().any(|c| c >= FIRST_UNSTABLE) {
            return None;
        }
        let mut ids = Vec::with_capacity(text.len() / 3 + 2);
        let frame = |special: &[u32], ids: &mut Vec<u32>, places: &mut Option<&mut Vec<u32>>| {
            if add_special {
                ids.extend_from_slice(special);
                if let Some(places) = places {
                    places.extend(special.iter().flat_map(|_| [0, 0]));
                }
            }
        };
        frame(&self.frame.before, &mut ids, &mut places);
        let mut cache = core.take_cache();
        let trim = self.frame.trim;
        let mut pass = Pass {
            core,
            text,
            trim,
            cache: &mut cache,
            ids: &mut ids,
            known: true,
            settled: 0,
            common: (0, 0),
        };
        pass.pieces(0..text.len(), &core.added, &mut places);
        let known = pass.known;
        core.give_back(cache);
        if !known {
            return None;
        }
        frame(&self.frame.after, &mut ids, &mut places);
        Some(ids)
    }

    /// The ids of a text, and how many of the first of them are also those of its first `start` bytes alone. What both
    /// have in common is encoded once: only the last words of the start are encoded again, without what follows them.
    /// None: these texts are for the crate.
    pub fn encode_after(&self, text: &str, start: usize, add_special: bool) -> Option<(Vec<u32>, usize)> {
        let core = &*self.core;
        if !core.splitter.is_local() || (core.normalizes && text.chars().any(|c| c >= FIRST_UNSTABLE)) {
            return None;
        }
        let alone = &text[..start];
        // An added token may begin in the start and end behind it.
        let mut sure = start.saturating_sub(core.longest_added);
        while !text.is_char_boundary(sure) {
            sure -= 1;
        }
        let settled = Splitter::settled(&text[..sure]);
        let (before, after): (&[u32], &[u32]) =
            if add_special { (&self.frame.before, &self.frame.after) } else { (&[], &[]) };
        let mut ids = Vec::with_capacity(text.len() / 3 + 2);
        ids.extend_from_slice(before);
        let mut tail = Vec::new();
        let mut cache = core.take_cache();
        let common = (0, ids.len());
        let mut pass =
            Pass { core, text, trim: None, cache: &mut cache, ids: &mut ids, known: true, settled, common };
        pass.pieces(0..text.len(), &core.added, &mut None);
        let ((place, count), mut known) = (pass.common, pass.known);
        let mut pass = Pass {
            text: alone,
            ids: &mut tail,
            settled: 0,
            common,
            known: true,
            core,
            trim: None,
            cache: &mut cache,
        };
        pass.pieces(place..start, &core.added, &mut None);
        known &= pass.known;
        core.give_back(cache);
        if !known {
            return None;
        }
        ids.extend_from_slice(after);
        tail.extend_from_slice(after);
        let same = ids[count..].iter().zip(&tail).take_while(|(a, b)| a == b).count();
        Some((ids, count + same))
    }
}

fn longest_added(tokenizer: &Tokenizer) -> usize {
    tokenizer.get_added_tokens_decoder().values().map(|token| token.content.len()).max().unwrap_or(0)
}

impl Core {
    fn take_cache(&self) -> Cache {
        let kept = self.caches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(Cache::new)
    }

    fn give_back(&self, cache: Cache) {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner).push(cache);
    }
}

/// One text on its way.
struct Pass<'a> {
    core: &'a Core,
    text: &'a str,
    trim: Option<bool>,
    cache: &'a mut Cache,
    ids: &'a mut Vec<u32>,
    known: bool, // that all of it has tokens
    /// Words up to this place stay what they are whatever follows the text's start; the last of their ends, and how
    /// many ids there were by then.
    settled: usize,
    common: (usize, usize),
}

impl Pass<'_> {
    /// Takes the added tokens out of a range, and encodes what is between them.
    fn pieces(&mut self, range: Range<usize>, added: &[Added], places: &mut Option<&mut Vec<u32>>) {
        let Some((first, others)) = added.split_first() else { return self.words(range, places) };
        let mut at = range.start;
        for found in first.finder.find_iter(&self.text[range.clone()]) {
            let (start, end) = (range.start + found.start(), range.start + found.end());
            if at < start {
                self.pieces(at..start, others, places);
            }
            self.ids.push(first.ids[found.pattern().as_usize()]);
            self.place(start..end, places);
            self.settle(end);
            at = end;
        }
        if at < range.end {
            self.pieces(at..range.end, others, places);
        }
    }

    fn words(&mut self, range: Range<usize>, places: &mut Option<&mut Vec<u32>>) {
        let (core, text) = (self.core, self.text);
        core.splitter.split(&text[range.clone()], &mut |word| {
            let first = self.ids.len();
            let mut at = range.start + word.start;
            let bytes = &text.as_bytes()[at..range.start + word.end];
            self.known &= core.bpe.encode(bytes, self.cache, self.ids);
            if places.is_some() {
                for i in first..self.ids.len() {
                    let end = at + core.bpe.length(self.ids[i]);
                    self.place(at..end, places);
                    at = end;
                }
            }
            self.settle(range.start + word.end);
        });
    }

    #[inline]
    fn settle(&mut self, end: usize) {
        if end <= self.settled {
            self.common = (end, self.ids.len());
        }
    }

    /// Of a token that is part of a character: the place of the whole character.
    fn place(&self, range: Range<usize>, places: &mut Option<&mut Vec<u32>>) {
        let Some(places) = places else { return };
        let (mut start, mut end) = (range.start, range.end);
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        if let Some(keeps_first) = self.trim {
            let token = &self.text.as_bytes()[range];
            let spaces = |count: usize| if start == 0 && keeps_first && count == 1 { 0 } else { count };
            let leading = spaces(token.iter().take_while(|b| **b == b' ').count());
            let trailing = token.iter().rev().take_while(|b| **b == b' ').count();
            start = usize::min(start + leading, end);
            if end >= trailing {
                end = usize::max(end - trailing, start);
            }
        }
        places.extend([start as u32, end as u32]);
    }
}

impl Frame {
    fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let trim = |level: &tokenizers::pre_tokenizers::byte_level::ByteLevel| {
            level.trim_offsets.then_some(level.add_prefix_space)
        };
        let trim = match tokenizer.get_post_processor() {
            None | Some(PostProcessorWrapper::Template(_)) => None,
            Some(PostProcessorWrapper::ByteLevel(level)) => trim(level),
            // Llama 3's. The other way round the template's tokens would be trimmed too.
            Some(PostProcessorWrapper::Sequence(both)) => match (both.get(0), both.get(1), both.get(2)) {
                (
                    Some(PostProcessorWrapper::ByteLevel(level)),
                    Some(PostProcessorWrapper::Template(_)),
                    None,
                ) => trim(level),
                _ => return None,
            },
            Some(_) => return None,
        };
        let framed = tokenizer.encode("a", true).ok()?;
        let (ids, special) = (framed.get_ids(), framed.get_special_tokens_mask());
        let before = special.iter().take_while(|mark| **mark == 1).count();
        let after = special[before..].iter().rev().take_while(|mark| **mark == 1).count();
        let text = before..ids.len() - after;
        let bare = tokenizer.encode("a", false).ok()?;
        // A template that says the text twice, or not at all, is left to the crate.
        if &ids[text.clone()] != bare.get_ids() || text.is_empty() {
            return None;
        }
        Some(Frame { before: ids[..before].to_vec(), after: ids[text.end..].to_vec(), trim })
    }
}

fn splitter_of(pre_tokenizer: &PreTokenizerWrapper) -> Option<Splitter> {
    use PreTokenizerWrapper as P;
    let alone = std::slice::from_ref(pre_tokenizer);
    match if let P::Sequence(list) = pre_tokenizer { list.as_ref() } else { alone } {
        [P::ByteLevel(level)] if !level.add_prefix_space && level.use_regex => {
            Some(Splitter::Gpt2 { digits: false })
        }
        [P::Digits(digits), P::ByteLevel(level)]
            if digits.individual_digits && !level.add_prefix_space && level.use_regex =>
        {
            Some(Splitter::Gpt2 { digits: true })
        }
        [P::Split(split), P::ByteLevel(level)] if !level.add_prefix_space && !level.use_regex => {
            let tokenizers::pre_tokenizers::split::SplitPattern::Regex(expression) = &split.pattern else {
                return None;
            };
            let isolated = split.behavior == SplitDelimiterBehavior::Isolated && !split.invert;
            isolated.then(|| Splitter::of(expression)).flatten()
        }
        _ => None,
    }
}

/// Those that are looked for in the text as it is, then those in the normalized one.
fn added_of(tokenizer: &Tokenizer, normalizes: bool) -> Option<Vec<Added>> {
    let all = tokenizer.get_added_tokens_decoder();
    let mut added = Vec::new();
    for normalized in [false, true] {
        let mut chosen: Vec<(&u32, &AddedToken)> =
            all.iter().filter(|(_, token)| token.normalized == normalized).collect();
        chosen.sort_by_key(|(id, _)| **id);
        let simple = |token: &AddedToken| {
            let changes = normalizes && normalized && token.content.chars().any(|c| c >= FIRST_UNSTABLE);
            // Trimming counts white space of added tokens by other rules than that of words.
            let spaces = token.content.contains(char::is_whitespace) || token.content.contains('Ġ');
            !(token.lstrip || token.rstrip || token.single_word || changes || spaces)
        };
        if !chosen.iter().all(|(_, token)| simple(token)) {
            return None;
        }
        if chosen.is_empty() {
            continue;
        }
        let finder = AhoCorasickBuilder::new()
            .match_kind(MatchKind::LeftmostLongest)
            .build(chosen.iter().map(|(_, token)| &token.content))
            .ok()?;
        added.push(Added { finder, ids: chosen.iter().map(|(id, _)| **id).collect() });
    }
    Some(added)
}

#[derive(Deserialize)]
struct File {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    merges: Merges,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merges {
    Pairs(Vec<(String, String)>),
    Lines(Vec<String>),
}

/// By rank. The crate keeps them to itself.
fn merges_of(json: &[u8]) -> Option<Vec<(String, String)>> {
    match serde_json::from_slice::<File>(json).ok()?.model.merges {
        Merges::Pairs(pairs) => Some(pairs),
        Merges::Lines(lines) => lines
            .iter()
            .filter(|line| !line.starts_with("#version"))
            .map(|line| line.split_once(' ').map(|(left, right)| (left.into(), right.into())))
            .collect(),
    }
}
