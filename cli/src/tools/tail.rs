//! `rethread tail`: follows a thread in the terminal.

use std::str::FromStr;

use anyhow::{Context, anyhow};
use clap::Args;
use rethread_client::native::{Client, Delivery, Lost, Start, Status, Subscription};
use rethread_shared::{Epoch, Position, ThreadId};
use serde::Deserialize;
use serde_json::json;

use super::{
    exit::Exit,
    remote::Remote,
    runtime, shown,
    terminal::{Paint, Screen, Tone},
};

/// Events of the thread's end that are shown before what is new.
const LAST: u64 = 10;

/// What it can be called with.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread tail thread_42
  rethread tail thread_42 --after start --no-follow --json | jq .type
  rethread tail thread_42 --after 0a1b2c3d:1200    # goes on from a position

Ctrl-C ends it. Lost connections are mended, and told of on standard error.")]
pub(crate) struct Tail {
    /// The thread.
    thread: ThreadId,
    /// Begin behind this place: `EPOCH:SEQ`, `SEQ`, `start` or `now`. Without it the thread's last
    /// 10 events are shown first.
    #[arg(long, value_name = "POSITION")]
    after: Option<After>,
    /// Show what is there, and end.
    #[arg(long)]
    no_follow: bool,
    /// Events as JSON, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// A place in the log, as people write it.
#[derive(Clone, Debug)]
enum After {
    Start,
    Now,
    Seq(u64),
    Position(Position),
}

impl FromStr for After {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "start" => Ok(Self::Start),
            "now" => Ok(Self::Now),
            _ => match text.parse() {
                Ok(seq) => Ok(Self::Seq(seq)),
                Err(_) => text.parse().map(Self::Position).map_err(|_| {
                    "expected a seq such as 42, a position such as 0a1b2c3d:42, start or now".into()
                }),
            },
        }
    }
}

/// What a page says of its thread.
#[derive(Deserialize)]
struct Page {
    epoch: Epoch,
    head: u64,
}

/// Shows the thread's events until Ctrl-C.
pub(crate) fn run(args: &Tail) -> anyhow::Result<Exit> {
    runtime::block_on(async {
        tokio::select! {
            done = follow(args) => done,
            // There is no other end to following, so it is a good one.
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted.map(|()| Exit::Done)?),
        }
    })
}

async fn follow(args: &Tail) -> anyhow::Result<Exit> {
    let start = start(args).await?;
    let client = args.remote.connect("rethread-tail").await?;
    let mut events = client.subscribe(&args.thread, start).await?;
    let goal = args.no_follow.then(|| events.head());
    let mut screen = Screen::new();
    let mut status = client.watch_status();
    let mut is_lost = false;
    loop {
        if goal.is_some_and(|goal| events.position().seq >= goal) {
            return Ok(Exit::Done);
        }
        tokio::select! {
            biased;
            delivery = events.next() => match delivery {
                Some(delivery) => show(&mut screen, args, &delivery)?,
                None => return Err(ended(&client, &events)),
            },
            Ok(()) = status.changed() => {
                let now = status.borrow_and_update().clone();
                say(&now, &mut is_lost);
            }
        }
    }
}

async fn start(args: &Tail) -> anyhow::Result<Start> {
    let page = || async {
        let path = format!("/v1/threads/{}/events?after=now&limit=1", args.thread);
        args.remote.http()?.get::<Page>(&path).await
    };
    let after = |epoch, seq| Start::After(Position { epoch, seq });
    Ok(match &args.after {
        Some(After::Start) => Start::Beginning,
        Some(After::Now) => Start::Now,
        Some(After::Position(position)) => Start::After(*position),
        Some(After::Seq(seq)) => after(page().await?.epoch, *seq),
        None => {
            let page = page().await?;
            after(page.epoch, page.head.saturating_sub(LAST))
        }
    })
}

fn show(screen: &mut Screen, args: &Tail, delivery: &Delivery) -> anyhow::Result<()> {
    match delivery {
        Delivery::Events(batch) => {
            for event in &batch.events {
                let line = if args.json {
                    serde_json::to_string(event).context("an event is JSON")?
                } else {
                    shown::line(event, screen.paint())
                };
                screen.line(&line)?;
            }
        }
        Delivery::Reset { epoch, reason } => {
            let line = if args.json {
                json!({ "op": "reset", "thread": args.thread, "epoch": epoch, "reason": reason })
                    .to_string()
            } else {
                let reason = serde_json::to_value(reason)?;
                let reason = reason.as_str().unwrap_or_default();
                let text = format!(
                    "-- the thread begins anew ({reason}): epoch {epoch}, what was shown is void"
                );
                screen.paint().tone(Tone::Bad, &text).into_owned()
            };
            screen.line(&line)?;
        }
    }
    Ok(screen.flush()?)
}

/// Tells of a connection that is lost, and of one that is back, once each.
pub(crate) fn say(status: &Status, is_lost: &mut bool) {
    let (text, tone) = match status {
        Status::Waiting { why, .. } if !*is_lost => {
            *is_lost = true;
            (format!("connection lost: {}; trying again", reason(*why)), Tone::Bad)
        }
        Status::Online if *is_lost => {
            *is_lost = false;
            ("connected again".to_owned(), Tone::Good)
        }
        _ => return,
    };
    eprintln!("{}", Paint::of_stderr().tone(tone, &format!("-- {text}")));
}

fn reason(why: Lost) -> String {
    match why {
        Lost::Failed => "it broke".into(),
        Lost::TimedOut => "the server took too long".into(),
        Lost::Silent => "nothing was heard of the server".into(),
        Lost::Closed(code) => format!("the server closed it with {code}"),
        Lost::Goodbye => "the server stops or restarts".into(),
        Lost::TokenRefused => "the server wants a new token".into(),
        Lost::Unreadable => "what came could not be read".into(),
        Lost::Left => "it was left".into(),
    }
}

/// Why a subscription has ended that nobody ended here.
pub(crate) fn ended(client: &Client, events: &Subscription) -> anyhow::Error {
    match (events.error(), client.status()) {
        (Some(error), _) => error.clone().into(),
        (None, status) => anyhow!("the subscription has ended; the connection is {status:?}"),
    }
}
