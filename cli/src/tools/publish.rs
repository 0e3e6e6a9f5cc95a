//! `rethread publish`: events from the command line, a file or standard input.

use std::{
    io::{IsTerminal, stdin},
    path::PathBuf,
};

use anyhow::{Context, bail};
use clap::Args;
use rethread_client::native::{Client, Outcome};
use rethread_shared::{
    EventId, RunId, WireError,
    limits::{EVENT_BYTES_MAX, PUBLISH_EVENTS_MAX},
};
use serde_json::{json, value::RawValue};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{
    exit::{self, Exit},
    lines::{Line, Lines},
    progress,
    remote::Remote,
    runtime,
    terminal::{Screen, clean},
};

/// Events that are published together, at most: a few publishes under way at once.
const BATCH_EVENTS: usize = 4 * PUBLISH_EVENTS_MAX;
/// Lines that are read ahead.
const LINES_AHEAD: usize = 2 * BATCH_EVENTS;
/// An event of the largest size that a publisher may have written with an id or spaces too many is
/// the server's to refuse.
const LINE_BYTES_MAX: usize = 4 * EVENT_BYTES_MAX;

/// What it can be called with.
#[derive(Args)]
#[command(after_help = r#"Examples:
  rethread publish thread_42_run_1756919162904_9adf1f09 agent_started '{"agent":"docs"}'
  rethread publish thread_42_run_1756919162904_9adf1f09 agent_completed
  my-agent | rethread publish
  rethread publish --file events.ndjson --key import-2026-11-20

An event on a line is {"run":…,"type":…,"data":{…}}, and may have "id" (a UUID) and "at".
Each event that is refused is told with its line; then the exit code is 1.

An event without an id is given one, so that a lost connection stores nothing twice. With --key the
same command can also be called again, after a crash of this machine, say."#)]
pub(crate) struct Publish {
    /// The run of a single event.
    #[arg(requires = "kind", conflicts_with = "file")]
    run: Option<RunId>,
    /// The type of a single event, such as agent_started.
    #[arg(value_name = "TYPE")]
    kind: Option<String>,
    /// The data of a single event, JSON.
    #[arg(default_value = "{}", hide_default_value = true)]
    data: String,
    /// The id of a single event.
    #[arg(long, requires = "run", value_name = "UUID")]
    id: Option<EventId>,
    /// Where events are read from, one a line (NDJSON); `-` is standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Make the ids of events from this word, and from the number and text of their lines:
    /// publishing the same file with the same word again stores nothing twice.
    #[arg(long, value_name = "WORD", conflicts_with = "run")]
    key: Option<String>,
    /// What became of each event as JSON, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Publishes them.
pub(crate) fn run(args: &Publish) -> anyhow::Result<Exit> {
    let (mut lines, whole) = match (&args.run, &args.file) {
        (Some(run), _) => {
            let event = single(args, run)?;
            (Lines::new(std::io::Cursor::new(event), LINE_BYTES_MAX), Some(0))
        }
        (None, Some(file)) => Lines::open(file, LINE_BYTES_MAX)?,
        (None, None) if stdin().is_terminal() => bail!(
            "nothing to publish: expected RUN TYPE [DATA], or --file, or events on standard input"
        ),
        (None, None) => Lines::open("-".as_ref(), LINE_BYTES_MAX)?,
    };
    runtime::block_on(async {
        let client = args.remote.connect("rethread-publish").await?;
        let (sender, mut lines_read) = mpsc::channel(LINES_AHEAD);
        // Reading may wait for ever; publishing what has come must not wait with it.
        let reader = std::thread::spawn(move || -> std::io::Result<()> {
            while let Some(line) = lines.next()? {
                if sender.blocking_send(line).is_err() {
                    break;
                }
            }
            Ok(())
        });
        let bar = match whole {
            Some(0) => indicatif::ProgressBar::hidden(),
            Some(bytes) => progress::bytes(bytes),
            None => progress::count("events"),
        };
        let mut tally = Tally { args, screen: Screen::new(), bar, ..Tally::new(args) };
        let mut taken = Vec::new();
        loop {
            let publishing = async {
                if lines_read.recv_many(&mut taken, BATCH_EVENTS).await == 0 {
                    return Ok(false);
                }
                tally.publish(&client, taken.drain(..)).await.map(|()| true)
            };
            let goes_on = tokio::select! {
                done = publishing => done?,
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted?;
                    tally.say();
                    return Ok(Exit::Interrupted);
                }
            };
            if !goes_on {
                break;
            }
        }
        // It has ended, for its channel has.
        reader.join().expect("reading does not panic").context("reading the events")?;
        client.close().await;
        tally.say();
        Ok(if tally.refused == 0 { Exit::Done } else { Exit::Bad })
    })
}

