//! An agent that answers questions about a folder of text files, over the native client.

mod answer;
mod ask;
mod docs;
mod history;
mod limits;
mod passage;
mod run;
mod serve;
mod terms;
mod token;
mod tools;
mod voice;

use std::{io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Parser;

use crate::{
    answer::{Answerer, Model, Offline, Online},
    docs::Docs,
    run::Agent,
    tools::Tools,
};

const MODEL_DEFAULT: &str = "gpt-4.1-mini";
const MODEL_URL_DEFAULT: &str = "https://api.openai.com/v1";

/// Answers questions about a folder of text files, as an agent of a Rethread server.
///
/// It searches the files, reads them and calculates; everything it thinks and does appears in the
/// chat as it happens. The folder is indexed once, at the start.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Environment:
  RETHREAD_TOKEN    the same as --token
  OPENAI_API_KEY    lets a language model answer, with the same tools; without it (and without
                    OPENAI_BASE_URL) the answers are sentences quoted from the files
  OPENAI_BASE_URL   another server that speaks the chat-completions API, up to and with /v1
  OPENAI_MODEL      the model's name; default gpt-4.1-mini
  RUST_LOG          what is logged to stderr, for example docs_agent=debug

Examples:
  rethread serve --dev --data ./data &
  docs-agent --dev --docs ./docs
  docs-agent --docs ./docs --ask 'How are duplicate events detected?'"
)]
struct Args {
    /// The server's address: ws, wss, http or https
    #[arg(long, default_value = "ws://127.0.0.1:4242")]
    url: String,
    /// A token that may `serve`, `publish` and `subscribe` (mint one: rethread token --help).
    /// Without one the server is asked for it, which works when the server runs with --dev
    #[arg(long, env = "RETHREAD_TOKEN", hide_env = true)]
    token: Option<String>,
    /// Ask the server for a token even where one is given
    #[arg(long)]
    dev: bool,
    /// The folder of text files
    #[arg(long, value_name = "DIR", default_value = ".")]
    docs: PathBuf,
    /// The name to serve under. Work that asks for no agent by name comes as well
    #[arg(long, value_name = "NAME", default_value = "docs")]
    agent: String,
    /// Milliseconds between pieces of quoted text, so that it can be read along; 0 for none
    #[arg(long, value_name = "MS", default_value_t = 25)]
    pace_ms: u64,
    /// Quote from the files even where a language model is set up
    #[arg(long)]
    offline: bool,
    /// Answer one question on the terminal, without a server
    #[arg(long, value_name = "QUESTION")]
    ask: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "docs_agent=info,warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("docs-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let docs = Docs::open(&args.docs)?;
    if docs.left_out > 0 {
        tracing::warn!(files = docs.left_out, "left out of the index: too large, or too many");
    }
    let tools = Tools::new(docs);
    let answerer = match model()? {
        Some(model) if !args.offline => Answerer::Online(Box::new(Online::new(model, tools))),
        _ => Answerer::Offline(Offline::new(tools)),
    };
    tracing::info!(folder = %args.docs.display(), "{}", answerer.about());
    let pace = Duration::from_millis(args.pace_ms);
    if let Some(question) = &args.ask {
        return ask::on_terminal(&answerer, question, pace).await;
    }
    let given = args.token.filter(|token| !args.dev && !token.is_empty());
    let token = token::source(given, &args.url).await?;
    let client = serve::connect(&args.url, token).await?;
    tracing::info!(url = args.url, agent = args.agent, "ready for questions");
    let agent = Agent::new(client.clone(), args.agent.clone(), answerer, pace);
    serve::serve(&client, &args.agent, Arc::new(agent)).await
}

/// The model that the environment names, if it names one.
fn model() -> anyhow::Result<Option<Model>> {
    let read = |name: &str| {
        std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|v| !v.is_empty())
    };
    let (key, base_url) = (read("OPENAI_API_KEY"), read("OPENAI_BASE_URL"));
    if key.is_none() && base_url.is_none() {
        return Ok(None);
    }
    let key = key.unwrap_or_default();
    anyhow::ensure!(
        key.bytes().all(|byte| byte.is_ascii_graphic()),
        "OPENAI_API_KEY has characters that no key has; copy it again"
    );
    let base_url = base_url.unwrap_or_else(|| MODEL_URL_DEFAULT.into());
    let url = reqwest::Url::parse(&base_url)
        .with_context(|| format!("OPENAI_BASE_URL is {base_url:?}, which is no address"))?;
    anyhow::ensure!(
        matches!(url.scheme(), "http" | "https"),
        "OPENAI_BASE_URL is {base_url:?}; it must begin with http:// or https://"
    );
    let name = read("OPENAI_MODEL").unwrap_or_else(|| MODEL_DEFAULT.into());
    Ok(Some(Model { name, base_url, key }))
}
