//! Events: the JSON they travel as, and the typed data of the kinds Rethread knows.
//!
//! On the wire an event is one object:
//!
//! ```json
//! {"seq":42,"id":"019207b5-…","run":"thread_…_run_…","type":"tool_executing","at":1756919162904,"data":{…}}
//! ```
//!
//! A publisher leaves out `seq`, and may leave out `id` (then a retry is not recognised) and `at`.
//! Members that this version does not know are carried through as they came, in the envelope and in
//! `data`; so is a `type` it does not know.

mod envelope;
mod kind;
mod payload;

pub use envelope::{Checked, Envelope};
pub use kind::EventKind;
pub use payload::{
    AgentCancelled, AgentCompleted, AgentFailed, AgentStarted, AgentThinking, Custom, MessageDelta,
    Payload, ToolCompleted, ToolExecuting, UserMessage,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use crate::{EventId, RunId};

/// A stored event, as subscribers receive it. Lossless: [`Event::data`] and [`Event::extra`] are the
/// JSON text that the publisher sent.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its place in the thread: 1, 2, 3, … without holes.
    pub seq: u64,
    /// What makes publishing it again harmless.
    pub id: EventId,
    /// The run it belongs to.
    pub run: RunId,
    /// What happened.
    pub kind: EventKind,
    /// When it happened, milliseconds since 1970, by the publisher's clock (or the server's, where
    /// the publisher gave none). For showing; order is `seq`'s matter.
    pub at: u64,
    /// The members that go with the kind; [`Event::payload`] reads them.
    pub data: Box<RawValue>,
    /// Members of the envelope that this version does not know, in their order.
    pub extra: Vec<(String, Box<RawValue>)>,
}

impl Event {
    /// The typed data.
    ///
    /// # Errors
    /// When `data` is not shaped as its kind says. A server does not store such an event.
    pub fn payload(&self) -> Result<Payload<'_>, serde_json::Error> {
        Payload::read(&self.kind, &self.data)
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("seq", &self.seq)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("run", &self.run)?;
        map.serialize_entry("type", &self.kind)?;
        map.serialize_entry("at", &self.at)?;
        map.serialize_entry("data", &self.data)?;
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let envelope = Envelope::deserialize(deserializer)?;
        Ok(Self {
            seq: envelope.seq.ok_or_else(|| D::Error::missing_field("seq"))?,
            id: envelope.id.ok_or_else(|| D::Error::missing_field("id"))?,
            run: envelope.run.parse().map_err(D::Error::custom)?,
            kind: EventKind::from(envelope.kind.as_ref()),
            at: envelope.at.ok_or_else(|| D::Error::missing_field("at"))?,
            data: envelope.data_or_empty().to_owned(),
            extra: envelope
                .extra
                .into_iter()
                .map(|(name, value)| (name.into_owned(), value.to_owned()))
                .collect(),
        })
    }
}

/// An event as a publisher makes it. Serialises to what `publish` and `POST /v1/events` take.
#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    /// Given by the publisher so that it can publish again without harm.
    pub id: EventId,
    /// The run it belongs to.
    pub run: RunId,
    /// When it happened, milliseconds since 1970; `None` lets the server say.
    pub at: Option<u64>,
    /// What happened.
    pub payload: Payload<'a>,
}

impl NewEvent<'_> {
    /// The event as JSON text.
    #[must_use]
    pub fn to_json(&self) -> Box<RawValue> {
        serde_json::value::to_raw_value(self).expect("an event's members are all JSON")
    }
}

impl Serialize for NewEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("run", &self.run)?;
        map.serialize_entry("type", &self.payload.kind())?;
        if let Some(at) = self.at {
            map.serialize_entry("at", &at)?;
        }
        map.serialize_entry("data", &self.payload)?;
        map.end()
    }
}
