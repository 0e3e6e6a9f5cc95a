//! The vocabulary of Rethread, used by the server and by every client.
//!
//! Pure: no I/O, no clock, no randomness, no globals; time and random bytes are arguments. Open
//! first:
//!
//! - [`id`]: threads, runs, events, epochs; parsed once at the edge into types that cannot hold a
//!   bad value;
//! - [`event`]: the JSON of an event and the typed data of the kinds Rethread knows;
//! - [`order`]: the state machine of a run, which says which event may come next;
//! - [`frame`]: what travels over the WebSocket;
//! - [`code`]: error codes and close codes, and what a client does about each;
//! - [`limits`]: every limit, with its default and its reason.
//!
//! The wire format is written out, with examples that a test holds to these types, in PROTOCOL.md.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod code;
pub mod event;
pub mod frame;
pub mod id;
pub mod json;
pub mod limits;
mod mask;
pub mod order;

pub use code::{CloseCode, ErrorCode, WireError};
pub use event::{Event, EventKind, NewEvent, Payload};
pub use id::{Epoch, EventId, IdError, Position, RunId, ThreadId};
pub use mask::mask_tokens;
