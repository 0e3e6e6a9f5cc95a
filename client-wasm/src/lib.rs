//! Rethread in the browser: the wasm-bindgen surface and the driver behind the npm package
//! `@rethread/client`.
//!
//! The protocol is [`rethread_client::Session`]'s; this crate brings it a socket and reads and
//! writes its frames. What JavaScript does as well in fewer bytes (the timer, the page's events,
//! fetching a token, words for people) is in `js/`, the hand-written face that applications see.
//!
//! | file | holds |
//! |---|---|
//! | `surface.rs` | what JavaScript calls |
//! | `driver.rs` | the loop around the session |
//! | `wire.rs` | frames from and to JSON: the browser parses, and events stay its objects |
//! | `hex.rs` | ids as text |
//! | `sink.rs` | what the driver calls in JavaScript |
//!
//! Two rules hold everywhere: no borrow of the session is held while JavaScript is called, for that
//! may call back; and nothing here parses JSON or formats text (`format!`, `to_string`), for the code
//! that does is what makes a page heavy. `cargo xtask wasm` refuses formatting, prints the weight
//! and holds it to a budget.
#![deny(missing_docs)]

mod driver;
mod hex;
mod sink;
mod surface;
mod wire;

/// Every allocation is a small one and there is one thread, so a small allocator does.
// SAFETY: `new_global` must be used once and as the global allocator, on a target with one thread.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)]
#[global_allocator]
static ALLOCATOR: lol_alloc::AssumeSingleThreaded<lol_alloc::FreeListAllocator> =
    unsafe { lol_alloc::AssumeSingleThreaded::new(lol_alloc::FreeListAllocator::new()) };

pub use surface::Driver;
