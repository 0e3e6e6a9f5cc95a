//! The driver over tokio: a [`Client`] for whoever follows threads, asks or publishes, and an
//! [`Emitter`] for agents.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use rethread_client::native::{Client, Config, Delivery, Start};
//! use rethread_shared::ThreadId;
//!
//! let client = Client::connect(Config::new("http://127.0.0.1:4242", "a token")).await?;
//! let thread: ThreadId = "thread_42".parse()?;
//! let mut events = client.subscribe(&thread, Start::Beginning).await?;
//! while let Some(delivery) = events.next().await {
//!     match delivery {
//!         Delivery::Events(batch) => println!("{} to {}", batch.first, batch.last),
//!         Delivery::Reset { .. } => println!("begin anew"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `client.rs` | the handle that everybody holds |
//! | `config.rs`, `error.rs` | what goes in, what goes wrong |
//! | `subscription.rs`, `work.rs` | the streams it hands out, and how they push back |
//! | `emitter.rs`, `pump.rs` | an agent's run: events queued, batched, published in order |
//! | `driver.rs`, `driver/notices.rs` | the one task that owns the session and the socket |
//! | `request.rs` | what handles ask of that task, and what they share with it |
//! | `socket.rs`, `wire.rs` | opening, writing, reading |
//!
//! One task owns everything and never waits for a subscriber: a subscriber that falls behind has its
//! thread unsubscribed, and asked for again from its cursor when it has made room. So neither
//! acknowledgements nor other threads stand behind it.

mod client;
mod config;
mod driver;
mod emitter;
mod entropy;
mod error;
mod pump;
mod request;
mod socket;
mod subscription;
mod wire;
mod work;

pub use self::{
    client::{Client, Sent},
    config::{Config, Retries, Token},
    emitter::{Emitter, MessageWriter, ToolCall},
    error::Error,
    subscription::{Batch, Delivery, Subscription},
    work::WorkStream,
};
pub use crate::session::{Closed, Lost, Status, TokenWish};
pub use rethread_shared::frame::{Outcome, Start, Work};
