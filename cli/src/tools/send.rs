//! `rethread send`: says something in a thread, and may wait for the answer.

use std::{io::Read, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use rethread_client::native::{Delivery, Sent, Start};
use rethread_shared::{Event, Payload, ThreadId};
use serde_json::json;

use super::{
    duration::duration,
    exit::Exit,
    remote::Remote,
    runtime, shown, tail,
    terminal::{Paint, Screen, clean, clean_lines},
};

/// What it can be called with.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread send thread_42 'What does Rethread do when the network drops?'
  rethread send thread_42 --agent docs --wait 'And when the server restarts?'
  git diff | rethread send thread_42 --wait -

The run that answers is printed. With --wait the answer's text is printed as it comes, and the exit
code is 1 when the run fails or is cancelled; Ctrl-C ends the waiting, not the run.")]
pub(crate) struct Send {
    /// The thread.
    thread: ThreadId,
    /// What is said; `-` reads it from standard input.
    text: String,
    /// The agent that is asked; without it any agent may answer.
    #[arg(long)]
    agent: Option<String>,
    /// Wait until the run ends, and print the answer's text.
    #[arg(long)]
    wait: bool,
    /// How long to wait: seconds, or a number with s, m, h or d.
    #[arg(long, requires = "wait", value_parser = duration)]
    timeout: Option<Duration>,
    /// The run as JSON; with --wait the run's events, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Says it.
pub(crate) fn run(args: &Send) -> anyhow::Result<Exit> {
    runtime::until_interrupted(async {
        match args.timeout {
            None => send(args).await,
            Some(time) => tokio::time::timeout(time, send(args)).await.unwrap_or_else(|_| {
                bail!("no end of the run came within {time:?}; it goes on without this command")
            }),
        }
    })
}

async fn send(args: &Send) -> anyhow::Result<Exit> {
    let text = if args.text == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("the message on standard input")?;
        text.trim_end_matches('\n').to_owned()
    } else {
        args.text.clone()
    };
    let client = args.remote.connect("rethread-send").await?;
    // Before the message is sent: nothing of the answer comes too early to be seen.
    let mut events = match args.wait {
        true => Some(client.subscribe(&args.thread, Start::Now).await?),
        false => None,
    };
    let sent = client.send(&args.thread, text, args.agent.as_deref()).await?;
    let mut screen = Screen::new();
    let Some(events) = &mut events else {
        screen.line(&receipt(args, &sent))?;
        screen.flush()?;
        client.close().await;
        return Ok(Exit::Done);
    };
    if !args.json {
        eprintln!("run {}", sent.run);
    }
    let mut status = client.watch_status();
    let (mut is_lost, mut is_midline) = (false, false);
    loop {
        let delivery = tokio::select! {
            biased;
            delivery = events.next() => delivery,
            Ok(()) = status.changed() => {
                let now = status.borrow_and_update().clone();
                tail::say(&now, &mut is_lost);
                continue;
            }
        };
        let Some(delivery) = delivery else { return Err(tail::ended(&client, events)) };
        let Delivery::Events(batch) = delivery else {
            bail!("the thread begins anew (it was restored or swept); the run cannot be followed")
        };
        for event in batch.events.iter().filter(|event| event.run == sent.run) {
            if args.json {
                screen.line(&serde_json::to_string(event)?)?;
                screen.flush()?;
            } else {
                answer(&mut screen, event, &mut is_midline)?;
            }
            if event.kind.is_end() {
                if is_midline {
                    screen.text("\n")?;
                }
                client.close().await;
                return end(event);
            }
        }
    }
}

fn receipt(args: &Send, sent: &Sent) -> String {
    if args.json {
        json!({ "run": sent.run, "seq": sent.seq, "message_id": sent.message_id }).to_string()
    } else {
        sent.run.to_string()
    }
}

/// The answer's text on standard output, what is done for it on standard error.
fn answer(screen: &mut Screen, event: &Event, is_midline: &mut bool) -> anyhow::Result<()> {
    match event.payload() {
        Ok(Payload::MessageDelta(delta)) => {
            screen.text(&clean_lines(&delta.text))?;
            if !delta.text.is_empty() {
                *is_midline = !delta.text.ends_with('\n');
            }
        }
        Ok(Payload::ToolExecuting(_) | Payload::ToolCompleted(_)) => {
            if std::mem::take(is_midline) {
                screen.text("\n")?;
            }
            eprintln!("{}", shown::line(event, Paint::of_stderr()));
        }
        _ => {}
    }
    Ok(())
}

fn end(event: &Event) -> anyhow::Result<Exit> {
    match event.payload()? {
        Payload::AgentFailed(failed) => {
            bail!("the run failed: {}: {}", clean(&failed.code), clean(&failed.message))
        }
        Payload::AgentCancelled(cancelled) => {
            bail!("the run was cancelled by {}", clean(&cancelled.by))
        }
        _ => Ok(Exit::Done),
    }
}
