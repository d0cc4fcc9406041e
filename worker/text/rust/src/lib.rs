//! The `tokenizers` and `minijinja` crates behind a C ABI; the contract is in `attune_text.h`.

#![feature(alloc_error_hook)] // see limits.rs

mod bpe;
mod byte_level;
mod chat;
mod failure;
mod limits;
mod python;
mod split;
mod tokenizer;

use std::mem::ManuallyDrop;
use std::os::raw::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

use chat::ChatTemplate;
use failure::Failure;
use tokenizer::TextTokenizer;

const OK: i32 = 0;
const INVALID: i32 = 1;
const PANIC: i32 = 2;

/// A vector given to the caller, who returns it through the matching `free`.
#[repr(C)]
pub struct Buffer<T> {
    data: *mut T,
    size: usize,
    capacity: usize,
}

impl<T> Buffer<T> {
    fn of(vector: Vec<T>) -> Self {
        let mut vector = ManuallyDrop::new(vector);
        Buffer { data: vector.as_mut_ptr(), size: vector.len(), capacity: vector.capacity() }
    }

    unsafe fn free(self) {
        if !self.data.is_null() {
            drop(Vec::from_raw_parts(self.data, self.size, self.capacity));
        }
    }
}

/// Runs `body`; turns an error or a panic into a code and a message.
unsafe fn guard(error: *mut Buffer<u8>, body: impl FnOnce() -> Result<(), Failure>) -> i32 {
    static QUIET: Once = Once::new();
    // The default hook prints to stderr; the message goes to the caller instead.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let (code, message) = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return OK,
        Ok(Err(Failure(message))) => (INVALID, message),
        Err(payload) => (PANIC, format!("the text library panicked: {}", panic_message(&*payload))),
    };
    error.write(Buffer::of(message.into_bytes()));
    code
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text.to_string()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "no message".to_string()
    }
}

unsafe fn bytes<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if size == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, size)
    }
}

unsafe fn text<'a>(data: *const u8, size: usize) -> Result<&'a str, Failure> {
    std::str::from_utf8(bytes(data, size))
        .map_err(|e| Failure(format!("the text is not UTF-8 at byte {}", e.valid_up_to())))
}

#[no_mangle]
pub unsafe extern "C" fn attune_bytes_free(buffer: Buffer<u8>) {
    buffer.free();
}

#[no_mangle]
pub unsafe extern "C" fn attune_ids_free(buffer: Buffer<u32>) {
    buffer.free();
}

#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_new(
    json: *const u8,
    json_size: usize,
    tokenizer: *mut *mut c_void,
    error: *mut Buffer<u8>,
) -> i32 {
    guard(error, || {
        let made = TextTokenizer::from_json(bytes(json, json_size))?;
        tokenizer.write(Box::into_raw(Box::new(made)).cast());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_framed(
    tokenizer: *const c_void,
    bos: *const u8,
    bos_size: usize,
    eos: *const u8,
    eos_size: usize,
    framed: *mut *mut c_void,
    error: *mut Buffer<u8>,
) -> i32 {
    guard(error, || {
        let tokenizer = &*tokenizer.cast::<TextTokenizer>();
        let made = tokenizer.framed(text(bos, bos_size)?, text(eos, eos_size)?)?;
        framed.write(Box::into_raw(Box::new(made)).cast());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_by_crate(
    tokenizer: *const c_void,
    by_crate: *mut *mut c_void,
    error: *mut Buffer<u8>,
) -> i32 {
    guard(error, || {
        let made = (*tokenizer.cast::<TextTokenizer>()).by_crate();
        by_crate.write(Box::into_raw(Box::new(made)).cast());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_is_fast(tokenizer: *const c_void) -> i32 {
    (*tokenizer.cast::<TextTokenizer>()).is_fast() as i32
}

#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_free(tokenizer: *mut c_void) {
    // A panic in a destructor must not cross the border either.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(tokenizer.cast::<TextTokenizer>()))));
}

#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_encode(
    tokenizer: *const c_void,
    input: *const u8,
    input_size: usize,
    add_special: i32,
    ids: *mut Buffer<u32>,
    offsets: *mut Buffer<u32>,
    error: *mut Buffer<u8>,
) -> i32 {
    guard(error, || {
        let tokenizer = &*tokenizer.cast::<TextTokenizer>();
        let input = text(input, input_size)?;
        if offsets.is_null() {
            ids.write(Buffer::of(tokenizer.encode_ids(input, add_special != 0)?));
        } else {
            let (found, places) = tokenizer.encode(input, add_special != 0)?;
            ids.write(Buffer::of(found));
            offsets.write(Buffer::of(places));
        }
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_encode_after(
    tokenizer: *const c_void,
    input: *const u8,
    input_size: usize,
    start_size: usize,
    add_special: i32,
    ids: *mut Buffer<u32>,
    same: *mut usize,
    error: *mut Buffer<u8>,
) -> i32 {
    guard(error, || {
        let tokenizer = &*tokenizer.cast::<TextTokenizer>();
        let (found, count) =
            tokenizer.encode_after(text(input, input_size)?, start_size.min(input_size), add_special != 0)?;
        ids.write(Buffer::of(found));
        same.write(count);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_decode(
    tokenizer: *const c_void,
    ids: *const u32,
    ids_size: usize,
    skip_special: i32,
    output: *mut Buffer<u8>,
    error: *mut Buffer<u8>,
) -> i32 {
    guard(error, || {
        let ids = if ids_size == 0 { &[] } else { std::slice::from_raw_parts(ids, ids_size) };
        let decoded = (*tokenizer.cast::<TextTokenizer>()).decode(ids, skip_special != 0)?;
        output.write(Buffer::of(decoded.into_bytes()));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_size(tokenizer: *const c_void) -> u32 {
    (*tokenizer.cast::<TextTokenizer>()).size()
}

#[no_mangle]
pub unsafe extern "C" fn attune_tokenizer_token_to_id(
    tokenizer: *const c_void,
    token: *const u8,
    token_size: usize,
) -> i64 {
    let tokenizer = &*tokenizer.cast::<TextTokenizer>();
    let find = || text(token, token_size).ok().and_then(|token| tokenizer.token_to_id(token));
    catch_unwind(AssertUnwindSafe(find)).ok().flatten().map_or(-1, i64::from)
}

#[no_mangle]
pub unsafe extern "C" fn attune_template_new(
    source: *const u8,
    source_size: usize,
    bos: *const u8,
    bos_size: usize,
    eos: *const u8,
    eos_size: usize,
    chat_template: *mut *mut c_void,
    error: *mut Buffer<u8>,
) -> i32 {
    guard(error, || {
        let source = text(source, source_size)?;
        let made = ChatTemplate::parse(source, text(bos, bos_size)?, text(eos, eos_size)?)?;
        chat_template.write(Box::into_raw(Box::new(made)).cast());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn attune_template_free(chat_template: *mut c_void) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(chat_template.cast::<ChatTemplate>()))));
}

#[no_mangle]
pub unsafe extern "C" fn attune_template_render(
    chat_template: *const c_void,
    messages: *const u8,
    messages_size: usize,
    tools: *const u8,
    tools_size: usize,
    add_generation_prompt: i32,
    output: *mut Buffer<u8>,
    error: *mut Buffer<u8>,
) -> i32 {
    guard(error, || {
        let rendered = (*chat_template.cast::<ChatTemplate>()).render(
            text(messages, messages_size)?,
            text(tools, tools_size)?,
            add_generation_prompt != 0,
        )?;
        output.write(Buffer::of(rendered.into_bytes()));
        Ok(())
    })
}
