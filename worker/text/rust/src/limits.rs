//! Limits on what a call takes on its thread.
//!
//! A template can double a text in one step (`x ~ x`), look into a list of 10^12 entries, or nest values too deep for the stack,
//! in the engine's operators as well as in filters: only the allocator sees all of it. Past a limit an allocation
//! fails, Rust calls the hook for failed allocations, and ours unwinds to the call. That hook is the one unstable feature
//! here: an allocator must not unwind itself, and without the hook the process aborts.

use std::alloc::{set_alloc_error_hook, GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::Once;

pub struct Limits {
    pub bytes: usize,
    /// Below the caller's.
    pub stack_bytes: usize,
    /// Of processor time.
    pub seconds: u64,
}

/// The limit that was passed.
#[derive(Clone, Copy)]
pub enum Over {
    Memory,
    Stack,
    Time,
}

const UNLIMITED: usize = usize::MAX;
/// The clock is read once in so many allocations.
const ALLOCATIONS_A_TICK: u32 = 64;

thread_local! {
    static BYTES_LEFT: Cell<usize> = const { Cell::new(UNLIMITED) };
    static LOWEST_ADDRESS: Cell<usize> = const { Cell::new(0) };
    static LAST_NANOSECOND: Cell<u64> = const { Cell::new(0) };
    static ALLOCATIONS: Cell<u32> = const { Cell::new(0) };
    static REFUSED_FOR: Cell<Over> = const { Cell::new(Over::Memory) };
}

/// What `body` returns. All that it took is given back when it goes over a limit.
pub fn with_limits<T>(limits: &Limits, body: impl FnOnce() -> T) -> Result<T, Over> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| set_alloc_error_hook(allocation_failed));
    LOWEST_ADDRESS.set(stack_address().saturating_sub(limits.stack_bytes));
    LAST_NANOSECOND.set(processor_nanoseconds() + limits.seconds * 1_000_000_000);
    BYTES_LEFT.set(limits.bytes);
    let outcome = catch_unwind(AssertUnwindSafe(body));
    BYTES_LEFT.set(UNLIMITED);
    outcome.map_err(|payload| match payload.downcast_ref::<Over>() {
        Some(over) => *over,
        // What Rust says of a size that no memory can have.
        None if payload.downcast_ref() == Some(&"capacity overflow") => Over::Memory,
        None => resume_unwind(payload),
    })
}

fn allocation_failed(layout: Layout) {
    // The limits end here, as unwinding takes memory too.
    if BYTES_LEFT.replace(UNLIMITED) != UNLIMITED {
        resume_unwind(Box::new(REFUSED_FOR.get()));
    }
    // The machine has no more; Rust aborts when this returns.
    eprintln!("memory allocation of {} bytes failed", layout.size());
}

#[inline(never)]
fn stack_address() -> usize {
    let here = 0u8;
    std::hint::black_box(std::ptr::addr_of!(here)) as usize
}

fn processor_nanoseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Whether a thread under limits may have so many bytes more.
fn take(bytes: usize) -> bool {
    let left = BYTES_LEFT.get();
    if left == UNLIMITED {
        return true;
    }
    let count = ALLOCATIONS.get().wrapping_add(1);
    ALLOCATIONS.set(count);
    let over = if bytes > left {
        Over::Memory
    } else if stack_address() < LOWEST_ADDRESS.get() {
        Over::Stack
    } else if count % ALLOCATIONS_A_TICK == 0 && processor_nanoseconds() > LAST_NANOSECOND.get() {
        Over::Time
    } else {
        BYTES_LEFT.set(left - bytes);
        return true;
    };
    REFUSED_FOR.set(over);
    false
}

fn give_back(bytes: usize) {
    let left = BYTES_LEFT.get();
    if left != UNLIMITED {
        BYTES_LEFT.set(left.saturating_add(bytes).min(UNLIMITED - 1));
    }
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if take(layout.size()) {
            System.alloc(layout)
        } else {
            std::ptr::null_mut()
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if take(layout.size()) {
            System.alloc_zeroed(layout)
        } else {
            std::ptr::null_mut()
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        give_back(layout.size());
        System.dealloc(block, layout);
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !take(size.saturating_sub(layout.size())) {
            return std::ptr::null_mut();
        }
        give_back(layout.size().saturating_sub(size));
        System.realloc(block, layout, size)
    }
}
