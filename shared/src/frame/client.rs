use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::value::RawValue;

use crate::{Position, RunId, ThreadId};

/// A frame from a client. `E` is what carries one event to be published: its JSON text, borrowed
/// from the frame on the server, owned in an agent.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ClientFrame<E = Box<RawValue>> {
    /// Says who is there. First, once; again later to bring a new token.
    Hello(Hello),
    /// Asks for a thread's events.
    Subscribe(Subscribe),
    /// Asks for no more of them.
    Unsubscribe(Unsubscribe),
    /// Publishes events.
    Publish(Publish<E>),
    /// Says something to an agent.
    Send(Send),
    /// Stops a run.
    Cancel(Cancel),
    /// Offers to take work.
    Serve(Serve),
    /// Asks for a `beat`.
    Ping,
}

/// `hello`
#[derive(Clone, Serialize, Deserialize)]
pub struct Hello {
    /// The JWT.
    pub token: String,
    /// The client's name and version, for the operator's eyes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// Without the token, which must not get into a log.
impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello").field("client", &self.client).finish_non_exhaustive()
    }
}

/// `subscribe`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscribe {
    /// The thread to follow.
    pub thread: ThreadId,
    /// From where.
    #[serde(default)]
    pub after: Start,
}

/// Where a subscription begins: a position `{epoch, seq}`, `"start"` or `"now"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the first event kept.
    #[default]
    Beginning,
    /// With the next event.
    Now,
    /// With the event after this position.
    After(Position),
}

impl Serialize for Start {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Beginning => serializer.serialize_str("start"),
            Self::Now => serializer.serialize_str("now"),
            Self::After(position) => position.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire<'a> {
            Word(#[serde(borrow)] Cow<'a, str>),
            Position(Position),
        }
        match Wire::deserialize(deserializer) {
            Ok(Wire::Position(position)) => Ok(Self::After(position)),
            Ok(Wire::Word(word)) if word == "start" => Ok(Self::Beginning),
            Ok(Wire::Word(word)) if word == "now" => Ok(Self::Now),
            _ => Err(D::Error::custom(
                r#"`after` must be {"epoch":"8 hex digits","seq":number}, "start" or "now""#,
            )),
        }
    }
}

/// `unsubscribe`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unsubscribe {
    /// The thread to follow no longer.
    pub thread: ThreadId,
}

/// `publish`: answered with `published`, whose results stand in the order of the events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Publish<E = Box<RawValue>> {
    /// Chosen by the client; the answer repeats it.
    pub req: u64,
    /// The events, 1 to `limits.publish_events`.
    pub events: Vec<E>,
}

/// `send`: answered with `sent`. Sending the same `message_id` again is answered with the first run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Send {
    /// Chosen by the client; the answer repeats it.
    pub req: u64,
    /// The conversation.
    pub thread: ThreadId,
    /// A UUID of the client's; makes sending again harmless.
    pub message_id: crate::EventId,
    /// What is said.
    pub text: String,
    /// The agent that is asked; none lets any answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// `cancel`: answered with `cancelled`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cancel {
    /// Chosen by the client; the answer repeats it.
    pub req: u64,
    /// The run to stop.
    pub run: RunId,
    /// Why, for the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `serve`: from now on `work` for this agent may come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Serve {
    /// The agent's name.
    pub agent: String,
    /// Runs that this agent took before its connection broke and still works on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunId>,
}
