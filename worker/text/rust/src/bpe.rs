//! Byte-level BPE on bytes, with a cache of words: the merges that the crate `tokenizers` does, in the same order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use ahash::AHashMap;

/// Words up to so many bytes and tokens have a slot of a fixed table, longer ones a place in a map.
const SHORT_BYTES: usize = 15;
const SHORT_IDS: usize = 3;
const SLOTS: usize = 1 << 15;
/// No longer word is remembered, as in the crate, and no more of them in all.
const LONG_BYTES: usize = 256;
const LONG_WORDS: usize = 1 << 14;

const NONE: u32 = u32::MAX;

pub struct Bpe {
    byte_ids: [u32; 256],
    merges: AHashMap<(u32, u32), Merge>,
    ids_by_rank: Vec<u32>,
    lengths: Vec<u32>, // by id: bytes
    /// Words that are a token as they are, whatever the merges make of them; if the model says so.
    whole: Option<AHashMap<Vec<u8>, u32>>,
}

#[derive(Clone, Copy)]
struct Merge {
    rank: u32,
    id: u32,
}

/// What one thread needs at a time.
pub struct Cache {
    slots: Vec<Slot>,
    long: AHashMap<Box<[u8]>, Box<[u32]>>,
    word: Word,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    key: u128, // the word's bytes, its length in the highest byte; 0: empty
    ids: [u32; SHORT_IDS],
    count: u32,
}

#[derive(Default)]
struct Word {
    symbols: Vec<Symbol>,
    queue: BinaryHeap<Reverse<(u32, u32)>>, // rank, place
    ids: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Symbol {
    id: u32, // NONE: merged into another
    previous: u32,
    next: u32,
}

impl Cache {
    pub fn new() -> Self {
        Cache { slots: vec![Slot::default(); SLOTS], long: AHashMap::new(), word: Word::default() }
    }
}

impl Bpe {
    /// From a vocabulary and merges in the alphabet of byte-level tokenizers (GPT-2's). None when it is not one
    /// that this can stand for: two tokens share an id, a merge is out of the vocabulary.
    pub fn new(
        vocabulary: &HashMap<String, u32>,
        merges: &[(String, String)],
        ignore_merges: bool,
    ) -> Option<Self> {
        let alphabet = byte_alphabet();
        let mut byte_ids = [NONE; 256];
        for (c, byte) in &alphabet {
            if let Some(id) = vocabulary.get(c.encode_utf8(&mut [0; 4]) as &str) {
                byte_ids[*byte as usize] = *id;
            }
        }
        let id_end = *vocabulary.values().max()? as usize + 1;
        if id_end > vocabulary.len() * 4 + 1024 {
            return None;
        }
        let mut lengths = vec![NONE; id_end];
        for (token, id) in vocabulary {
            let length = &mut lengths[*id as usize];
            if *length != NONE {
                return None;
            }
            *length = token.chars().count() as u32;
        }
        let mut map = AHashMap::with_capacity(merges.len());
        let mut ids_by_rank = Vec::with_capacity(merges.len());
        for (rank, (left, right)) in merges.iter().enumerate() {
            let id = *vocabulary.get(&format!("{left}{right}"))?;
            map.insert((*vocabulary.get(left)?, *vocabulary.get(right)?), Merge { rank: rank as u32, id });
            ids_by_rank.push(id);
        }
        let whole = ignore_merges.then(|| {
            let bytes_of =
                |token: &str| token.chars().map(|c| alphabet.get(&c).copied()).collect::<Option<Vec<u8>>>();
            vocabulary.iter().filter_map(|(token, id)| Some((bytes_of(token)?, *id))).collect()
        });
        Some(Bpe { byte_ids, merges: map, ids_by_rank, lengths, whole })
    }

    /// In bytes.
    pub fn length(&self, id: u32) -> usize {
        self.lengths[id as usize] as usize
    }

