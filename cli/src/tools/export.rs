//! `rethread export`: a log as lines of JSON.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use indicatif::ProgressBar;
use rethread_server::{
    archive::{Counts, Export, Reached, VERSION, cut_line, event_line, thread_line},
    log::{
        Cut,
        engine::tables::{FolderTables, Table, Tables},
    },
};
use rethread_shared::{
    Epoch, Position, ThreadId,
    limits::{PAGE_EVENTS_MAX, THREADS_PAGE_MAX},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    exit::Exit,
    progress,
    remote::{Http, Remote},
    runtime,
    terminal::counted,
    threads,
};

/// What it can be called with.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread export data --output backup.ndjson
  rethread export data --output backup.ndjson --resume    # goes on where the file ends
  rethread export --remote --url https://chat.example > threads.ndjson
  rethread export data | jq -c 'select(.event).event | [.seq, .type]'

From the data folder of a server that is stopped comes everything: threads with their owners, events,
the registry of runs. Nothing in the folder is changed. With --remote come the threads that the token
may use, with their events, over HTTP, while the server works; it is slower, and the registry stays.

The last line of an export that is whole is {\"end\":…}. `rethread import` reads it.")]
pub(crate) struct Arguments {
    /// The data folder.
    #[arg(default_value = "data")]
    data: PathBuf,
    /// The file that it is written to; without it standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Go on with a file that an interrupted export has left.
    #[arg(long, requires = "output")]
    resume: bool,
    /// Export from the server at --url instead of a folder.
    #[arg(long, conflicts_with = "data")]
    remote: bool,
    #[command(flatten)]
    server: Remote,
}

/// Exports.
pub(crate) fn run(args: &Arguments) -> anyhow::Result<Exit> {
    let reached = match &args.output {
        Some(file) if args.resume => begun(file)?,
        _ => Reached::default(),
    };
    if reached.is_whole {
        eprintln!("it is whole already: {}", told(&reached.counts));
        return Ok(Exit::Done);
    }
    let mut sink = Sink::open(args, &reached)?;
    let counts = if args.remote {
        runtime::block_on(remote(&args.server.http()?, &mut sink, &reached))?
    } else {
        local(&args.data, &mut sink, &reached)?
    };
    sink.close()?;
    eprintln!("{}", told(&counts));
    Ok(Exit::Done)
}

pub(crate) fn told(counts: &Counts) -> String {
    let Counts { threads, events, runs } = *counts;
    [counted(threads, "thread"), counted(events, "event"), counted(runs, "run")].join(", ")
}

fn begun(file: &Path) -> anyhow::Result<Reached> {
    let name = file.display();
    match File::open(file) {
        Ok(open) => Reached::read(BufReader::new(open)).with_context(|| format!("{name}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Reached::default()),
        Err(error) => Err(error).with_context(|| format!("{name}")),
    }
}

/// Where the lines go.
struct Sink {
    out: Box<dyn Write>,
    file: Option<File>,
    bar: ProgressBar,
}

impl Sink {
    fn open(args: &Arguments, reached: &Reached) -> anyhow::Result<Self> {
        let bar = progress::bar(0, "events");
        bar.set_position(reached.counts.events);
        let Some(path) = &args.output else {
            return Ok(Self { out: Box::new(BufWriter::new(io::stdout())), file: None, bar });
        };
        let mut options = OpenOptions::new();
        if args.resume {
            options.append(true).create(true);
        } else {
            options.write(true).create_new(true);
        }
        let file = options.open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => anyhow!(
                "{} is there already; go on with it by --resume, or name another file",
                path.display()
            ),
            _ => anyhow!("{}: {error}", path.display()),
        })?;
        // A line that was cut off in the middle is written again.
        file.set_len(reached.bytes)?;
        let out = Box::new(BufWriter::new(file.try_clone()?));
        Ok(Self { out, file: Some(file), bar })
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        self.out.write_all(line.as_bytes())?;
        self.out.write_all(b"\n")?;
        self.bar.inc(1);
        Ok(())
    }

    fn close(mut self) -> io::Result<()> {
        self.bar.finish_and_clear();
        self.out.flush()?;
        self.file.map_or(Ok(()), |file| file.sync_all())
    }
}

