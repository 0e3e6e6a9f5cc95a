//! An event on one line, for a person.

use rethread_shared::{Event, EventKind, Payload, RunId};

use super::terminal::{Paint, Tone, clean, time};

/// Characters of an input, output or result that are shown.
const JSON_CHARS: usize = 200;

/// `SEQ  TIME  RUN  TYPE  what it says`
pub(crate) fn line(event: &Event, paint: Paint) -> String {
    let kind = clean(event.kind.as_str()).into_owned();
    format!(
        "{:>6}  {}  {}  {}{}  {}",
        event.seq,
        paint.tone(Tone::Faint, &time(event.at)),
        paint.tone(Tone::Faint, short(&event.run)),
        paint.tone(tone(&event.kind), &kind),
        " ".repeat(15_usize.saturating_sub(kind.chars().count())),
        clean(&says(event)),
    )
    .trim_end()
    .to_owned()
}

/// What tells a run from the others of its thread: the last part of its id.
fn short(run: &RunId) -> &str {
    let text = run.as_str();
    text.rsplit_once('_').map_or(text, |(_, last)| last)
}

fn tone(kind: &EventKind) -> Tone {
    match kind {
        EventKind::UserMessage => Tone::Person,
        EventKind::AgentStarted | EventKind::MessageDelta => Tone::Strong,
        EventKind::AgentThinking => Tone::Faint,
        EventKind::ToolExecuting | EventKind::ToolCompleted => Tone::Busy,
        EventKind::AgentCompleted => Tone::Good,
        EventKind::AgentFailed | EventKind::AgentCancelled => Tone::Bad,
        EventKind::Custom | EventKind::Other(_) => Tone::Plain,
    }
}

fn says(event: &Event) -> String {
    let data = || cut(event.data.get());
    let Ok(payload) = event.payload() else { return data() };
    match payload {
        Payload::AgentStarted(d) => match &d.message {
            Some(message) => format!("{}: {message}", d.agent),
            None => d.agent.into_owned(),
        },
        Payload::AgentThinking(d) => d.text.into_owned(),
        Payload::ToolExecuting(d) => match d.input {
            Some(input) => format!("{} {}", d.tool, cut(input.get())),
            None => d.tool.into_owned(),
        },
        Payload::ToolCompleted(d) => {
            let what = match (&d.error, d.output) {
                (Some(error), _) => format!("failed: {error}"),
                (None, Some(output)) => cut(output.get()),
                (None, None) => "done".to_owned(),
            };
            match d.took_ms {
                Some(ms) => format!("{what} ({ms} ms)"),
                None => what,
            }
        }
        Payload::AgentCompleted(d) => d.result.map(|result| cut(result.get())).unwrap_or_default(),
        Payload::MessageDelta(d) => d.text.into_owned(),
        Payload::AgentFailed(d) => format!("{}: {}", d.code, d.message),
        Payload::AgentCancelled(d) => match &d.reason {
            Some(reason) => format!("by {}: {reason}", d.by),
            None => format!("by {}", d.by),
        },
        Payload::UserMessage(d) => match &d.by {
            Some(by) => format!("{by}: {}", d.text),
            None => d.text.into_owned(),
        },
        Payload::Custom(d) => format!("{} {}", d.name, cut(d.value.get())),
        Payload::Other { .. } => data(),
    }
}

fn cut(json: &str) -> String {
    match json.char_indices().nth(JSON_CHARS) {
        Some((at, _)) => format!("{}…", &json[..at]),
        None => json.to_owned(),
    }
}
