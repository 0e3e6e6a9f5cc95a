//! `rethread revoke`: cuts off a user, a token, or everybody from a thread.

use clap::Args;
use reqwest::Method;
use rethread_shared::ThreadId;
use serde_json::{Map, Value, json};

use super::{
    exit::Exit,
    remote::{Http, Remote},
    runtime,
    terminal::{Screen, Table, clean, counted, time},
};

const REVOKE: &str = "/v1/admin/revoke";
const REVOCATIONS: &str = "/v1/admin/revocations";

/// What it can be called with.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread revoke --user mallory --reason 'lost her laptop'
  rethread revoke --token-id 0192f0c4
  rethread revoke --list
  rethread revoke --user mallory --undo

Every token that was made until now is concerned; one that is made later counts. Open sockets and
streams are cut at once, and the command returns when they are.
The token that asks needs the scope `admin`.")]
pub(crate) struct Revoke {
    #[command(flatten)]
    subject: Subject,
    /// Why, for whoever reads the list.
    #[arg(long, requires = "subject", conflicts_with_all = ["undo", "list"])]
    reason: Option<String>,
    /// Undo it: what it concerned counts again.
    #[arg(long, requires = "subject")]
    undo: bool,
    /// Answers as JSON; of a list, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
#[group(id = "ask", required = true, multiple = false)]
struct Subject {
    /// Every token of this user.
    #[arg(long, group = "subject")]
    user: Option<String>,
    /// The token of this name (its `jti`).
    #[arg(long, value_name = "JTI", group = "subject")]
    token_id: Option<String>,
    /// Every token's access to this thread, its owner's too.
    #[arg(long, group = "subject")]
    thread: Option<ThreadId>,
    /// List what is in force.
    #[arg(long)]
    list: bool,
}

impl Subject {
    fn named(&self) -> Vec<(&'static str, String)> {
        let thread = self.thread.as_ref().map(ToString::to_string);
        [("user", self.user.clone()), ("token", self.token_id.clone()), ("thread", thread)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// Revokes, undoes or lists.
pub(crate) fn run(args: &Revoke) -> anyhow::Result<Exit> {
    runtime::until_interrupted(async {
        let http = args.remote.http()?;
        let mut screen = Screen::new();
        let done = if args.subject.list {
            list(args, &http, &mut screen).await
        } else if args.undo {
            undo(args, &http, &mut screen).await
        } else {
            revoke(args, &http, &mut screen).await
        };
        screen.flush()?;
        done
    })
}

async fn revoke(args: &Revoke, http: &Http, screen: &mut Screen) -> anyhow::Result<Exit> {
    let mut ask: Map<String, Value> =
        args.subject.named().into_iter().map(|(name, value)| (name.into(), json!(value))).collect();
    ask.extend(args.reason.iter().map(|reason| ("reason".into(), json!(reason))));
    let answer: Value = http.post(REVOKE, &json!(ask)).await?;
    let is_complete = answer["complete"] == true;
    if args.json {
        screen.line(&answer.to_string())?;
    } else {
        let looked = counted(answer["connections"].as_u64().unwrap_or_default(), "connection");
        screen.line(&format!("revoked until {}; {looked} looked at", day(&answer["until"])))?;
        if !is_complete {
            screen.line("not all of them have answered yet; they are cut when they do")?;
        }
    }
    Ok(if is_complete { Exit::Done } else { Exit::Bad })
}

async fn undo(args: &Revoke, http: &Http, screen: &mut Screen) -> anyhow::Result<Exit> {
    let path = http.with_query(REVOCATIONS, &args.subject.named())?;
    let (status, text) = http.answer(Method::DELETE, &path, None).await?;
    if !status.is_success() {
        return Err(http.refused(status, &text));
    }
    screen.line(if args.json { text.trim_end() } else { "undone" })?;
    Ok(Exit::Done)
}

async fn list(args: &Revoke, http: &Http, screen: &mut Screen) -> anyhow::Result<Exit> {
    let answer: Value = http.get(REVOCATIONS).await?;
    let all = answer["revocations"].as_array().cloned().unwrap_or_default();
    let mut table = Table::new(&["what", "whose", "since", "until", "by", "reason"]);
    for one in all {
        if args.json {
            screen.line(&one.to_string())?;
            continue;
        }
        let text = |name: &str| one[name].as_str().map(|text| clean(text).into_owned());
        let subject =
            ["user", "token", "thread"].into_iter().find_map(|what| Some((what, text(what)?)));
        let (what, whose) = subject.unwrap_or_default();
        table.row([
            what.to_owned(),
            whose,
            day(&one["at"]),
            day(&one["until"]),
            text("by").unwrap_or_default(),
            text("reason").unwrap_or_default(),
        ]);
    }
    if !args.json {
        table.print(screen)?;
    }
    Ok(Exit::Done)
}

/// Of seconds since 1970.
fn day(seconds: &Value) -> String {
    time(seconds.as_u64().unwrap_or_default().saturating_mul(1_000))
}
