//! `docs/benchmarks.md`: what is true of any run, and the tables of this one.

use std::{fmt::Write, fs, path::Path, time::Duration};

use anyhow::{Context, Result};

use super::{Results, Spread, number, pictures, table, targets};
use crate::{contender::Contender, machine::Machine};

/// What a run was, beside its results.
#[derive(Debug)]
pub(crate) struct Told {
    /// Where it ran.
    pub(crate) machine: Machine,
    /// Who took part, with their versions.
    pub(crate) contenders: Vec<(Contender, String)>,
    /// Peers that failed, where, and why.
    pub(crate) failures: Vec<String>,
    /// How often each case was repeated.
    pub(crate) repeat: u32,
    /// How long a repetition measured.
    pub(crate) length: Duration,
    /// How long all of it took.
    pub(crate) took: Duration,
}

/// Writes the document and its pictures.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn write(folder: &Path, results: &Results, told: &Told) -> Result<()> {
    let beside = folder.join("benchmarks");
    fs::create_dir_all(&beside).with_context(|| beside.display().to_string())?;
    let mut pictures = Vec::new();
    for picture in pictures::ALL {
        if picture.draw(&beside, results)? {
            pictures.push(picture);
        } else {
            // One of an earlier run would stand beside numbers that are not its own.
            let _ = fs::remove_file(beside.join(picture.file));
        }
    }
    let path = folder.join("benchmarks.md");
    fs::write(&path, text(results, told, &pictures)).with_context(|| path.display().to_string())
}

fn text(results: &Results, told: &Told, pictures: &[pictures::Picture]) -> String {
    let mut text = String::new();
    let seconds = told.length.as_secs();
    let _ = write!(
        text,
        "# Benchmarks\n\n\
         Written by `cargo xtask bench`; do not edit it by hand. Every number on this page was measured \
         in one run.\n\n\
         ## How to run it\n\n\
         | command | what it runs |\n|---|---|\n\
         | `cargo xtask bench --quick` | Rethread, the cases that say most, once each |\n\
         | `cargo xtask bench --full --peers` | everything, with the peers that can be had |\n\
         | `cargo xtask bench --full --peers --write docs` | the same, and writes this page |\n\
         | `cargo xtask bench --case fanout --peers` | the cases whose names begin so |\n\
         | `cargo xtask bench --micro` | the parts of the hot path, alone |\n\
         | `cargo xtask bench --instructions` | instructions of these, against those that were stored |\n\n\
         `--peers` unpacks nginx with nchan from Debian's archive into `target/peers` (as root it makes \
         nginx's folder `/var/lib/nginx`, which nginx asks for), and installs socket.io with npm. A peer that \
         cannot be had is left out, with a line that says why.\n\n"
    );
    let _ = write!(text, "## This run\n\n```text\n{}\n", told.machine);
    for (_, version) in &told.contenders {
        let _ = writeln!(text, "contender {version}");
    }
    for failure in &told.failures {
        let _ = writeln!(text, "failed    {failure}");
    }
    let _ = write!(
        text,
        "load      {}-byte events as published; repetitions: {}, of {seconds} s where time counts\n\
         took      {:.1} minutes\n```\n\n",
        crate::events::EVENT_BYTES,
        told.repeat,
        told.took.as_secs_f64() / 60.0
    );
    text.push_str(
        "## How it is measured\n\n\
         - Each server runs on a core of its own, the load generator on another, where there are two. \
         Each repetition has a new server with an empty folder; cases and contenders alternate. Shown is the \
         median, with the least and the most.\n\
         - Rethread is durable: an event is on disk (fsync) before it is acknowledged or delivered. The \
         peers keep nothing on disk: nchan and socket.io keep messages in memory for a time, the bare \
         broadcast over axum keeps nothing at all. So they do less than Rethread does.\n\
         - An event is 250 bytes of JSON as an agent publishes it. Peers carry it as it is: one message \
         for each event, socket.io as an object. Rethread's publishers send several at once where the case \
         says so, and Rethread delivers what was written together in one frame, each event with its own id and \
         number. The peers know nothing of events; where a case says that publishers pack, several are one \
         message to them.\n\
         - *Saturated*: each thread has 256 events under way, so that a server is never without work, and \
         never has a reader so far behind that a replay would be measured.\n\
         - Latency counts from when an event *should* have been sent. A server that holds the load \
         generator up does not hide its delay by that.\n\
         - Every event is checked when it comes: it must be the next of its thread by the publisher's own \
         count. One that is lost, repeated or out of order fails the run; the generator's own tests put \
         such faults into a server, one in 100,000 events, and see them found.\n\
         - CPU time and memory (resident) are the operating system's, of all processes of a server. What the \
         kernel needs for sockets is in neither.\n\
         - nchan, socket.io and the broadcast are configured as their documents advise: see \
         [bench/peers](../bench/peers).\n\n",
    );
    text.push_str("## Targets\n\n| wanted | measured | |\n|---|---:|---|\n");
    for target in targets::all(results) {
        let measured = target.measured.as_deref().unwrap_or("");
        let _ = writeln!(text, "| {} | {measured} | {} |", target.wanted, target.verdict());
    }
    if !pictures.is_empty() {
        text.push_str("\n## Pictures\n");
        for picture in pictures {
            let _ = write!(text, "\n![{}](benchmarks/{})\n", picture.title, picture.file);
        }
    }
    text.push_str("\n## Tables\n");
    for rows in &results.cases {
        let _ = write!(text, "\n### {}\n\n{}.\n\n", rows.case, capital(rows.about));
        text.push_str("| | | median | range | Rethread by it | |\n|---|---|---:|---|---:|---|\n");
        for line in table::lines(rows) {
            let title = if line.is_first { &*line.title } else { "" };
            let Spread { median, least, most, .. } = line.spread;
            let ratio = line.ratio.map_or_else(String::new, |ratio| format!("{}x", number(ratio)));
            let _ = writeln!(
                text,
                "| {title} | {} | {} | {} .. {} | {ratio} | {} |",
                line.contender.name(),
                number(median),
                number(least),
                number(most),
                line.unit
            );
        }
    }
    text
}

fn capital(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
