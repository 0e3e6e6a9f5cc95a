use serde::{Deserialize, Deserializer, Serialize};

use super::{CallState, Part, What};

/// A part's JSON: an object whose `kind` says which of its members are there. Flat, for any JSON can
/// stand in it as text, which serde's tagged enums cannot carry.
#[derive(Serialize, Deserialize)]
pub(super) struct Flat<J> {
    seq: u64,
    kind: Kind,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    message_id: Option<Box<str>>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    by: Option<Box<str>>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    from: Option<u64>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    call_id: Option<Box<str>>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    tool: Option<Box<str>>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    state: Option<CallState>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    input: Option<J>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    output: Option<J>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    error: Option<Box<str>>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    took_ms: Option<u64>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    name: Option<Box<str>>,
    /// There, and null: an application may well mean that.
    #[serde(default = "none", deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    value: Option<J>,
}

fn none<T>() -> Option<T> {
    None
}

fn some<'de, D: Deserializer<'de>, J: Deserialize<'de>>(value: D) -> Result<Option<J>, D::Error> {
    J::deserialize(value).map(Some)
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Said,
    Note,
    Thinking,
    Tool,
    Answer,
    Extra,
}

impl<J> Flat<J> {
    fn new(seq: u64, kind: Kind) -> Self {
        Self {
            seq,
            kind,
            message_id: None,
            text: None,
            by: None,
            from: None,
            until: None,
            call_id: None,
            tool: None,
            state: None,
            input: None,
            output: None,
            error: None,
            took_ms: None,
            name: None,
            value: None,
        }
    }
}

impl<J> From<Part<J>> for Flat<J> {
    fn from(Part { seq, what }: Part<J>) -> Self {
        match what {
            What::Said { message_id, text, by } => Self {
                message_id: Some(message_id),
                text: Some(text.into()),
                by,
                ..Self::new(seq, Kind::Said)
            },
            What::Note { text } => Self { text: Some(text.into()), ..Self::new(seq, Kind::Note) },
            What::Thinking { text, from, until } => Self {
                text: Some(text),
                from: Some(from),
                until: Some(until),
                ..Self::new(seq, Kind::Thinking)
            },
            What::Tool { call_id, tool, state, input, output, error, took_ms } => Self {
                call_id: Some(call_id),
                tool: Some(tool),
                state: Some(state),
                input,
                output,
                error,
                took_ms,
                ..Self::new(seq, Kind::Tool)
            },
            What::Answer { message_id, text } => Self {
                message_id: Some(message_id),
                text: Some(text),
                ..Self::new(seq, Kind::Answer)
            },
            What::Extra { name, value } => {
                Self { name: Some(name), value: Some(value), ..Self::new(seq, Kind::Extra) }
            }
        }
    }
}

impl<J> TryFrom<Flat<J>> for Part<J> {
    type Error = String;

    fn try_from(flat: Flat<J>) -> Result<Self, String> {
        let Flat { seq, kind, message_id, text, by, from, until, call_id, tool, .. } = flat;
        let what = match kind {
            Kind::Said => What::Said {
                message_id: needed(kind, "message_id", message_id)?,
                text: needed(kind, "text", text)?.into(),
                by,
            },
            Kind::Note => What::Note { text: needed(kind, "text", text)?.into() },
            Kind::Thinking => What::Thinking {
                text: needed(kind, "text", text)?,
                from: needed(kind, "from", from)?,
                until: needed(kind, "until", until)?,
            },
            Kind::Tool => What::Tool {
                call_id: needed(kind, "call_id", call_id)?,
                tool: needed(kind, "tool", tool)?,
                state: needed(kind, "state", flat.state)?,
                input: flat.input,
                output: flat.output,
                error: flat.error,
                took_ms: flat.took_ms,
            },
            Kind::Answer => What::Answer {
                message_id: needed(kind, "message_id", message_id)?,
                text: needed(kind, "text", text)?,
            },
            Kind::Extra => What::Extra {
                name: needed(kind, "name", flat.name)?,
                value: needed(kind, "value", flat.value)?,
            },
        };
        Ok(Self { seq, what })
    }
}

fn needed<T>(kind: Kind, name: &str, member: Option<T>) -> Result<T, String> {
    member.ok_or_else(|| format!("a part of the kind {kind:?} needs `{name}`"))
}
