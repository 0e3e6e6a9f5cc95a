use std::net::SocketAddr;

use rethread_shared::limits::{
    BODY_DEADLINE, HEARTBEAT, IDLE_CONNECTION, OPENING_DEADLINE, WRITE_STALL,
};

use super::{Span, settings};

settings! {
    /// The listener and its connections.
    pub struct Http {
        /// Where to listen. Port 0 takes a free one.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 4242)), short "listen";
        /// Pages of these origins may come, beside the server's own: such as https://chat.example.com, or
        /// "*" for all. With --dev every page of this machine may.
        origins: Vec<String> = Vec::new();
        /// The server is never silent for longer on a connection: it sends a beat.
        heartbeat: Span = Span(HEARTBEAT), in Span::ms(50)..=Span::secs(300), short "heartbeat";
        /// How long a new connection may take for TLS and the head of its first request.
        opening: Span = Span(OPENING_DEADLINE), in Span::ms(10)..=Span::secs(3_600);
        /// How long a connection may be idle between requests. A proxy before the server should give its
        /// connections up sooner.
        idle_timeout: Span = Span(IDLE_CONNECTION), in Span::ms(10)..=Span::secs(3_600);
        /// How long the body of a request may take.
        body_timeout: Span = Span(BODY_DEADLINE), in Span::ms(10)..=Span::secs(3_600);
        /// How long a reader may take nothing at all of what is written to it before it is given up.
        write_stall: Span = Span(WRITE_STALL), in Span::ms(10)..=Span::secs(3_600);
    }
}
