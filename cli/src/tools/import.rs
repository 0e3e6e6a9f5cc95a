//! `rethread import`: puts an export into a data folder.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use rethread_server::{
    archive::{Epochs, Import, LINE_BYTES_MAX},
    log::engine::fjall::FjallEngine,
};

use super::{exit::Exit, export::told, lines::Lines, progress};

/// What it can be called with.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread import backup.ndjson data
  rethread import backup.ndjson data --keep-epochs
  ssh other rethread export data | rethread import - data

The server of the folder must be stopped; the folder is made when it is not there. Threads, events and
runs keep their ids, places and owners. What is there already is left as it is and must be the same, so
an import that was interrupted is repeated, and a newer export of the same threads adds what is new.
A thread with another history in the folder ends the import.

Clients of a thread are told to begin anew, for they may have seen events that came after the export.
With --keep-epochs they go on from where they are: only right when the server that the export is of has
taken no event since, and takes none any more.

The exit code is 1 when the export is not whole; `rethread check` verifies what has become of it.")]
pub(crate) struct Arguments {
    /// The export; `-` is standard input.
    file: PathBuf,
    /// The data folder.
    #[arg(default_value = "data")]
    data: PathBuf,
    /// Give threads that are new in the folder the epochs of the export.
    #[arg(long)]
    keep_epochs: bool,
}

/// Imports.
pub(crate) fn run(args: &Arguments) -> anyhow::Result<Exit> {
    if args.data.to_str().is_some_and(|data| data.contains("://")) {
        bail!(
            "expected the data folder of a server that is stopped, received {:?}: a server that \
             works numbers its events itself; publish them to it with `rethread publish`",
            args.data
        );
    }
    let (mut lines, whole) = Lines::open(&args.file, LINE_BYTES_MAX)?;
    let folder = args.data.join("log");
    let data = || args.data.display().to_string();
    std::fs::create_dir_all(&folder).with_context(data)?;
    let engine = FjallEngine::open(&folder).map_err(|error| anyhow!("{}: {error}", data()))?;
    let epochs = if args.keep_epochs { Epochs::Kept } else { Epochs::New };
    let mut import =
        Import::new(&engine, epochs).map_err(|error| anyhow!("{}: {error}", data()))?;
    let bar = match whole {
        Some(bytes) => progress::bytes(bytes),
        None => progress::count("lines"),
    };
    let name = || args.file.display().to_string();
    while let Some(line) = lines.next().with_context(name)? {
        let text = line.text.map_err(|problem| anyhow!("line {}: {problem}", line.number));
        import.line(line.number, &text.with_context(name)?).with_context(name)?;
        bar.inc(if whole.is_some() { line.bytes } else { 1 });
    }
    let imported = import.finish().with_context(data)?;
    bar.finish_and_clear();
    eprintln!("read {}; new: {}", told(&imported.read), told(&imported.stored));
    if !imported.is_whole {
        eprintln!(
            "the export is not whole: its last line is missing; \
             go on with `rethread export --resume`, and import it again"
        );
        return Ok(Exit::Bad);
    }
    Ok(Exit::Done)
}
