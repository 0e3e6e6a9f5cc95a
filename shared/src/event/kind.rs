use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What happened: an event's `type`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// An agent has taken the run on.
    AgentStarted,
    /// A piece of what the agent thinks, for showing.
    AgentThinking,
    /// A tool has been called and works.
    ToolExecuting,
    /// The tool has answered, or failed.
    ToolCompleted,
    /// The run has ended well.
    AgentCompleted,
    /// A piece of the answer's text.
    MessageDelta,
    /// The run has ended with an error.
    AgentFailed,
    /// The run was stopped.
    AgentCancelled,
    /// A person's message; opens a run.
    UserMessage,
    /// Something of the application's own.
    Custom,
    /// A type that this version does not know, carried through.
    Other(Box<str>),
}

impl EventKind {
    /// The kinds this version knows.
    pub const KNOWN: [Self; 10] = [
        Self::AgentStarted,
        Self::AgentThinking,
        Self::ToolExecuting,
        Self::ToolCompleted,
        Self::AgentCompleted,
        Self::MessageDelta,
        Self::AgentFailed,
        Self::AgentCancelled,
        Self::UserMessage,
        Self::Custom,
    ];

    /// The `type` as it travels.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::AgentStarted => "agent_started",
            Self::AgentThinking => "agent_thinking",
            Self::ToolExecuting => "tool_executing",
            Self::ToolCompleted => "tool_completed",
            Self::AgentCompleted => "agent_completed",
            Self::MessageDelta => "message_delta",
            Self::AgentFailed => "agent_failed",
            Self::AgentCancelled => "agent_cancelled",
            Self::UserMessage => "user_message",
            Self::Custom => "custom",
            Self::Other(text) => text,
        }
    }

    /// True for the kinds that end a run.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self, Self::AgentCompleted | Self::AgentFailed | Self::AgentCancelled)
    }

    /// True for the kinds that change what may come next in a run; see [`crate::order`].
    #[must_use]
    pub fn changes_order(&self) -> bool {
        self.is_end()
            || matches!(
                self,
                Self::AgentStarted | Self::ToolExecuting | Self::ToolCompleted | Self::UserMessage
            )
    }
}

impl From<&str> for EventKind {
    fn from(text: &str) -> Self {
        match text {
            "agent_started" => Self::AgentStarted,
            "agent_thinking" => Self::AgentThinking,
            "tool_executing" => Self::ToolExecuting,
            "tool_completed" => Self::ToolCompleted,
            "agent_completed" => Self::AgentCompleted,
            "message_delta" => Self::MessageDelta,
            "agent_failed" => Self::AgentFailed,
            "agent_cancelled" => Self::AgentCancelled,
            "user_message" => Self::UserMessage,
            "custom" => Self::Custom,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Ok(Self::from(text.as_ref()))
    }
}
