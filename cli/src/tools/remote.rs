//! The server that a command speaks to, and the token it speaks with.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use reqwest::{Method, StatusCode, Url};
use rethread_client::native::{self, Client, Closed, Config, Token, TokenWish};
use rethread_shared::{ErrorCode, WireError};
use serde::{Deserialize, de::DeserializeOwned};

use super::exit::Unreachable;

/// Where a server that runs on this machine is.
const HERE: &str = "http://127.0.0.1:4242";
/// How long a server may take to take a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long it may take to answer a request.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// Where the server is, and the token for it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub(crate) struct Remote {
    /// The server's address.
    #[arg(long, env = "RETHREAD_URL", default_value = HERE, global = false)]
    url: String,
    /// The token. On the command line it can be seen by others on this machine: RETHREAD_TOKEN or
    /// --token-file keep it to yourself. A server in development mode on this machine gives one to
    /// whoever has none.
    #[arg(long, env = "RETHREAD_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// A file that holds the token. It is read again when the token is refused, so another program
    /// may renew it. Comes before the token above.
    #[arg(long, env = "RETHREAD_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// HTTP to the server, with the token.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
    url: Url,
    token: Option<Source>,
}

/// Where the token comes from.
#[derive(Clone)]
enum Source {
    Given(String),
    File(PathBuf),
    Dev,
}

impl std::fmt::Debug for Source {
    /// Never the token itself.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Given(_) => "Given(…)",
            Self::File(_) => "File(…)",
            Self::Dev => "Dev",
        })
    }
}

#[derive(Deserialize)]
struct Problem {
    error: WireError,
}

#[derive(Deserialize)]
struct DevToken {
    token: String,
}

impl Remote {
    /// HTTP to the server.
    pub(crate) fn http(&self) -> anyhow::Result<Http> {
        let text = self.url.trim();
        let text = match text.split_once("://") {
            Some(("ws", rest)) => format!("http://{rest}"),
            Some(("wss", rest)) => format!("https://{rest}"),
            _ => text.to_owned(),
        };
        let url: Url = text
            .parse()
            .ok()
            .filter(|url: &Url| ["http", "https"].contains(&url.scheme()) && url.has_host())
            .with_context(|| {
                format!("--url: expected an address like {HERE}, received {:?}", self.url)
            })?;
        let token = if let Some(file) = &self.token_file {
            Some(Source::File(file.clone()))
        } else if let Some(token) = &self.token {
            Some(Source::Given(token.trim().to_owned()))
        } else {
            is_loopback(&url).then_some(Source::Dev)
        };
        // Only fails when one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("rethread/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(ANSWER_DEADLINE)
            .build()
            .context("HTTP cannot be spoken")?;
        Ok(Http { client, url, token })
    }

    /// A connection that mends itself, under this name. The first try must succeed.
    pub(crate) async fn connect(&self, name: &str) -> anyhow::Result<Client> {
        let http = self.http()?;
        // What cannot be reached now is said at once; what is lost later is tried for ever.
        http.alive().await?;
        let source = http.source()?.clone();
        let url = http.url.to_string();
        let token = match source {
            Source::Given(token) => Token::Fixed(token),
            // Read once here, so that what is wrong with it is said.
            source => {
                http.token_of(&source).await?;
                let http = http.clone();
                Token::provider(move |_: TokenWish| {
                    let (http, source) = (http.clone(), source.clone());
                    async move { Ok(http.token_of(&source).await.map_err(|e| format!("{e:#}"))?) }
                })
            }
        };
        let name = format!("{name}/{}", env!("CARGO_PKG_VERSION"));
        let config = Config::new(url, token).with_name(name);
        tokio::time::timeout(CONNECT_DEADLINE, Client::connect(config))
            .await
            .with_context(|| {
                format!(
                    "{} answers HTTP, but says no welcome on its WebSocket; \
                     does a proxy stand between that does not pass WebSockets on?",
                    http.url
                )
            })?
            .map_err(|error| match error {
                native::Error::Closed(Closed::Unauthorized(Some(error))) => {
                    denied(Arc::unwrap_or_clone(error))
                }
                error => error.into(),
            })
    }
}

