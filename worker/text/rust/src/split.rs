//! The expressions by which common byte-level tokenizers split a text, read by hand: an order of magnitude faster
//! than the regular expression engine, with the same result (tests/fuzz/encode_fuzz.cc compares the two).
//!
//! What is a letter, a number or white space is asked of that engine once, so that both have one version of
//! Unicode.

use std::ops::Range;
use std::sync::OnceLock;

const LETTER: u8 = 1;
const NUMBER: u8 = 2;
const SPACE: u8 = 4;
const NUMERIC: u8 = 8; // char::is_numeric, which the pre-tokenizer Digits asks

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

pub enum Splitter {
    /// `digits`: after each numeric character was made a piece of its own.
    Gpt2 { digits: bool },
    /// Llama 3's and Qwen 2's expression, which differ in how many numbers stand together.
    Llama3 { numbers: usize },
    /// Any other.
    Engine(onig::Regex),
}

impl Splitter {
    /// None when the engine does not take the expression.
    pub fn of(expression: &str) -> Option<Self> {
        match expression {
            GPT2 => Some(Splitter::Gpt2 { digits: false }),
            LLAMA3 => Some(Splitter::Llama3 { numbers: 3 }),
            QWEN2 => Some(Splitter::Llama3 { numbers: 1 }),
            other => onig::Regex::new(other).ok().map(Splitter::Engine),
        }
    }

    /// Whether what stands far behind the end of a piece never matters to where it ends.
    pub fn is_local(&self) -> bool {
        !matches!(self, Splitter::Engine(_))
    }

    /// A place up to which the pieces of a text stay what they are whatever is appended to it, if the splitter is
    /// local. A piece ends where it ends because of the character there, of at most three bytes behind an apostrophe,
    /// or of the end of a run of white space: so none that ends before the last character that is not white space,
    /// less those bytes, has seen the end of the text.
    pub fn settled(text: &str) -> usize {
        const LOOKAHEAD: usize = 4;
        let classes = classes();
        let last = text.char_indices().rev().find(|(_, c)| classes[*c as usize] & SPACE == 0);
        last.map_or(0, |(place, _)| place.saturating_sub(LOOKAHEAD))
    }

    /// Calls `piece` with each byte range of the text, in order; together they are the text.
    pub fn split(&self, text: &str, piece: &mut impl FnMut(Range<usize>)) {
        match self {
            Splitter::Gpt2 { digits: false } => gpt2(&Chars::of(text), 0, piece),
            Splitter::Gpt2 { digits: true } => each_digit(text, piece),
            Splitter::Llama3 { numbers } => llama3(&Chars::of(text), *numbers, piece),
            Splitter::Engine(regex) => {
                let mut at = 0;
                for (start, end) in regex.find_iter(text) {
                    if at < start {
                        piece(at..start);
                    }
                    if start < end {
                        piece(start..end);
                    }
                    at = end;
                }
                if at < text.len() {
                    piece(at..text.len());
                }
            }
        }
    }
}

/// Of each character what it is.
fn classes() -> &'static [u8] {
    static CLASSES: OnceLock<Vec<u8>> = OnceLock::new();
    CLASSES.get_or_init(|| {
        let all: String = (0..=char::MAX as u32).filter_map(char::from_u32).collect();
        let mut classes = vec![0; char::MAX as usize + 1];
        for (expression, class) in [(r"\p{L}+", LETTER), (r"\p{N}+", NUMBER), (r"\s+", SPACE)] {
            let regex = onig::Regex::new(expression).expect("a constant expression");
            for (start, end) in regex.find_iter(&all) {
                for c in all[start..end].chars() {
                    classes[c as usize] |= class;
                }
            }
        }
        for c in all.chars().filter(|c| c.is_numeric()) {
            classes[c as usize] |= NUMERIC;
        }
        classes
    })
}

/// A text whose characters are looked at by their byte position.
struct Chars<'a> {
    text: &'a [u8],
    classes: &'static [u8],
}

impl<'a> Chars<'a> {
    fn of(text: &'a str) -> Self {
        Chars { text: text.as_bytes(), classes: classes() }
    }

    fn len(&self) -> usize {
        self.text.len()
    }

    /// The character at a position inside the text, and where the next begins.
    #[inline]
    fn at(&self, i: usize) -> (u32, usize) {
        let text = self.text;
        let first = text[i] as u32;
        let low = |k: usize| text[i + k] as u32 & 0x3f;
        match first {
            0..=0x7f => (first, i + 1),
            0x80..=0xdf => ((first & 0x1f) << 6 | low(1), i + 2),
            0xe0..=0xef => ((first & 0xf) << 12 | low(1) << 6 | low(2), i + 3),
            _ => ((first & 7) << 18 | low(1) << 12 | low(2) << 6 | low(3), i + 4),
        }
    }

    #[inline]
    fn class(&self, c: u32) -> u8 {
        self.classes[c as usize]
    }

