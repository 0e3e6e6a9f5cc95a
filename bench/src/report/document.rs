//! `docs/benchmarks.md`: what is true of any run, and the tables of this one.

use std::{fmt::Write, fs, path::Path, time::Duration};

use anyhow::{Context, Result};

use super::{Results, Spread, number, table, targets};
use crate::{
    contender::Contender,
    machine::Machine,
    plan::{Failure, Measured},
};

/// Between these lines stands what people have written; it stays when the rest is written anew.
const BY_HAND: [&str; 2] = ["<!-- written by hand: from here -->", "<!-- to here -->"];
/// What stands there as long as nobody has.
const UNWRITTEN: &str = "\nNothing has been written here.\n\n";

/// What a run was, beside its results.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    /// Where it ran.
    pub(crate) machine: &'a Machine,
    /// Who took part, with their versions.
    pub(crate) contenders: &'a [(Contender, String)],
    /// How long a repetition measured.
    pub(crate) length: Duration,
    /// How long all of it took.
    pub(crate) took: Duration,
    /// False for a run that goes on, or was interrupted.
    pub(crate) is_whole: bool,
}

/// Writes the document and its pictures.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn write(folder: &Path, measured: &Measured, told: &Told<'_>) -> Result<()> {
    let beside = folder.join("benchmarks");
    fs::create_dir_all(&beside).with_context(|| beside.display().to_string())?;
    let pictures = draw(&beside, &measured.results)?;
    let path = folder.join("benchmarks.md");
    let before = fs::read_to_string(&path).unwrap_or_default();
    let text = text(measured, told, &pictures, by_hand(&before));
    fs::write(&path, text).with_context(|| path.display().to_string())
}

/// A picture that was drawn: its title, and its file.
type Drawn = (&'static str, &'static str);

/// Draws what was measured.
#[cfg(feature = "pictures")]
fn draw(folder: &Path, results: &Results) -> Result<Vec<Drawn>> {
    let mut drawn = Vec::new();
    for picture in super::pictures::ALL {
        if picture.draw(folder, results)? {
            drawn.push((picture.title, picture.file));
        } else {
            // One of an earlier run would stand beside numbers that are not its own.
            let _ = fs::remove_file(folder.join(picture.file));
        }
    }
    Ok(drawn)
}

/// A build without pictures draws none.
#[cfg(not(feature = "pictures"))]
#[expect(clippy::unnecessary_wraps, reason = "as the one that draws")]
fn draw(_: &Path, _: &Results) -> Result<Vec<Drawn>> {
    Ok(Vec::new())
}

/// What people have written in a document.
fn by_hand(document: &str) -> &str {
    let between = document.split_once(BY_HAND[0]).and_then(|(_, rest)| rest.split_once(BY_HAND[1]));
    between.map_or(UNWRITTEN, |(text, _)| text)
}