fn single(args: &Publish, run: &RunId) -> anyhow::Result<String> {
    let data: &RawValue = serde_json::from_str(&args.data).with_context(|| {
        format!("DATA: expected JSON such as {{\"text\":\"…\"}}, received {:?}", args.data)
    })?;
    let mut event = serde_json::Map::new();
    if let Some(id) = args.id {
        event.insert("id".into(), json!(id));
    }
    event.insert("run".into(), json!(run));
    event.insert("type".into(), json!(args.kind));
    let head = serde_json::to_string(&event)?;
    // As it was written: no number of it is rounded.
    let data = data.get().replace(['\n', '\r'], " ");
    Ok(format!(r#"{},"data":{data}}}"#, head.trim_end_matches('}')))
}

/// What became of the events so far.
struct Tally<'a> {
    args: &'a Publish,
    screen: Screen,
    bar: indicatif::ProgressBar,
    stored: u64,
    duplicates: u64,
    refused: u64,
}

impl<'a> Tally<'a> {
    fn new(args: &'a Publish) -> Self {
        let (screen, bar) = (Screen::new(), indicatif::ProgressBar::hidden());
        Self { args, screen, bar, stored: 0, duplicates: 0, refused: 0 }
    }

    async fn publish(
        &mut self,
        client: &Client,
        lines: impl Iterator<Item = Line>,
    ) -> anyhow::Result<()> {
        let (mut events, mut numbers, mut bytes) = (Vec::new(), Vec::new(), 0);
        for line in lines {
            bytes += line.bytes;
            match event(&line, self.args.key.as_deref()) {
                Ok(event) => {
                    events.push(event);
                    numbers.push(line.number);
                }
                Err(problem) => self.refuse(line.number, &problem, None)?,
            }
        }
        let count = events.len() as u64;
        let outcomes = client.publish(events).await?;
        for (number, outcome) in numbers.into_iter().zip(outcomes) {
            match &outcome {
                Outcome::Stored { duplicate, .. } => {
                    self.stored += 1;
                    self.duplicates += u64::from(*duplicate);
                    if self.args.json {
                        self.screen.line(&serde_json::to_string(&outcome)?)?;
                    }
                }
                Outcome::Refused { error, .. } => {
                    self.refuse(number, &error.to_string(), Some(error))?;
                }
            }
        }
        self.bar.inc(if self.bar.length().is_some() { bytes } else { count });
        Ok(self.screen.flush()?)
    }

    fn refuse(
        &mut self,
        number: u64,
        problem: &str,
        error: Option<&WireError>,
    ) -> anyhow::Result<()> {
        self.refused += 1;
        if self.args.json {
            let error = match error {
                Some(error) => json!(error),
                None => json!({ "code": "bad_event", "message": problem }),
            };
            self.screen.line(&json!({ "line": number, "error": error }).to_string())?;
        }
        let details = error.map(exit::details).unwrap_or_default();
        let place =
            if self.args.run.is_some() { String::new() } else { format!("line {number}: ") };
        self.bar.suspend(|| eprintln!("{place}{}{details}", clean(problem)));
        Ok(())
    }

    fn say(&self) {
        self.bar.finish_and_clear();
        let repeated = match self.duplicates {
            0 => String::new(),
            count => format!(" ({count} of them before)"),
        };
        eprintln!("{} stored{repeated}, {} refused", self.stored, self.refused);
    }
}

/// The event of a line, with an id where a key makes one.
fn event(line: &Line, key: Option<&str>) -> Result<Box<RawValue>, String> {
    let text = line.text.as_ref().map_err(Clone::clone)?;
    if text.len() >= EVENT_BYTES_MAX {
        return Err(format!(
            "event_too_large: the event has {} bytes, fewer than {EVENT_BYTES_MAX} are allowed",
            text.len()
        ));
    }
    let event = serde_json::from_str::<Box<RawValue>>(text).ok();
    let event = event.filter(|event| event.get().starts_with('{')).ok_or_else(|| {
        let start: String = text.chars().take(80).collect();
        format!(
            "bad_event: expected an event such as \
                 {{\"run\":…,\"type\":…,\"data\":{{…}}}}, received {start:?}"
        )
    })?;
    let Some(key) = key else { return Ok(event) };
    #[derive(serde::Deserialize)]
    struct HasId {
        id: Option<serde::de::IgnoredAny>,
    }
    let has_id = serde_json::from_str::<HasId>(event.get()).is_ok_and(|event| event.id.is_some());
    let rest = event.get().strip_prefix('{').map(str::trim_start).unwrap_or_default();
    if has_id || rest == "}" {
        return Ok(event);
    }
    let id = id(key, line.number, text);
    RawValue::from_string(format!(r#"{{"id":"{id}",{rest}"#)).map_err(|error| error.to_string())
}

/// A UUIDv8 (RFC 9562, section 5.8) that is always the same for the same line of the same key.
fn id(key: &str, number: u64, text: &str) -> EventId {
    let mut hash = Sha256::new();
    hash.update((key.len() as u64).to_be_bytes());
    hash.update(key);
    hash.update(number.to_be_bytes());
    hash.update(text);
    let mut bytes: [u8; 16] = hash.finalize()[..16].try_into().expect("SHA-256 has 32 bytes");
    bytes[6] = 0x80 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    EventId::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, text: &str) -> Line {
        Line { number, bytes: 0, text: Ok(text.to_owned()) }
    }

    #[test]
    fn a_key_gives_the_same_line_the_same_id_and_keeps_ids_that_are_there() {
        let text = r#"{ "run":"run_5d1f0c9a77e2","type":"custom"}"#;
        let made = event(&line(1, text), Some("k")).unwrap();
        assert_eq!(made.get(), event(&line(1, text), Some("k")).unwrap().get());
        assert_ne!(made.get(), event(&line(2, text), Some("k")).unwrap().get());
        assert_ne!(made.get(), event(&line(1, text), Some("l")).unwrap().get());
        let envelope: rethread_shared::event::Envelope<'_> =
            serde_json::from_str(made.get()).unwrap();
        assert_eq!(envelope.id.unwrap().to_string().as_bytes()[14], b'8', "a UUID of version 8");
        let has_one = r#"{"id":"0192","run":"x"}"#;
        assert_eq!(event(&line(1, has_one), Some("k")).unwrap().get(), has_one);
        assert_eq!(event(&line(1, "{}"), Some("k")).unwrap().get(), "{}");
    }

    #[test]
    fn what_is_no_event_is_said_with_what_was_expected() {
        for text in ["nonsense", "[1]", "1", r#"{"run":"#] {
            let error = event(&line(1, text), None).unwrap_err();
            assert!(error.contains("expected an event"), "{error}");
        }
    }
}