    /// The class at a position; none at the end of the text.
    #[inline]
    fn class_at(&self, i: usize) -> Option<u8> {
        (i < self.len()).then(|| self.class(self.at(i).0))
    }

    #[inline]
    fn skip(&self, mut i: usize, is: impl Fn(u8) -> bool) -> usize {
        while i < self.len() {
            let (c, next) = self.at(i);
            if !is(self.class(c)) {
                break;
            }
            i = next;
        }
        i
    }

    fn newlines(&self, mut i: usize) -> usize {
        while i < self.len() && matches!(self.text[i], b'\r' | b'\n') {
            i += 1;
        }
        i
    }

    /// `\s+(?!\S)|\s+` where there is white space: the run of it, without its last character when something
    /// follows that could take that one along.
    fn spaces(&self, start: usize) -> usize {
        let (mut i, mut last) = (start, start);
        while i < self.len() {
            let (c, next) = self.at(i);
            if self.class(c) & SPACE == 0 {
                return if last > start { last } else { i };
            }
            last = i;
            i = next;
        }
        i
    }

    /// `'s|'t|'re|'ve|'m|'ll|'d` at an apostrophe; its end.
    fn contraction(&self, start: usize, any_case: bool) -> Option<usize> {
        let rest = &self.text[start + 1..];
        let letter = |k: usize| rest.get(k).map(|c| if any_case { c.to_ascii_lowercase() } else { *c });
        match (letter(0)?, letter(1)) {
            (b's' | b't' | b'm' | b'd', _) => Some(start + 2),
            (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => Some(start + 3),
            // The long s, an s to whom case does not matter.
            (0xc5, Some(0xbf)) if any_case => Some(start + 3),
            _ => None,
        }
    }
}

fn is_other(class: u8) -> bool {
    class & (LETTER | NUMBER | SPACE) == 0
}

fn each_digit(text: &str, piece: &mut impl FnMut(Range<usize>)) {
    let chars = Chars::of(text);
    let mut i = 0;
    while i < text.len() {
        let end = chars.skip(i, |class| class & NUMERIC == 0);
        gpt2(&Chars::of(&text[i..end]), i, piece);
        if end == text.len() {
            break;
        }
        let (_, next) = chars.at(end);
        gpt2(&Chars::of(&text[end..next]), end, piece);
        i = next;
    }
}

fn gpt2(chars: &Chars, offset: usize, piece: &mut impl FnMut(Range<usize>)) {
    let mut i = 0;
    while i < chars.len() {
        let end = gpt2_end(chars, i);
        piece(offset + i..offset + end);
        i = end;
    }
}

fn gpt2_end(chars: &Chars, i: usize) -> usize {
    let (c, next) = chars.at(i);
    if c == '\'' as u32 {
        if let Some(end) = chars.contraction(i, false) {
            return end;
        }
    }
    // What an optional space stands before.
    let (start, class) = match chars.class_at(next) {
        Some(after) if c == ' ' as u32 && after & SPACE == 0 => (next, after),
        _ => (i, chars.class(c)),
    };
    if class & LETTER != 0 {
        chars.skip(start, |class| class & LETTER != 0)
    } else if class & NUMBER != 0 {
        chars.skip(start, |class| class & NUMBER != 0)
    } else if class & SPACE == 0 {
        chars.skip(start, is_other)
    } else {
        chars.spaces(i)
    }
}

fn llama3(chars: &Chars, numbers: usize, piece: &mut impl FnMut(Range<usize>)) {
    let mut i = 0;
    while i < chars.len() {
        let end = llama3_end(chars, i, numbers);
        piece(i..end);
        i = end;
    }
}

fn llama3_end(chars: &Chars, i: usize, numbers: usize) -> usize {
    let (c, next) = chars.at(i);
    if c == '\'' as u32 {
        if let Some(end) = chars.contraction(i, true) {
            return end;
        }
    }
    let class = chars.class(c);
    let letters = |start| chars.skip(start, |class| class & LETTER != 0);
    if class & LETTER != 0 {
        return letters(i);
    }
    if class & NUMBER != 0 {
        let mut end = next;
        for _ in 1..numbers {
            if chars.class_at(end).is_some_and(|class| class & NUMBER != 0) {
                end = chars.at(end).1;
            }
        }
        return end;
    }
    let after = chars.class_at(next);
    let is_newline = c == '\r' as u32 || c == '\n' as u32;
    if !is_newline && after.is_some_and(|class| class & LETTER != 0) {
        return letters(next);
    }
    if class & SPACE == 0 || (c == ' ' as u32 && after.is_some_and(is_other)) {
        return chars.newlines(chars.skip(next, is_other));
    }
    // `\s*[\r\n]+`: to the last line break of the white space.
    let run = chars.skip(i, |class| class & SPACE != 0);
    match chars.text[i..run].iter().rposition(|b| matches!(b, b'\r' | b'\n')) {
        Some(last) => i + last + 1,
        None => chars.spaces(i),
    }
}