fn text(measured: &Measured, told: &Told<'_>, pictures: &[Drawn], by_hand: &str) -> String {
    let results = &measured.results;
    let mut text = String::from(INTRODUCTION);
    let _ = write!(text, "## This run\n\n```text\n{}\n", told.machine);
    for (_, version) in told.contenders {
        let _ = writeln!(text, "contender {version}");
    }
    let _ = write!(
        text,
        "load      {}-byte events as published; repetitions of {} s where time counts\n\
         took      {:.1} minutes{}\n```\n\n",
        crate::events::EVENT_BYTES,
        told.length.as_secs(),
        told.took.as_secs_f64() / 60.0,
        if told.is_whole { "" } else { ", NOT TO ITS END: what was measured until then" }
    );
    let one_line = |said: String| said.replace('\n', " ");
    let failures = measured.failures.iter().map(|failure| one_line(failure.to_string()));
    let hiccups = measured.hiccups.iter();
    let hiccups = hiccups.map(|failure| format!("Tried again: {}", one_line(failure.to_string())));
    let untimely = measured.untimely.iter().map(|case| format!("There was no time for {case}"));
    let limits = measured.limits.iter().map(|limit| {
        format!("End of {} for {}: {}", limit.case, limit.contender, one_line(limit.why.clone()))
    });
    let notes: Vec<_> = failures.chain(limits).chain(hiccups).chain(untimely).collect();
    if !notes.is_empty() {
        let _ = write!(text, "- {}\n\n", notes.join("\n- "));
    }
    text.push_str("## Targets\n\n| target | measured | met or missed |\n|---|---:|---|\n");
    for target in targets::all(results) {
        let measured = target.measured.as_deref().unwrap_or("");
        let _ = writeln!(text, "| {} | {measured} | {} |", target.wanted, target.verdict());
    }
    let [from, to] = BY_HAND;
    let _ = write!(text, "\n## Why\n\n{from}{by_hand}{to}\n");
    if !pictures.is_empty() {
        text.push_str("\n## Pictures\n");
        for (title, file) in pictures {
            let _ = write!(text, "\n![{title}](benchmarks/{file})\n");
        }
    }
    text.push('\n');
    text.push_str(METHOD);
    text.push_str(
        "\n## What an event costs\n\n\
         CPU time of the server, microseconds: medians. A busy machine changes these least.\n\n\
         | case | of | | microseconds | range | Rethread by it |\n|---|---|---|---:|---|---:|\n",
    );
    for (case, line) in table::of_cpu(results) {
        let _ = writeln!(
            text,
            "| {case} | {} | {} | {} |",
            line.title,
            line.contender.name(),
            values(&line)
        );
    }
    text.push_str("\n## Tables\n");
    for rows in &results.cases {
        let _ = write!(text, "\n### {}\n\n{}.\n\n", rows.case, capital(rows.about));
        text.push_str(
            "| | | median | range | Rethread by it | | repetitions |\n|---|---|---:|---|---:|---|---:|\n",
        );
        for line in table::lines(rows) {
            let title = if line.is_first { &*line.title } else { "" };
            let _ = writeln!(
                text,
                "| {title} | {} | {} | {} | {} |",
                line.contender.name(),
                values(&line),
                line.unit,
                line.spread.count
            );
        }
        let of_case = |failure: &&Failure| failure.case == rows.case;
        for (what, all) in [("end", &measured.limits), ("failed", &measured.failures)] {
            for Failure { contender, why, .. } in all.iter().filter(of_case) {
                let why = why.replace('\n', " ").replace('|', "/");
                let _ = writeln!(text, "| {what}: {why} | {} | | | | | |", contender.name());
            }
        }
    }
    text
}

/// Three cells: the median, the range, the ratio.
fn values(line: &table::Line) -> String {
    let Spread { median, least, most, .. } = line.spread;
    let ratio = line.ratio.map_or_else(String::new, |ratio| format!("{}x", number(ratio)));
    format!("{} | {} .. {} | {ratio}", number(median), number(least), number(most))
}

const INTRODUCTION: &str = "# Benchmarks\n\n\
    Written by `cargo xtask bench`. Every number on this page was measured in one run; only the section \
    \"Why\" is written by hand, and stays when the page is written anew.\n\n\
    ## How to run it\n\n\
    | command | what it runs |\n|---|---|\n\
    | `cargo xtask bench --quick` | Rethread, the cases that say most: under three minutes with the build |\n\
    | `cargo xtask bench --full --peers` | everything, with the peers that can be had: under thirty |\n\
    | `cargo xtask bench --full --peers --write docs` | the same, and writes this page |\n\
    | `cargo xtask bench --case fanout --peers` | the cases whose names begin so |\n\
    | `cargo xtask bench --browser` | the package in Chromium, beside a client written by hand |\n\
    | `cargo xtask bench --micro` | the parts of the hot path, alone |\n\
    | `cargo xtask bench --instructions` | instructions of these, against those that were stored |\n\n\
    What the cases are, what they need and what becomes of one that fails: \
    [bench/README.md](../bench/README.md).\n\n";

