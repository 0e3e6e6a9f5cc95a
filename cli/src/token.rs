//! `rethread token`: makes a token.

use std::time::Duration;

use clap::Args;
use rethread_server::auth::{Grant, KeySources, Keys, Scope};

use crate::{duration::duration, secret::checked};

/// The flags of `rethread token`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  rethread token --user ada
  rethread token --user billing --scope publish,serve --all-threads --ttl 30d
  rethread token --user olga --scope admin,subscribe --all-threads --ttl 1h > olga.token

Scopes: subscribe reads threads; send talks to agents; publish publishes events; serve takes work;
admin operates the server.")]
pub(crate) struct Token {
    /// The secret that the server was given, at least 32 bytes.
    #[arg(long, env = "RETHREAD_SECRET", hide_env_values = true)]
    secret: String,
    /// The user that the token names.
    #[arg(long)]
    user: String,
    /// What it may do.
    #[arg(long, value_delimiter = ',', default_value = "subscribe,send",
          value_parser = Scope::ALL.map(|(word, _)| word))]
    scope: Vec<String>,
    /// A thread it may use beside the user's own, or the beginning of threads' ids with a `*` behind it
    /// (`thread_team7_*`). May be given more than once.
    #[arg(long, value_parser = thread)]
    thread: Vec<String>,
    /// It may use every thread.
    #[arg(long, conflicts_with = "thread")]
    all_threads: bool,
    /// How long it is good for: seconds, or a number with s, m, h or d.
    #[arg(long, default_value = "24h", value_parser = duration)]
    ttl: Duration,
    /// Whom it is for (`aud`), where the server asks for that.
    #[arg(long)]
    audience: Option<String>,
    /// Who made it (`iss`), where the server asks for that.
    #[arg(long)]
    issuer: Option<String>,
}

/// A thread as a token names it.
fn thread(text: &str) -> Result<String, String> {
    Grant::local("", "", &[text]).map_err(|error| error.message)?;
    Ok(text.to_owned())
}

/// Prints the token.
pub(crate) fn run(args: Token) -> anyhow::Result<()> {
    println!("{}", token(args)?);
    Ok(())
}

fn token(args: Token) -> anyhow::Result<String> {
    let threads = if args.all_threads { vec!["*".to_owned()] } else { args.thread };
    let keys = Keys::open(&KeySources {
        secrets: vec![checked(args.secret)?],
        audience: args.audience.into_iter().collect(),
        issuer: args.issuer.into_iter().collect(),
        ..KeySources::default()
    })?;
    let token = keys.mint(&args.user, &args.scope.join(" "), threads, args.ttl);
    Ok(token.expect("there is a secret to sign with"))
}
