//! The crate `whatlang` behind a C ABI; the contract is in `attune_language.h`.

use std::os::raw::c_char;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

use whatlang::{Info, Lang};

const OK: i32 = 0;
const UNKNOWN: i32 = 1;
const PANIC: i32 = 2;

/// Runs `body`; a panic becomes a code.
fn guard(body: impl FnOnce() -> i32) -> i32 {
    static QUIET: Once = Once::new();
    // The default hook prints to stderr, with a part of the text.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(PANIC)
}

/// Three letters and a zero.
unsafe fn write_code(language: Lang, code: *mut c_char) {
    let text = language.code();
    std::ptr::copy_nonoverlapping(text.as_ptr().cast(), code, 3);
    code.add(3).write(0);
}

#[no_mangle]
pub unsafe extern "C" fn attune_language_detect(
    text: *const u8,
    size: usize,
    code: *mut c_char,
    confidence: *mut f64,
    reliable: *mut i32,
) -> i32 {
    guard(|| {
        let bytes = if size == 0 { &[] } else { std::slice::from_raw_parts(text, size) };
        let Ok(text) = std::str::from_utf8(bytes) else {
            return UNKNOWN;
        };
        let found: Option<Info> = whatlang::detect(text);
        let Some(info) = found else {
            return UNKNOWN;
        };
        write_code(info.lang(), code);
        confidence.write(info.confidence());
        reliable.write(i32::from(info.is_reliable()));
        OK
    })
}

#[no_mangle]
pub unsafe extern "C" fn attune_language_at(index: usize, code: *mut c_char) -> i32 {
    guard(|| match Lang::all().get(index) {
        Some(language) => {
            write_code(*language, code);
            OK
        }
        None => UNKNOWN,
    })
}
