use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::EventKind;

macro_rules! payloads {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {
        /// The typed data of an event, borrowed from its JSON text. Any-JSON members stay text.
        ///
        /// Members that a newer publisher added are not in here; they are in the event's own text.
        #[derive(Clone, Debug)]
        pub enum Payload<'a> {
            $($(#[doc = $doc])+ $name($name<'a>),)+
            /// A type that this version does not know, with its data.
            Other {
                /// The `type`.
                kind: Cow<'a, str>,
                /// The `data`.
                data: &'a RawValue,
            },
        }

        impl<'a> Payload<'a> {
            /// Reads the data that goes with a kind.
            ///
            /// # Errors
            /// When a member that the kind needs is missing or of another type.
            pub fn read(kind: &'a EventKind, data: &'a RawValue) -> Result<Self, serde_json::Error> {
                Ok(match kind {
                    $(EventKind::$name => Self::$name(serde_json::from_str(data.get())?),)+
                    EventKind::Other(kind) => Self::Other { kind: Cow::Borrowed(&**kind), data },
                })
            }

            /// The kind this is the data of.
            #[must_use]
            pub fn kind(&self) -> EventKind {
                match self {
                    $(Self::$name(_) => EventKind::$name,)+
                    Self::Other { kind, .. } => EventKind::from(kind.as_ref()),
                }
            }
        }

        /// Serialises as the event's `data`.
        impl Serialize for Payload<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$name(data) => data.serialize(serializer),)+
                    Self::Other { data, .. } => data.serialize(serializer),
                }
            }
        }

        $(impl<'a> From<$name<'a>> for Payload<'a> {
            fn from(data: $name<'a>) -> Self {
                Self::$name(data)
            }
        })+
    };
}

payloads! {
    /// An agent has taken the run on.
    AgentStarted;
    /// A piece of what the agent thinks.
    AgentThinking;
    /// A tool works.
    ToolExecuting;
    /// A tool has answered, or failed.
    ToolCompleted;
    /// The run has ended well.
    AgentCompleted;
    /// A piece of the answer's text.
    MessageDelta;
    /// The run has ended with an error.
    AgentFailed;
    /// The run was stopped.
    AgentCancelled;
    /// A person's message.
    UserMessage;
    /// Something of the application's own.
    Custom;
}

/// `agent_started`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AgentStarted<'a> {
    /// The agent's name, as in `serve`.
    #[serde(borrow)]
    pub agent: Cow<'a, str>,
    /// What it says at its start.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Cow<'a, str>>,
}

/// `agent_thinking`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AgentThinking<'a> {
    /// A chunk; chunks are shown one after the other as they are.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
}

/// `tool_executing`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ToolExecuting<'a> {
    /// Names the call within its run; `tool_completed` repeats it.
    #[serde(borrow)]
    pub call_id: Cow<'a, str>,
    /// The tool's name.
    #[serde(borrow)]
    pub tool: Cow<'a, str>,
    /// What it was called with, any JSON.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub input: Option<&'a RawValue>,
}

/// `tool_completed`: with `output`, or with `error`, or with neither, never with both.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ToolCompleted<'a> {
    /// The call that is done.
    #[serde(borrow)]
    pub call_id: Cow<'a, str>,
    /// What it answered, any JSON.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub output: Option<&'a RawValue>,
    /// What went wrong, for a person.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Cow<'a, str>>,
    /// How long it took, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

/// `agent_completed`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AgentCompleted<'a> {
    /// What came of it, any JSON.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub result: Option<&'a RawValue>,
    /// What it cost (tokens and the like), any JSON.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<&'a RawValue>,
}

/// `message_delta`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MessageDelta<'a> {
    /// The message this is a piece of; a run may write several.
    #[serde(borrow)]
    pub message_id: Cow<'a, str>,
    /// The piece, to be put behind those before it.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
}

/// `agent_failed`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AgentFailed<'a> {
    /// A stable name. The server's own is `agent_lost`: the agent went away and did not come back.
    #[serde(borrow)]
    pub code: Cow<'a, str>,
    /// The same for a person.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}

/// `agent_cancelled`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AgentCancelled<'a> {
    /// The user who stopped it.
    #[serde(borrow)]
    pub by: Cow<'a, str>,
    /// Why.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
}

/// `user_message`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UserMessage<'a> {
    /// The id that the sender gave it.
    #[serde(borrow)]
    pub message_id: Cow<'a, str>,
    /// What was said.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    /// The agent that is asked; none lets any answer.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Cow<'a, str>>,
    /// The user who said it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Cow<'a, str>>,
}

/// `custom`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Custom<'a> {
    /// The application's name for it.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Any JSON.
    #[serde(borrow)]
    pub value: &'a RawValue,
}
