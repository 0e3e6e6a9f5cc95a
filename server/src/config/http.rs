use std::net::SocketAddr;

use rethread_shared::limits::HEARTBEAT;

use super::{Span, settings};

settings! {
    /// The listener and its connections.
    pub struct Http {
        /// Where to listen. Port 0 takes a free one.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 4242)), short "listen";
        /// The server is never silent for longer on a connection: it sends a beat.
        heartbeat: Span = Span(HEARTBEAT), in Span::ms(50)..=Span::secs(300), short "heartbeat";
    }
}
