//! `rethread token`: makes a token.

use std::time::Duration;

use clap::Args;
use rethread_server::auth::{Keys, Scope};

use crate::{duration::duration, secret::checked};

/// The flags of `rethread token`.
#[derive(Args)]
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
    /// A thread it may use beside the user's own. May be given more than once.
    #[arg(long)]
    thread: Vec<rethread_shared::ThreadId>,
    /// It may use every thread.
    #[arg(long, conflicts_with = "thread")]
    all_threads: bool,
    /// How long it is good for: seconds, or a number with s, m, h or d.
    #[arg(long, default_value = "24h", value_parser = duration)]
    ttl: Duration,
}

/// Prints the token.
pub(crate) fn run(args: Token) -> anyhow::Result<()> {
    println!("{}", token(args)?);
    Ok(())
}

fn token(args: Token) -> anyhow::Result<String> {
    let threads = if args.all_threads {
        vec!["*".to_owned()]
    } else {
        args.thread.iter().map(ToString::to_string).collect()
    };
    let keys = Keys::from_secret(&checked(args.secret)?);
    Ok(keys.mint(&args.user, &args.scope.join(" "), threads, args.ttl))
}
