use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{EventKind, Payload};
use crate::{
    ErrorCode, EventId, IdError, RunId, WireError, json,
    limits::{EVENT_BYTES_MAX, EXTRA_MEMBERS_MAX, JSON_DEPTH_MAX, NAME_BYTES_MAX},
};

const MEMBERS: &[&str] = &["seq", "id", "run", "type", "at", "data"];

/// The outer object of an event, read once and borrowed from its text: the members Rethread knows,
/// and the text of the others. What a server makes of a publish, and [`super::Event`] of a frame.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// Only a stored event has one.
    pub seq: Option<u64>,
    /// See [`super::Event::id`].
    pub id: Option<EventId>,
    /// See [`super::Event::run`]; not yet parsed, so that its refusal can be its own.
    pub run: Cow<'a, str>,
    /// See [`super::Event::kind`].
    pub kind: Cow<'a, str>,
    /// See [`super::Event::at`].
    pub at: Option<u64>,
    /// See [`super::Event::data`].
    pub data: Option<&'a RawValue>,
    /// See [`super::Event::extra`].
    pub extra: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// An event that a publisher sent, checked, ready to be numbered and stored.
#[derive(Debug)]
pub struct Checked<'a> {
    /// The publisher's id, if it gave one.
    pub id: Option<EventId>,
    /// Its run.
    pub run: RunId,
    /// Its kind.
    pub kind: EventKind,
    /// The call that a `tool_executing` or `tool_completed` names.
    pub call_id: Option<Box<str>>,
    envelope: Envelope<'a>,
}

impl<'a> Envelope<'a> {
    /// Reads a publisher's event.
    ///
    /// # Errors
    /// `event_too_large`, or `bad_event` with what the parser expected and where.
    pub fn read(text: &'a str) -> Result<Self, WireError> {
        if text.len() > EVENT_BYTES_MAX {
            return Err(WireError::new(
                ErrorCode::EventTooLarge,
                format!(
                    "the event has {} bytes, at most {EVENT_BYTES_MAX} are allowed",
                    text.len()
                ),
            ));
        }
        serde_json::from_str(text).map_err(|error| {
            WireError::new(ErrorCode::BadEvent, format!("the event is not as expected: {error}"))
                .with_expected(r#"{"id":UUID,"run":RUN_ID,"type":TYPE,"data":{…}}"#)
                .with_received(text)
        })
    }

    /// The data, or `{}` where there was none.
    #[must_use]
    pub fn data_or_empty(&self) -> &'a RawValue {
        self.data.unwrap_or_else(|| {
            serde_json::from_str::<&RawValue>("{}").expect("an empty object is JSON")
        })
    }

    /// Checks everything that can be checked without knowing the run's thread.
    ///
    /// # Errors
    /// `bad_id` for the run's id; `bad_event` for the rest.
    pub fn check(self) -> Result<Checked<'a>, WireError> {
        let bad = |message: String| WireError::new(ErrorCode::BadEvent, message);
        if self.seq.is_some() {
            return Err(bad("`seq` is given by the server; leave it out".into()));
        }
        if self.kind.is_empty()
            || self.kind.len() > NAME_BYTES_MAX
            || self.kind.chars().any(char::is_control)
        {
            return Err(bad(format!(
                "`type` must be 1 to {NAME_BYTES_MAX} bytes without control characters"
            ))
            .with_received(&self.kind));
        }
        let texts = self.data.into_iter().chain(self.extra.iter().map(|(_, value)| *value));
        // The envelope itself is one level.
        if let Some(deep) =
            texts.map(RawValue::get).find(|v| !json::is_within(v, JSON_DEPTH_MAX - 1))
        {
            let deepest = json::depth(deep) + 1;
            return Err(bad(format!(
                "the event nests {deepest} levels deep, at most {JSON_DEPTH_MAX} are allowed"
            )));
        }
        let run = self.run.parse().map_err(|error: IdError| WireError::from(error))?;
        let kind = EventKind::from(self.kind.as_ref());
        let call_id = check_data(&kind, self.data_or_empty())?;
        Ok(Checked { id: self.id, run, kind, call_id, envelope: self })
    }
}

impl Checked<'_> {
    /// The text that is stored: the event without its `seq`, which is known only when it is
    /// numbered. `data` and unknown members stand in it as they came.
    #[must_use]
    pub fn body(&self, id: EventId, now_ms: u64) -> String {
        let data = self.envelope.data_or_empty().get();
        let extra: usize =
            self.envelope.extra.iter().map(|(n, v)| n.len() + v.get().len() + 8).sum();
        let mut body = String::with_capacity(self.run.as_str().len() + data.len() + extra + 112);
        push_head(&mut body, id, &self.run, &self.kind, self.envelope.at.unwrap_or(now_ms));
        body.push_str(data);
        for (name, value) in &self.envelope.extra {
            body.push(',');
            body.push_str(&serde_json::to_string(name).expect("a string is JSON"));
            body.push(':');
            body.push_str(value.get());
        }
        body.push('}');
        body
    }
}

