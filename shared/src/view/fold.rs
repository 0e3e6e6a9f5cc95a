use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{CallState, Ending, Part, Run, RunState, View, What};
use crate::event::{Event, Payload};

/// What an event says, as far as a view shows it.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The members are those of the events' data.
pub enum Happening<'a, J> {
    UserMessage {
        message_id: Cow<'a, str>,
        text: Cow<'a, str>,
        by: Option<Cow<'a, str>>,
    },
    AgentStarted {
        agent: Cow<'a, str>,
        message: Option<Cow<'a, str>>,
    },
    AgentThinking {
        text: Cow<'a, str>,
    },
    MessageDelta {
        message_id: Cow<'a, str>,
        text: Cow<'a, str>,
    },
    ToolExecuting {
        call_id: Cow<'a, str>,
        tool: Cow<'a, str>,
        input: Option<J>,
    },
    ToolCompleted {
        call_id: Cow<'a, str>,
        output: Option<J>,
        error: Option<Cow<'a, str>>,
        took_ms: Option<u64>,
    },
    AgentCompleted,
    AgentFailed {
        code: Cow<'a, str>,
        message: Cow<'a, str>,
    },
    AgentCancelled {
        by: Cow<'a, str>,
        reason: Option<Cow<'a, str>>,
    },
    /// A `custom` event with its name and value, or another type with its data.
    Other {
        name: Cow<'a, str>,
        value: J,
    },
}

/// What an event has changed, so that only that is shown anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched {
    /// The run's place in [`View::runs`].
    pub run: usize,
    /// The parts of it that changed or are new: from this place on, or only this one.
    pub parts: Parts,
}

/// Parts of a run that an event has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// None: only the run itself.
    None,
    /// The one at this place.
    One(usize),
    /// Any: an end touches every tool that still works.
    Any,
}

impl View<Box<RawValue>> {
    /// Takes a thread's next event. One whose data is not shaped as its type says, which no server
    /// stores, is shown as it is.
    pub fn take(&mut self, event: &Event) -> Touched {
        let happening = event.payload().map_or_else(
            |_| Happening::Other { name: event.kind.as_str().into(), value: event.data.clone() },
            Happening::from,
        );
        self.fold(event.seq, event.run.as_str(), event.at, happening)
    }
}

impl<J> View<J> {
    /// Takes a thread's next event: its place, its run, when it happened, and what.
    pub fn fold(&mut self, seq: u64, run: &str, at: u64, happening: Happening<'_, J>) -> Touched {
        debug_assert!(
            seq > self.seq,
            "event {seq} after {}: each is taken once, in order",
            self.seq
        );
        self.seq = seq;
        if self.opening.is_none()
            && let Happening::UserMessage { text, .. } = &happening
        {
            self.opening = Some(text.as_ref().into());
        }
        let place = self.place(run, matches!(happening, Happening::UserMessage { .. }));
        Touched { run: place, parts: self.runs[place].fold(seq, at, happening) }
    }

    /// Where the run stands; a new one is put at the end.
    fn place(&mut self, id: &str, is_asked: bool) -> usize {
        let at = match self.find(id) {
            Ok(at) => return self.places[at],
            Err(at) => at,
        };
        let place = self.runs.len();
        self.places.insert(at, place);
        self.runs.push(Run {
            id: id.into(),
            // A log whose beginning is no longer kept may open in the middle of a run.
            state: if is_asked { RunState::Asked } else { RunState::Running },
            agent: None,
            started_at: None,
            ended_at: None,
            ending: None,
            parts: Vec::new(),
        });
        place
    }
}