const METHOD: &str = "## How it is measured\n\n\
    - Each server runs on a core of its own, the load generator on another, where there are two. Each \
    repetition has a new server with an empty folder; cases and contenders alternate. Shown is the \
    median, with the least and the most.\n\
    - Rethread is durable: an event is on disk (fsync) before it is acknowledged or delivered. The peers \
    keep nothing on disk: nchan and socket.io keep messages in memory for a time, the bare broadcast over \
    axum keeps nothing at all. So they do less than Rethread does. How much a server had the disk write for \
    each event is measured, not believed.\n\
    - An event is 250 bytes of JSON as an agent publishes it. Peers carry it as it is: one message for \
    each event, socket.io as an object. Rethread's publishers send several at once where the case says \
    so, and Rethread delivers what was written together in one frame, each event with its own id and \
    number. This is where most of its lead under load comes from, and it is a part of what it does: the peers know \
    nothing of events, and send a frame for each message. What is left of the lead when an application packs events \
    into messages itself is in the case that ends in `-packed`.\n\
    - *Saturated*: each thread has 256 events under way, so that a server is never without work, and \
    never has a reader so far behind that a replay would be measured.\n\
    - *Chats*: each delta is a publish of its own, sent when it is due, the threads in turn. Only where a \
    connection has as many publishes without an answer as the protocol allows, what becomes due goes together, \
    as the client for agents does it; the table has how many went together. Agents share 64 connections to \
    Rethread and to socket.io, as they do in worker processes that run many of them; nchan's and axum's \
    publishers are bound to a channel and have one each.\n\
    - Latency counts from when an event *should* have been sent. A server that holds the load generator \
    up does not hide its delay by that. At a fixed rate the generator looks without a \
    pause, where it has a core of its own; the time in which it found nothing to do is not counted as busy.\n\
    - *Storm*: those who come back are dialled, greeted and read on a thread of their own, which gives way to \
    the one that publishes and reads for those who stayed; that one waits for what comes, calm or not, and \
    how late it was itself is in the table.\n\
    - Every event is checked when it comes: it must be the next of its thread by the publisher's own \
    count. One that is lost, repeated or out of order fails the case; the generator's own tests put such \
    faults into a server, one in 100,000 events, and see them found.\n\
    - \"One fsync\" is a write of 4 KiB and its fdatasync on the disk of the server's folder, measured \
    before and after each repetition of the case that it is compared in, at the same quantile.\n\
    - CPU time and memory (resident) are the operating system's, of all processes of a server. What the \
    kernel needs for sockets is in neither.\n\
    - nchan, socket.io and the broadcast are configured as their documents advise: \
    [nginx.conf](../bench/peers/nchan/nginx.conf), [server.js](../bench/peers/socketio/server.js), \
    [main.rs](../bench/peers/axum/main.rs).\n";

fn capital(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cases::ALL, machine::Cores, report::Measure};

    #[test]
    fn a_page_tells_what_failed_and_keeps_what_was_written_by_hand() {
        let folder = tempfile::tempdir().unwrap();
        let mut measured = Measured::default();
        for case in ALL {
            measured.results.name((case.name, case.about));
        }
        let cost = Measure::new("server CPU per delivery", "us", 0.5);
        measured.results.add(("storm", "about"), Contender::Rethread, vec![cost]);
        let why = "4,000 were\nnot back".to_owned();
        measured.failures.push(Failure { case: "storm", contender: Contender::SocketIo, why });
        let machine = Machine::look(Cores::Shared, folder.path(), "debug".into());
        let length = Duration::from_secs(3);
        let told =
            Told { machine: &machine, contenders: &[], length, took: length, is_whole: true };
        let page = || fs::read_to_string(folder.path().join("benchmarks.md")).unwrap();

        write(folder.path(), &measured, &told).unwrap();
        assert!(page().contains(UNWRITTEN));
        let reason = format!("{}\nBecause of the disk.\n", BY_HAND[0]);
        let with_reason = page().replace(&format!("{}{UNWRITTEN}", BY_HAND[0]), &reason);
        fs::write(folder.path().join("benchmarks.md"), with_reason).unwrap();
        write(folder.path(), &measured, &Told { is_whole: false, ..told }).unwrap();
        let page = page();
        assert_eq!(page.matches("Because of the disk.").count(), 1);
        for expected in [
            "NOT TO ITS END",
            "| storm | server CPU per delivery | Rethread | 0.500 |",
            "| failed: 4,000 were not back | socket.io |",
            "debug, which is no release build",
        ] {
            assert!(page.contains(expected), "{expected} is missing");
        }
        for case in ALL {
            assert!(page.contains(&format!("\n### {}\n", case.name)), "{} is missing", case.name);
        }
    }
}
