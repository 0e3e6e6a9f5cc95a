//! Who is there, and what they may do.
//!
//! A token is a JSON Web Token. [`Keys`] say whether it is genuine, [`Revocations`] whether it still
//! counts; what it then allows is a [`Grant`], which is asked at each request. What lasts longer than a
//! request (a socket, a stream) holds an [`Access`]: a grant that can be renewed, warned, and cut. The
//! [`Gate`] is all of it together, one for a server.
//!
//! - `claims`: what a token says; `scope`, `threads`: what it may do, and where;
//! - `key`: one key and the one algorithm that it is for; `keys`: all of them; `jwks`: those that are
//!   fetched;
//! - `grant`; `revocations` and the `journal` that keeps them; `access`; `gate`.

mod access;
mod claims;
mod gate;
mod grant;
mod journal;
mod jwks;
mod key;
mod keys;
mod revocations;
mod scope;
mod threads;

pub use access::{Access, Parting};
pub use claims::Claims;
pub use gate::{Cut, Gate};
pub use grant::Grant;
pub use keys::{KeyError, KeySources, Keys};
pub use revocations::{Revocation, Revocations, Subject};
pub use scope::{Scope, Scopes};