impl<J> Run<J> {
    fn fold(&mut self, seq: u64, at: u64, happening: Happening<'_, J>) -> Parts {
        match happening {
            Happening::UserMessage { message_id, text, by } => self.push(
                seq,
                What::Said { message_id: boxed(message_id), text: boxed(text), by: by.map(boxed) },
            ),
            Happening::AgentStarted { agent, message } => {
                self.state = RunState::Running;
                self.agent = Some(boxed(agent));
                self.started_at = Some(at);
                match message.filter(|message| !message.is_empty()) {
                    Some(message) => self.push(seq, What::Note { text: boxed(message) }),
                    None => Parts::None,
                }
            }
            Happening::AgentThinking { text: chunk } => {
                if let Some(Part { what: What::Thinking { text, until, .. }, .. }) =
                    self.parts.last_mut()
                {
                    text.push_str(&chunk);
                    *until = at;
                    return Parts::One(self.parts.len() - 1);
                }
                self.push(seq, What::Thinking { text: chunk.into_owned(), from: at, until: at })
            }
            Happening::MessageDelta { message_id: id, text: piece } => {
                let place = self.parts.iter().rposition(|part| {
                    matches!(&part.what, What::Answer { message_id, .. } if **message_id == *id)
                });
                if let Some(place) = place
                    && let What::Answer { text, .. } = &mut self.parts[place].what
                {
                    text.push_str(&piece);
                    return Parts::One(place);
                }
                self.push(seq, What::Answer { message_id: boxed(id), text: piece.into_owned() })
            }
            Happening::ToolExecuting { call_id, tool, input } => self.push(
                seq,
                What::Tool {
                    call_id: boxed(call_id),
                    tool: boxed(tool),
                    state: CallState::Executing,
                    input,
                    output: None,
                    error: None,
                    took_ms: None,
                },
            ),
            Happening::ToolCompleted { call_id, output, error, took_ms } => {
                self.complete(&call_id, output, error, took_ms)
            }
            Happening::AgentCompleted => self.end(RunState::Completed, at, None),
            Happening::AgentFailed { code, message } => {
                let ending = Ending::Failed { code: boxed(code), message: boxed(message) };
                self.end(RunState::Failed, at, Some(ending))
            }
            Happening::AgentCancelled { by, reason } => {
                let ending = Ending::Cancelled { by: boxed(by), reason: reason.map(boxed) };
                self.end(RunState::Cancelled, at, Some(ending))
            }
            Happening::Other { name, value } => {
                self.push(seq, What::Extra { name: boxed(name), value })
            }
        }
    }

    fn push(&mut self, seq: u64, what: What<J>) -> Parts {
        self.parts.push(Part { seq, what });
        Parts::One(self.parts.len() - 1)
    }

    fn complete(
        &mut self,
        id: &str,
        answer: Option<J>,
        problem: Option<Cow<'_, str>>,
        took: Option<u64>,
    ) -> Parts {
        for (place, part) in self.parts.iter_mut().enumerate().rev() {
            if let What::Tool { call_id, state, output, error, took_ms, .. } = &mut part.what
                && **call_id == *id
                && *state == CallState::Executing
            {
                *state = if problem.is_none() { CallState::Completed } else { CallState::Failed };
                *output = answer;
                *error = problem.map(boxed);
                *took_ms = took;
                return Parts::One(place);
            }
        }
        // Its beginning is no longer kept.
        Parts::None
    }

    fn end(&mut self, end: RunState, at: u64, ending: Option<Ending>) -> Parts {
        self.state = end;
        self.ended_at = Some(at);
        self.ending = ending;
        let mut touched = Parts::None;
        for part in &mut self.parts {
            if let What::Tool { state, .. } = &mut part.what
                && *state == CallState::Executing
            {
                *state = CallState::Abandoned;
                touched = Parts::Any;
            }
        }
        touched
    }
}

fn boxed(text: Cow<'_, str>) -> Box<str> {
    text.into_owned().into_boxed_str()
}

impl<'a> From<Payload<'a>> for Happening<'a, Box<RawValue>> {
    fn from(payload: Payload<'a>) -> Self {
        match payload {
            Payload::UserMessage(data) => {
                Self::UserMessage { message_id: data.message_id, text: data.text, by: data.by }
            }
            Payload::AgentStarted(data) => {
                Self::AgentStarted { agent: data.agent, message: data.message }
            }
            Payload::AgentThinking(data) => Self::AgentThinking { text: data.text },
            Payload::MessageDelta(data) => {
                Self::MessageDelta { message_id: data.message_id, text: data.text }
            }
            Payload::ToolExecuting(data) => Self::ToolExecuting {
                call_id: data.call_id,
                tool: data.tool,
                input: data.input.map(ToOwned::to_owned),
            },
            Payload::ToolCompleted(data) => Self::ToolCompleted {
                call_id: data.call_id,
                output: data.output.map(ToOwned::to_owned),
                error: data.error,
                took_ms: data.took_ms,
            },
            Payload::AgentCompleted(_) => Self::AgentCompleted,
            Payload::AgentFailed(data) => {
                Self::AgentFailed { code: data.code, message: data.message }
            }
            Payload::AgentCancelled(data) => {
                Self::AgentCancelled { by: data.by, reason: data.reason }
            }
            Payload::Custom(data) => Self::Other { name: data.name, value: data.value.to_owned() },
            Payload::Other { kind, data } => Self::Other { name: kind, value: data.to_owned() },
        }
    }
}
