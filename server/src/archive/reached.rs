use std::io::BufRead;

use rethread_shared::{Epoch, ThreadId};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{ArchiveError, Counts, Head, VERSION};

/// How far an export has come, read from its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Bytes of whole lines; what is behind them was cut off in the middle.
    pub bytes: u64,
    /// What those lines hold.
    pub counts: Counts,
    /// The first line is there.
    pub is_begun: bool,
    /// The last line is there.
    pub is_whole: bool,
    /// The thread that it goes on with.
    pub thread: Option<Begun>,
}

/// A thread that may not be complete yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its id.
    pub thread: ThreadId,
    /// Its epoch.
    pub epoch: Epoch,
    /// The seq of its last event; 0 where there is none yet.
    pub last: u64,
    /// Its runs so far.
    pub runs: u64,
    /// What is known of its forgotten runs is there.
    pub has_past: bool,
    /// What is known of its removed events is there.
    pub has_cut: bool,
}

/// Of a line, what tells where it stands.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Export(Head),
    Thread(Thread),
    Past(IgnoredAny),
    Cut(IgnoredAny),
    Run(IgnoredAny),
    Event(Event),
    End(Counts),
}

#[derive(Deserialize)]
struct Thread {
    thread: ThreadId,
    epoch: Epoch,
}

#[derive(Deserialize)]
struct Event {
    seq: u64,
}

impl Reached {
    /// Reads the file of an export that was begun.
    ///
    /// # Errors
    /// When it is no export, or cannot be read.
    pub fn read(mut file: impl BufRead) -> Result<Self, ArchiveError> {
        let mut reached = Self::default();
        let (mut text, mut number) = (Vec::new(), 0);
        loop {
            text.clear();
            let read = file.read_until(b'\n', &mut text)?;
            if read == 0 || text.last() != Some(&b'\n') {
                return Ok(reached);
            }
            number += 1;
            let wrong = |problem| ArchiveError::Line { line: number, problem };
            let line: Line = serde_json::from_slice(&text)
                .map_err(|error| wrong(format!("it is no line of an export: {error}")))?;
            reached.take(line).map_err(wrong)?;
            reached.bytes += read as u64;
        }
    }

    fn take(&mut self, line: Line) -> Result<(), String> {
        if matches!(line, Line::Export(_)) == self.is_begun || self.is_whole {
            return Err("expected one export: a first line, threads, and one end".into());
        }
        match (line, &mut self.thread) {
            (Line::Export(head), _) if head.version != VERSION => {
                return Err(format!("expected version {VERSION}, found {}", head.version));
            }
            (Line::Export(_), _) => self.is_begun = true,
            (Line::Thread(Thread { thread, epoch }), begun) => {
                self.counts.threads += 1;
                *begun = Some(Begun {
                    thread,
                    epoch,
                    last: 0,
                    runs: 0,
                    has_past: false,
                    has_cut: false,
                });
            }
            (Line::Past(_), Some(begun)) => begun.has_past = true,
            (Line::Cut(_), Some(begun)) => begun.has_cut = true,
            (Line::Run(_), Some(begun)) => {
                self.counts.runs += 1;
                begun.runs += 1;
            }
            (Line::Event(event), Some(begun)) => {
                self.counts.events += 1;
                begun.last = event.seq;
            }
            (Line::End(counts), _) if counts != self.counts => {
                return Err(format!("expected {counts:?} before it, read {:?}", self.counts));
            }
            (Line::End(_), _) => self.is_whole = true,
            (Line::Past(_) | Line::Cut(_) | Line::Run(_) | Line::Event(_), None) => {
                return Err("expected a thread before its runs and events".into());
            }
        }
        Ok(())
    }
}
