//! The crate `croner` with `chrono-tz` behind a C ABI; the contract is in `attune_cron.h`.

mod schedule;

use std::os::raw::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

use schedule::Schedule;

const OK: i32 = 0;
const INVALID: i32 = 1;
const NEVER: i32 = 2;
const PANIC: i32 = 3;

pub enum Failure {
    Invalid(String),
    Never(String),
}

/// Copies as much of a text as fits, and a zero.
unsafe fn copy(text: &str, to: *mut c_char, size: usize) {
    if size == 0 {
        return;
    }
    let mut end = text.len().min(size - 1);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    std::ptr::copy_nonoverlapping(text.as_ptr().cast(), to, end);
    to.add(end).write(0);
}

/// Runs `body`; turns an error or a panic into a code and a message.
unsafe fn guard(error: *mut c_char, error_size: usize, body: impl FnOnce() -> Result<(), Failure>) -> i32 {
    static QUIET: Once = Once::new();
    // The default hook prints to stderr; the message goes to the caller instead.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let (code, message) = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return OK,
        Ok(Err(Failure::Invalid(message))) => (INVALID, message),
        Ok(Err(Failure::Never(message))) => (NEVER, message),
        Err(_) => (PANIC, "the cron library panicked".to_string()),
    };
    copy(&message, error, error_size);
    code
}

unsafe fn text<'a>(data: *const u8, size: usize) -> Result<&'a str, Failure> {
    let bytes = if size == 0 { &[] } else { std::slice::from_raw_parts(data, size) };
    std::str::from_utf8(bytes).map_err(|_| Failure::Invalid("not UTF-8 text".to_string()))
}

#[no_mangle]
pub unsafe extern "C" fn attune_cron_new(
    expression: *const u8,
    expression_size: usize,
    timezone: *const u8,
    timezone_size: usize,
    cron: *mut *mut c_void,
    error: *mut c_char,
    error_size: usize,
) -> i32 {
    guard(error, error_size, || {
        let made = Schedule::parse(text(expression, expression_size)?, text(timezone, timezone_size)?)?;
        cron.write(Box::into_raw(Box::new(made)).cast());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn attune_cron_free(cron: *mut c_void) {
    // A panic in a destructor must not cross the border either.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(cron.cast::<Schedule>()))));
}

#[no_mangle]
pub unsafe extern "C" fn attune_cron_next(
    cron: *const c_void,
    after: i64,
    next: *mut i64,
    error: *mut c_char,
    error_size: usize,
) -> i32 {
    guard(error, error_size, || {
        next.write((*cron.cast::<Schedule>()).next(after)?);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn attune_cron_local(
    cron: *const c_void,
    time: i64,
    local: *mut c_char,
    local_size: usize,
    error: *mut c_char,
    error_size: usize,
) -> i32 {
    guard(error, error_size, || {
        copy(&(*cron.cast::<Schedule>()).local(time)?, local, local_size);
        Ok(())
    })
}
