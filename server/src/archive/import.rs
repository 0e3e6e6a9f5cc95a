use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;
use rethread_shared::{
    Epoch, EventId, RunId, ThreadId,
    limits::{GROUP_BYTES_MAX, GROUP_EVENTS_MAX},
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{ArchiveError, Counts, Head, PastLine, VERSION, one_line};
use crate::{
    bridge::made_at,
    check::thread::{Order, Stored, opens, read},
    log::{
        Cut, Forget, PageLimit, Record, RunRecord,
        engine::{Engine, EngineError, Group, GroupCut, GroupEvent, RunChange, ThreadRow},
    },
    now,
};

/// Which epochs threads get that are new in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epochs {
    /// New ones: clients begin anew. Right whenever the server that the export is of may have taken
    /// events since.
    New,
    /// Those of the export: clients go on from where they are.
    Kept,
}

/// Puts the lines of an export into an engine that no server uses.
pub struct Import<'a> {
    engine: &'a dyn Engine,
    epochs: Epochs,
    line: u64,
    is_begun: bool,
    end: Option<Counts>,
    last_no: u64,
    group: Group,
    group_bytes: usize,
    /// Ids in the group, which the engine does not know yet.
    group_ids: HashSet<(u64, EventId)>,
    /// Threads that were read: each stands in an export once.
    seen: HashSet<ThreadId>,
    thread: Option<Open>,
    read: Counts,
    stored: Counts,
}

/// What an import has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What the lines held.
    pub read: Counts,
    /// What of it was new in the folder.
    pub stored: Counts,
    /// The export's last line was there.
    pub is_whole: bool,
}

/// The thread whose lines come.
struct Open {
    row: ThreadRow,
    /// The seq of the last event that the folder had before.
    had: u64,
    /// The seq of the first event that the export has.
    first: u64,
    /// The first that the folder has.
    kept: u64,
    /// The seq of the last event read.
    last: u64,
    /// Events of the folder, for comparing.
    page: VecDeque<Record>,
    orders: HashMap<RunId, Progress>,
    /// The rows that came: for an id that migration gave, the run that it was given to.
    rows: HashMap<RunId, Option<RunId>>,
    /// What the export knows of runs that were forgotten.
    past: Option<PastLine>,
}

/// A run whose events come.
struct Progress {
    order: Order,
    after: u64,
    since: u64,
    last: u64,
}

impl Open {
    fn new(row: ThreadRow, had: u64, kept: u64) -> Self {
        Self {
            row,
            had,
            first: 1,
            kept,
            last: 0,
            page: VecDeque::new(),
            orders: HashMap::new(),
            rows: HashMap::new(),
            past: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line<'a> {
    Export(Head),
    Thread(Value),
    Past(PastLine),
    Cut(Cut),
    Run(RunRecord),
    #[serde(borrow)]
    Event(&'a RawValue),
    End(Counts),
}

impl std::fmt::Debug for Import<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Import").field("read", &self.read).finish_non_exhaustive()
    }
}

impl<'a> Import<'a> {
    /// An import into this engine.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn new(engine: &'a dyn Engine, epochs: Epochs) -> Result<Self, EngineError> {
        Ok(Self {
            last_no: engine.last_no()?,
            engine,
            epochs,
            line: 0,
            is_begun: false,
            end: None,
            group: Group::default(),
            group_bytes: 0,
            group_ids: HashSet::new(),
            seen: HashSet::new(),
            thread: None,
            read: Counts::default(),
            stored: Counts::default(),
        })
    }

    /// Takes a line, whose number is for errors. What is there already must be the same.
    ///
    /// # Errors
    /// When the line does not fit. What came before it may be in the folder; to import it again with
    /// the line put right does no harm.
    pub fn line(&mut self, number: u64, text: &str) -> Result<(), ArchiveError> {
        self.line = number;
        let text = one_line(text);
        let line: Line<'_> = serde_json::from_str(&text)
            .map_err(|error| self.wrong(format!("it is no line of an export: {error}")))?;
        if matches!(line, Line::Export(_)) == self.is_begun || self.end.is_some() {
            return Err(self.wrong("expected one export: a first line, threads, and one end"));
        }
        match line {
            Line::Export(head) if head.version == VERSION => self.is_begun = true,
            Line::Export(head) => {
                let found = head.version;
                return Err(self.wrong(format!("expected version {VERSION}, found {found}")));
            }
            Line::Thread(row) => self.thread(row)?,
            Line::Past(past) => match &mut self.thread {
                Some(open) => open.past = Some(past),
                None => return Err(self.early()),
            },
            Line::Cut(cut) => self.cut(cut)?,
            Line::Run(run) => self.run(run)?,
            Line::Event(event) => self.event(event.get())?,
            Line::End(counts) => {
                self.close_thread()?;
                if counts != self.read {
                    let read = self.read;
                    return Err(self.wrong(format!("expected {counts:?} before it, read {read:?}")));
                }
                self.end = Some(counts);
            }
        }
        Ok(())
    }