impl Http {
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Asks whether a server is there at all.
    pub(crate) async fn alive(&self) -> anyhow::Result<()> {
        let sent = self.client.get(self.at("/healthz")?).send().await;
        sent.map(drop).map_err(|error| self.failed(&error))
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn get_with<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<T> {
        self.get(&self.with_query(path, query)?).await
    }

    /// A path with a query.
    pub(crate) fn with_query(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<String> {
        let mut url = self.at(path)?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(format!("{path}?{}", url.query().unwrap_or_default()))
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> anyhow::Result<T> {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> anyhow::Result<T> {
        let (status, text) = self.answer(method, path, body).await?;
        if !status.is_success() {
            return Err(self.refused(status, &text));
        }
        serde_json::from_str(&text).map_err(|error| self.strange(status, &text, &error.to_string()))
    }

    /// The status and body of an answer, whatever they are.
    pub(crate) async fn answer(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> anyhow::Result<(StatusCode, String)> {
        let token = self.token_of(self.source()?).await?;
        let mut request = self.client.request(method, self.at(path)?).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| self.failed(&error))?;
        Ok((status, text))
    }

    /// What is wrong with an answer that is no success.
    pub(crate) fn refused(&self, status: StatusCode, text: &str) -> anyhow::Error {
        let Ok(Problem { error }) = serde_json::from_str(text) else {
            return self.strange(status, text, "it is no error of Rethread's");
        };
        let advice = match error.code {
            ErrorCode::Unauthorized | ErrorCode::TokenExpired => return denied(error),
            ErrorCode::Forbidden if error.expected.as_deref() == Some("admin") => {
                "this is for operators; make a token with `rethread token --user NAME --scope admin` \
                 (a server in development mode keeps its secret in its data folder, in `dev-secret`)"
            }
            ErrorCode::Forbidden => {
                "the token does not allow this; make one that does with `rethread token`"
            }
            _ => "the server refused",
        };
        anyhow::Error::new(error).context(advice)
    }

    fn strange(&self, status: StatusCode, text: &str, why: &str) -> anyhow::Error {
        let start: String = text.chars().take(120).collect();
        let start = super::terminal::clean(&start).into_owned();
        anyhow::anyhow!(
            "{} does not answer like a Rethread server ({why}): expected JSON, \
             received {status} and {start:?}; is --url right?",
            self.url
        )
    }

    fn failed(&self, error: &reqwest::Error) -> anyhow::Error {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let cause =
            if error.is_timeout() { "it takes too long".to_owned() } else { cause.to_string() };
        let url = self.url.as_str().trim_end_matches('/').to_owned();
        Unreachable { url, cause }.into()
    }

    fn at(&self, path: &str) -> anyhow::Result<Url> {
        let base = self.url.as_str().trim_end_matches('/');
        format!("{base}{path}").parse().with_context(|| format!("{base}{path} is no address"))
    }

    fn source(&self) -> anyhow::Result<&Source> {
        self.token.as_ref().context(
            "no token: set RETHREAD_TOKEN, or give --token-file \
             (make one with `rethread token --user NAME`)",
        )
    }

    async fn token_of(&self, source: &Source) -> anyhow::Result<String> {
        match source {
            Source::Given(token) => Ok(token.clone()),
            Source::File(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("--token-file {}", file.display()))?;
                let token = text.trim();
                if token.is_empty() || token.contains(char::is_whitespace) {
                    bail!(
                        "--token-file {}: expected one token, which is one word, and nothing else",
                        file.display()
                    );
                }
                Ok(token.to_owned())
            }
            Source::Dev => {
                let sent = self.client.get(self.at("/v1/dev/token")?).send().await;
                let response = sent.map_err(|error| self.failed(&error))?;
                if response.status() == StatusCode::NOT_FOUND {
                    bail!(
                        "no token: {} is not in development mode, so it gives none; set \
                         RETHREAD_TOKEN, or give --token-file \
                         (make one with `rethread token --user NAME`)",
                        self.url
                    );
                }
                let status = response.status();
                let text = response.text().await.map_err(|error| self.failed(&error))?;
                if !status.is_success() {
                    return Err(self.refused(status, &text));
                }
                serde_json::from_str::<DevToken>(&text)
                    .map(|given| given.token)
                    .map_err(|error| self.strange(status, &text, &error.to_string()))
            }
        }
    }
}

fn denied(error: WireError) -> anyhow::Error {
    anyhow::Error::new(error)
        .context("the server refused the token; make another with `rethread token`")
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}