    /// Appends the ids of one word, which is not empty. False when one of its bytes has no token.
    #[inline]
    #[must_use]
    pub fn encode(&self, word: &[u8], cache: &mut Cache, ids: &mut Vec<u32>) -> bool {
        let Some(key) = short_key(word) else { return self.encode_long(word, cache, ids) };
        let slot = slot_of(key);
        let found = &cache.slots[slot];
        if found.key == key {
            ids.extend_from_slice(&found.ids[..found.count as usize]);
            return true;
        }
        if !self.merge(word, &mut cache.word) {
            return false;
        }
        ids.extend_from_slice(&cache.word.ids);
        let count = cache.word.ids.len();
        if count <= SHORT_IDS {
            let mut made = Slot { key, count: count as u32, ..Slot::default() };
            made.ids[..count].copy_from_slice(&cache.word.ids);
            cache.slots[slot] = made;
        }
        true
    }

    fn encode_long(&self, word: &[u8], cache: &mut Cache, ids: &mut Vec<u32>) -> bool {
        if let Some(known) = cache.long.get(word) {
            ids.extend_from_slice(known);
            return true;
        }
        if !self.merge(word, &mut cache.word) {
            return false;
        }
        ids.extend_from_slice(&cache.word.ids);
        if word.len() < LONG_BYTES {
            if cache.long.len() >= LONG_WORDS {
                cache.long.clear();
            }
            cache.long.insert(word.into(), cache.word.ids.as_slice().into());
        }
        true
    }

    /// Leaves the ids in `word.ids`. False when a byte has no token.
    fn merge(&self, bytes: &[u8], word: &mut Word) -> bool {
        word.ids.clear();
        if let Some(id) = self.whole.as_ref().and_then(|whole| whole.get(bytes)) {
            word.ids.push(*id);
            return true;
        }
        word.symbols.clear();
        word.queue.clear();
        let count = bytes.len() as u32;
        for (i, byte) in bytes.iter().enumerate() {
            let i = i as u32;
            let id = self.byte_ids[*byte as usize];
            if id == NONE {
                return false;
            }
            let next = if i + 1 < count { i + 1 } else { NONE };
            word.symbols.push(Symbol { id, previous: i.wrapping_sub(1), next });
        }
        for i in 0..count {
            self.propose(word, i);
        }
        while let Some(Reverse((rank, place))) = word.queue.pop() {
            self.apply(rank, place, word);
        }
        word.ids.extend(word.symbols.iter().map(|symbol| symbol.id).filter(|id| *id != NONE));
        true
    }

    /// Queues the merge of the symbol with the next one, if there is such a merge.
    fn propose(&self, word: &mut Word, place: u32) {
        let symbol = word.symbols[place as usize];
        if symbol.next == NONE {
            return;
        }
        if let Some(merge) = self.merges.get(&(symbol.id, word.symbols[symbol.next as usize].id)) {
            word.queue.push(Reverse((merge.rank, place)));
        }
    }

    fn apply(&self, rank: u32, place: u32, word: &mut Word) {
        let left = word.symbols[place as usize];
        if left.id == NONE || left.next == NONE {
            return;
        }
        let right = word.symbols[left.next as usize];
        // An entry is out of date when other symbols stand there now. As the crate has it, one whose symbols changed
        // but make the same token counts.
        let id = self.ids_by_rank[rank as usize];
        if self.merges.get(&(left.id, right.id)).is_none_or(|merge| merge.id != id) {
            return;
        }
        word.symbols[left.next as usize].id = NONE;
        word.symbols[place as usize] = Symbol { id, previous: left.previous, next: right.next };
        if right.next != NONE {
            word.symbols[right.next as usize].previous = place;
        }
        if left.previous != NONE {
            self.propose(word, left.previous);
        }
        self.propose(word, place);
    }
}

/// GPT-2's alphabet: printable bytes as they are, the others from U+0100 on.
fn byte_alphabet() -> HashMap<char, u8> {
    let mut moved = 0;
    (0..=255u8)
        .map(|byte| {
            if matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
                (byte as char, byte)
            } else {
                moved += 1;
                (char::from_u32(0x100 + moved - 1).expect("a character"), byte)
            }
        })
        .collect()
}

#[inline]
fn short_key(word: &[u8]) -> Option<u128> {
    if word.len() > SHORT_BYTES {
        return None;
    }
    let mut bytes = [0; 16];
    bytes[..word.len()].copy_from_slice(word);
    bytes[15] = word.len() as u8;
    Some(u128::from_le_bytes(bytes))
}

#[inline]
fn slot_of(key: u128) -> usize {
    let (low, high) = (key as u64, (key >> 64) as u64);
    let mixed = (low ^ high.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 49) as usize & (SLOTS - 1)
}