    /// When there are no more lines.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn finish(mut self) -> Result<Imported, ArchiveError> {
        self.close_thread()?;
        self.write()?;
        Ok(Imported { read: self.read, stored: self.stored, is_whole: self.end.is_some() })
    }

    fn thread(&mut self, mut row: Value) -> Result<(), ArchiveError> {
        self.close_thread()?;
        self.read.threads += 1;
        if let Some(members) = row.as_object_mut() {
            members.insert("no".into(), (self.last_no + 1).into());
        }
        let mut row: ThreadRow = serde_json::from_value(row)
            .map_err(|error| self.wrong(format!("it is no thread: {error}")))?;
        if !self.seen.insert(row.thread.clone()) {
            return Err(self.wrong(format!("{} was there before; expected it once", row.thread)));
        }
        if self.group.threads.len() + self.group.runs.len() >= GROUP_EVENTS_MAX {
            self.write()?;
        }
        let known = self.engine.thread(&row.thread)?;
        let had = match known {
            Some(known) => {
                row = known;
                self.engine.head(row.no)?
            }
            None => {
                if self.epochs == Epochs::New {
                    row.epoch = Epoch::generate(now::random());
                }
                self.last_no += 1;
                self.stored.threads += 1;
                self.group.threads.push(row.clone());
                0
            }
        };
        let kept = self.engine.cut(row.no)?.first;
        self.thread = Some(Open::new(row, had, kept));
        Ok(())
    }

    /// The thread begins with a later event than its first. What the folder has removed itself stays so,
    /// and what it still has is kept.
    fn cut(&mut self, mut cut: Cut) -> Result<(), ArchiveError> {
        let Some(open) = &mut self.thread else { return Err(self.early()) };
        let thread = open.row.thread.clone();
        if open.last > 0 || cut.first == 0 {
            return Err(
                self.wrong(format!("expected the first event of {thread} once, before events"))
            );
        }
        open.last = cut.first - 1;
        open.first = cut.first;
        if cut.first <= open.had + 1 {
            return Ok(());
        }
        if open.had > 0 {
            let (had, first) = (open.had, cut.first);
            return Err(self.wrong(format!(
                "{thread} ends at {had} in this folder and begins at {first} in the export: what is \
                 between them is kept nowhere; import it into an empty folder"
            )));
        }
        if cut.until_ms == 0 {
            // A server's export says nothing of it.
            cut.until_ms = now::unix_ms();
        }
        self.group.cuts.push(GroupCut { no: open.row.no, from: cut.first, cut });
        Ok(())
    }

    fn run(&mut self, run: RunRecord) -> Result<(), ArchiveError> {
        let Some(open) = &mut self.thread else { return Err(self.early()) };
        self.read.runs += 1;
        open.rows.insert(run.run.clone(), run.first.clone());
        let thread = open.row.thread.clone();
        if run.thread != thread || run.run.embedded_thread().is_some_and(|named| *named != thread) {
            return Err(self.wrong(format!(
                "expected a run of {thread}, found {} of {}",
                run.run, run.thread
            )));
        }
        match self.engine.run(&run.run)? {
            Some(known) if known.thread != run.thread => Err(self.wrong(format!(
                "run {} belongs to {} in this folder, and to {} in the export",
                run.run, known.thread, run.thread
            ))),
            // The folder's own row may be newer.
            Some(_) => Ok(()),
            None => {
                self.stored.runs += 1;
                self.group.runs.push(RunChange::Remember(run));
                Ok(())
            }
        }
    }

    fn event(&mut self, text: &str) -> Result<(), ArchiveError> {
        let line = self.line;
        let wrong = |problem: String| ArchiveError::Line { line, problem };
        let (seq, body) = split(text).ok_or_else(|| {
            wrong("expected an event that begins with its seq: {\"seq\":1,\"id\":…}".into())
        })?;
        let stored = read(body.as_bytes()).map_err(|finding| wrong(finding.to_string()))?;
        let Some(open) = &mut self.thread else { return Err(self.early()) };
        let thread = open.row.thread.clone();
        if seq != open.last + 1 {
            let expected = open.last + 1;
            return Err(wrong(format!("expected seq {expected} of {thread}, found {seq}")));
        }
        open.last = seq;
        self.read.events += 1;
        let run = match open.rows.get(&stored.run) {
            Some(Some(given_to)) => given_to.clone(),
            _ => stored.run.clone(),
        };
        // With a run that was forgotten it is forgotten which other id it had.
        let is_known = open.rows.contains_key(&run) && open.first == 1;
        let is_cut = !opens(&stored.kind) && !is_known;
        let run = open.orders.entry(run).or_insert_with(|| Progress {
            order: Order::new(is_cut),
            after: seq - 1,
            since: stored.at,
            last: seq,
        });
        run.last = seq;
        run.order.apply(&stored).map_err(|error| wrong(error.to_string()))?;
        if seq < open.kept {
            return Ok(());
        }
        if seq <= open.had {
            return self.compare(seq, &stored, &body);
        }
        let no = open.row.no;
        if !self.group_ids.insert((no, stored.id)) || self.engine.find(no, stored.id)?.is_some() {
            return Err(wrong(format!("id {} is in {thread} already", stored.id)));
        }
        self.stored.events += 1;
        self.group_bytes += body.len();
        self.group.events.push(GroupEvent { no, seq, id: stored.id, body: Bytes::from(body) });
        if self.group.events.len() >= GROUP_EVENTS_MAX || self.group_bytes >= GROUP_BYTES_MAX {
            self.write()?;
        }
        Ok(())
    }

    /// What the folder has at this place must be this event.
    fn compare(&mut self, seq: u64, stored: &Stored, body: &str) -> Result<(), ArchiveError> {
        let line = self.line;
        let open = self.thread.as_mut().expect("an event's thread is open");
        if open.page.is_empty() {
            let limit = PageLimit { events: GROUP_EVENTS_MAX, bytes: GROUP_BYTES_MAX };
            open.page = self.engine.read(open.row.no, seq - 1, limit)?.into();
        }
        let there = open.page.pop_front().filter(|record| record.seq == seq);
        let text = there.as_ref().and_then(|record| std::str::from_utf8(&record.body).ok());
        if text.is_some_and(|text| one_line(text) == body) {
            return Ok(());
        }
        let there = there.and_then(|record| read(&record.body).ok());
        let there = there.map_or("what cannot be read".into(), |there| there.id.to_string());
        let problem = format!(
            "{} has another history in this folder: at seq {seq} it has {there}, the export {}; \
             nothing of it was changed",
            open.row.thread, stored.id
        );
        Err(ArchiveError::Line { line, problem })
    }

    /// A run that goes on must be in the registry, and one that has ended there or among those that
    /// were forgotten, though the export may have had no row of it.
    fn close_thread(&mut self) -> Result<(), ArchiveError> {
        let Some(open) = self.thread.take() else { return Ok(()) };
        let thread = &open.row.thread;
        let before = self.engine.past(thread)?;
        let mut past = before.unwrap_or_default();
        if let Some(PastLine { until_ms, until_seq }) = open.past {
            past.until_ms = past.until_ms.max(until_ms);
            past.until_seq = past.until_seq.max(until_seq);
        }
        let mut orders: Vec<_> = open.orders.into_iter().collect();
        orders.sort_by_key(|(_, run)| run.after);
        for (run, Progress { order, after, since, last }) in orders {
            if open.rows.contains_key(&run) || self.engine.run(&run)?.is_some() {
                continue;
            }
            if order.is_live() {
                let row = serde_json::json!({
                    "run": run, "thread": thread, "after": after, "created_at": since, "live": true,
                });
                self.stored.runs += 1;
                let record = serde_json::from_value(row).expect("a row of the registry");
                self.group.runs.push(RunChange::Remember(record));
            } else if last > past.until_seq || open.past.is_none() {
                past.until_ms = past.until_ms.max(now::unix_ms()).max(made_at(&run));
                past.until_seq = past.until_seq.max(last);
            }
        }
        if past != before.unwrap_or_default() {
            let past = Some((thread.clone(), past));
            self.group.runs.push(RunChange::Forget(Forget { past, ..Forget::default() }));
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), EngineError> {
        if !self.group.is_empty() {
            self.engine.write(&self.group)?;
        }
        self.group = Group::default();
        self.group_bytes = 0;
        self.group_ids.clear();
        Ok(())
    }

    fn early(&self) -> ArchiveError {
        self.wrong("expected a thread before its runs and events")
    }

    fn wrong(&self, problem: impl Into<String>) -> ArchiveError {
        ArchiveError::Line { line: self.line, problem: problem.into() }
    }
}

/// The seq of an event, and its text without it.
fn split(event: &str) -> Option<(u64, String)> {
    let rest = event.strip_prefix(r#"{"seq":"#)?;
    let (seq, rest) = rest.split_once(',')?;
    Some((seq.parse().ok()?, format!("{{{rest}")))
}