fn local(data: &Path, sink: &mut Sink, reached: &Reached) -> anyhow::Result<Counts> {
    let tables = FolderTables::open(&data.join("log"))
        .map_err(|error| anyhow!("{}: {error}", data.display()))?;
    sink.bar.set_length(tables.about(Table::Events));
    let mut line = |line: &str| sink.line(line);
    let exported = Export::new(&tables, &mut line).run(reached);
    exported.with_context(|| data.display().to_string())
}

#[derive(Deserialize)]
struct Threads {
    threads: Vec<Value>,
}

#[derive(Deserialize)]
struct Page {
    epoch: Epoch,
    last: u64,
    more: bool,
    events: Vec<Box<RawValue>>,
}

async fn remote(http: &Http, sink: &mut Sink, reached: &Reached) -> anyhow::Result<Counts> {
    let mut threads = http.get::<Threads>("/v1/threads").await?.threads;
    if threads.len() >= THREADS_PAGE_MAX {
        // The list ends there; operators have one that goes on.
        threads.clear();
        let all = threads::every(http, None, |thread| {
            threads.push(thread);
            Ok(())
        });
        all.await.with_context(|| {
            format!(
                "the token may use {THREADS_PAGE_MAX} threads or more; only an operator's lists all"
            )
        })?;
    }
    let created = |thread: &Value| {
        (thread["created_at"].as_u64(), thread["thread"].as_str().map(str::to_owned))
    };
    threads.sort_by_key(created);
    let heads = threads.iter().filter_map(|thread| thread["head"].as_u64());
    sink.bar.set_length(heads.sum());
    let mut counts = reached.counts;
    if !reached.is_begun {
        sink.line(&json!({ "export": { "version": VERSION } }).to_string())?;
    }
    let mut threads = threads.into_iter();
    if let Some(begun) = &reached.thread {
        let is_it = |thread: &Value| thread["thread"] == begun.thread.as_str();
        if !threads.any(|thread| is_it(&thread)) {
            bail!(
                "the file goes on with {}, which the token may not use at {}; \
                 expected the server and the token that it was begun with",
                begun.thread,
                http.url()
            );
        }
        let from = Position { epoch: begun.epoch, seq: begun.last };
        pages(http, sink, &begun.thread, from, &mut counts).await?;
    }
    for thread in threads {
        let id: ThreadId = serde_json::from_value(thread["thread"].clone())?;
        let epoch: Epoch = serde_json::from_value(thread["epoch"].clone())?;
        sink.line(&thread_line(&thread))?;
        counts.threads += 1;
        // What is removed from now on cannot be had any more: the page then says so.
        let first = thread["first"].as_u64().unwrap_or(1);
        if let Some(line) = cut_line(Cut { first, until_ms: 0 }) {
            sink.line(&line)?;
        }
        pages(http, sink, &id, Position { epoch, seq: first - 1 }, &mut counts).await?;
    }
    sink.line(&json!({ "end": counts }).to_string())?;
    Ok(counts)
}

/// A thread's events behind a position.
async fn pages(
    http: &Http,
    sink: &mut Sink,
    thread: &ThreadId,
    mut after: Position,
    counts: &mut Counts,
) -> anyhow::Result<()> {
    loop {
        let (epoch, seq) = (after.epoch, after.seq);
        let path =
            format!("/v1/threads/{thread}/events?after={epoch}:{seq}&limit={PAGE_EVENTS_MAX}");
        let page: Page = http.get(&path).await?;
        for event in &page.events {
            sink.line(&event_line(event.get()))?;
        }
        counts.events += page.events.len() as u64;
        if !page.more {
            return Ok(());
        }
        after = Position { epoch: page.epoch, seq: page.last };
    }
}