/// Everything of a body up to its data.
fn push_head(body: &mut String, id: EventId, run: &RunId, kind: &EventKind, at: u64) {
    // Piece by piece: formatting costs several times as much, and this is done for every event.
    body.push_str(r#"{"id":""#);
    body.push_str(id.encode(&mut [0; EventId::TEXT_BYTES]));
    body.push_str(r#"","run":""#);
    body.push_str(run.as_str());
    body.push_str(r#"","type":"#);
    match kind {
        EventKind::Other(text) => {
            body.push_str(&serde_json::to_string(text).expect("a string is JSON"));
        }
        known => {
            body.push('"');
            body.push_str(known.as_str());
            body.push('"');
        }
    }
    body.push_str(r#","at":"#);
    body.push_str(json::digits(at, &mut [0; json::DIGITS_MAX]));
    body.push_str(r#","data":"#);
}

/// Checks the data of a known kind; gives the call's id where there is one.
fn check_data(kind: &EventKind, data: &RawValue) -> Result<Option<Box<str>>, WireError> {
    let bad = |message: String| {
        WireError::new(ErrorCode::BadEvent, format!("the data of `{kind}`: {message}"))
            .with_expected(expected_data(kind))
            .with_received(data.get())
    };
    let payload = Payload::read(kind, data).map_err(|error| bad(error.to_string()))?;
    let (names, call_id): ([&str; 3], Option<&str>) = match &payload {
        Payload::AgentStarted(d) => ([&d.agent, "-", "-"], None),
        Payload::ToolExecuting(d) => ([&d.call_id, &d.tool, "-"], Some(&d.call_id)),
        Payload::ToolCompleted(d) => {
            if d.output.is_some() && d.error.is_some() {
                return Err(bad("it has both `output` and `error`".into()));
            }
            ([&d.call_id, "-", "-"], Some(&d.call_id))
        }
        Payload::MessageDelta(d) => ([&d.message_id, "-", "-"], None),
        Payload::AgentFailed(d) => ([&d.code, "-", "-"], None),
        Payload::AgentCancelled(d) => ([&d.by, "-", "-"], None),
        Payload::UserMessage(d) => {
            let (agent, by) = (d.agent.as_deref(), d.by.as_deref());
            ([&d.message_id, agent.unwrap_or("-"), by.unwrap_or("-")], None)
        }
        Payload::Custom(d) => ([&d.name, "-", "-"], None),
        Payload::AgentThinking(_) | Payload::AgentCompleted(_) | Payload::Other { .. } => {
            (["-"; 3], None)
        }
    };
    if names.iter().any(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
        return Err(bad(format!("names and ids must have 1 to {NAME_BYTES_MAX} bytes")));
    }
    Ok(call_id.map(Into::into))
}

/// The shape of a known kind's data, for an error message.
fn expected_data(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::AgentStarted => r#"{"agent":"…","message"?:"…"}"#,
        EventKind::AgentThinking => r#"{"text":"…"}"#,
        EventKind::ToolExecuting => r#"{"call_id":"…","tool":"…","input"?:any}"#,
        EventKind::ToolCompleted => {
            r#"{"call_id":"…","output"?:any or "error"?:"…","took_ms"?:number}"#
        }
        EventKind::AgentCompleted => r#"{"result"?:any,"usage"?:any}"#,
        EventKind::MessageDelta => r#"{"message_id":"…","text":"…"}"#,
        EventKind::AgentFailed => r#"{"code":"…","message":"…"}"#,
        EventKind::AgentCancelled => r#"{"by":"…","reason"?:"…"}"#,
        EventKind::UserMessage => r#"{"message_id":"…","text":"…","agent"?:"…","by"?:"…"}"#,
        EventKind::Custom => r#"{"name":"…","value":any}"#,
        EventKind::Other(_) => "any JSON",
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

/// A member's name or text, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event: an object with `run`, `type` and `data`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        fn once<T, E: Error>(slot: &mut Option<T>, value: T, name: &'static str) -> Result<(), E> {
            if slot.replace(value).is_some() { Err(E::duplicate_field(name)) } else { Ok(()) }
        }
        let (mut seq, mut id, mut run, mut kind, mut at, mut data) =
            (None, None, None, None, None, None);
        let mut extra: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
        while let Some(Text(name)) = map.next_key()? {
            match name.as_ref() {
                "seq" => once(&mut seq, map.next_value()?, "seq")?,
                "id" => once(&mut id, map.next_value()?, "id")?,
                "run" => once(&mut run, map.next_value::<Text<'de>>()?.0, "run")?,
                "type" => once(&mut kind, map.next_value::<Text<'de>>()?.0, "type")?,
                "at" => once(&mut at, map.next_value()?, "at")?,
                "data" => once(&mut data, map.next_value::<&'de RawValue>()?, "data")?,
                _ if extra.len() == EXTRA_MEMBERS_MAX => {
                    return Err(A::Error::custom(format!(
                        "more than {EXTRA_MEMBERS_MAX} members beside the known ones"
                    )));
                }
                _ if extra.iter().any(|(known, _)| *known == name) => {
                    map.next_value::<IgnoredAny>()?;
                    return Err(A::Error::custom(format!("duplicate field `{name}`")));
                }
                _ => extra.push((name, map.next_value()?)),
            }
        }
        debug_assert!(extra.iter().all(|(name, _)| !MEMBERS.contains(&name.as_ref())));
        Ok(Envelope {
            seq,
            id,
            run: run.ok_or_else(|| A::Error::missing_field("run"))?,
            kind: kind.ok_or_else(|| A::Error::missing_field("type"))?,
            at,
            data,
            extra,
        })
    }
}
