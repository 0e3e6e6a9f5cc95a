use std::sync::Arc;

use rethread_shared::{
    Event,
    frame::{self, ServerFrame},
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// An event on its way out: its JSON text, shared with the outbox until it is acknowledged.
#[derive(Clone, Debug)]
pub(super) struct EventText(pub(super) Arc<Box<RawValue>>);

impl Serialize for EventText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// What a frame's text turned out to be.
#[derive(Debug)]
pub(super) enum Read {
    Frame(ServerFrame<Vec<Event>>),
    /// An `op` from a newer server.
    Unknown,
    Broken(serde_json::Error),
}

/// Reads a frame: first its `op`, then the struct of that op, so that events are read where they
/// stand.
pub(super) fn read(text: &str) -> Read {
    fn whole<'a, T: Deserialize<'a>>(
        text: &'a str,
        frame: fn(T) -> ServerFrame<Vec<Event>>,
    ) -> Read {
        serde_json::from_str(text).map_or_else(Read::Broken, |body| Read::Frame(frame(body)))
    }
    // As the server writes it; spares a walk through the whole text to find the op.
    if text.starts_with(r#"{"op":"events","#) {
        return whole(text, ServerFrame::Events);
    }
    let op = match frame::op(text) {
        Ok(op) => op,
        Err(error) => return Read::Broken(error),
    };
    match op.as_ref() {
        "welcome" => whole(text, ServerFrame::Welcome),
        "subscribed" => whole(text, ServerFrame::Subscribed),
        "events" => whole(text, ServerFrame::Events),
        "published" => whole(text, ServerFrame::Published),
        "sent" => whole(text, ServerFrame::Sent),
        "cancelled" => whole(text, ServerFrame::Cancelled),
        "work" => whole(text, ServerFrame::Work),
        "reset" => whole(text, ServerFrame::Reset),
        "error" => whole(text, ServerFrame::Error),
        "token_expiring" => whole(text, ServerFrame::TokenExpiring),
        "goodbye" => whole(text, ServerFrame::Goodbye),
        "beat" => Read::Frame(ServerFrame::Beat),
        _ => Read::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_keep_their_data_as_text_wherever_the_op_stands() {
        let event = r#"{"seq":4,"id":"019207b5-7d1c-7000-8000-000000000004",
            "run":"thread_1_run_5_0a0b0c0d","type":"custom","at":1,
            "data":{"name":"n","value":1.500}}"#;
        let rest = format!(
            r#""thread":"thread_1","epoch":"0000000a","first":4,"last":4,"events":[{event}]"#
        );
        for text in [format!(r#"{{"op":"events",{rest}}}"#), format!(r#"{{{rest},"op":"events"}}"#)]
        {
            let Read::Frame(ServerFrame::Events(events)) = read(&text) else {
                panic!("events expected from {text}");
            };
            assert_eq!(events.events[0].data.get(), r#"{"name":"n","value":1.500}"#);
        }
        assert!(matches!(read(r#"{"op":"later"}"#), Read::Unknown));
        assert!(matches!(read(r#"{"op":"events","first":1}"#), Read::Broken(_)));
        assert!(matches!(read("no json"), Read::Broken(_)));
        assert!(matches!(read(r#"{"op":"beat"}"#), Read::Frame(ServerFrame::Beat)));
    }
}
