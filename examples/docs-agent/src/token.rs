//! Where this agent's token comes from: given, or from a development server.

use std::time::Duration;

use anyhow::{Context, bail};
use rethread_client::native::Token;
use serde::Deserialize;

use crate::limits::{DEV_TOKEN_DEADLINE, DEV_TOKEN_WAITS};

/// The token that was given; else tokens that the server gives out when it runs with `--dev`.
/// Waits for a server that is not up yet, and says so.
///
/// # Errors
/// When the server is there and gives out no tokens.
pub(crate) async fn source(given: Option<String>, url: &str) -> anyhow::Result<Token> {
    if let Some(token) = given {
        return Ok(token.into());
    }
    let address = dev_address(url)?;
    let http = reqwest::Client::builder().timeout(DEV_TOKEN_DEADLINE).build()?;
    let [mut wait, wait_max] = DEV_TOKEN_WAITS;
    let mut said = false;
    while let Err(error) = fetch(&http, address.clone()).await {
        let Refusal::NotThere(error) = error else {
            bail!("{error}");
        };
        if !said {
            tracing::warn!(
                %error,
                "no server answers at {url}; start one with `rethread serve --dev --data ./data`, \
                 or name its address with --url. Trying until it is there"
            );
            said = true;
        }
        tokio::time::sleep(wait).await;
        wait = wait_max.min(wait * 2);
    }
    Ok(Token::provider(move |_| {
        let (http, address) = (http.clone(), address.clone());
        async move { fetch(&http, address).await.map_err(Into::into) }
    }))
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    NotThere(String),
    #[error(
        "the server at {0} gives out no tokens ({1}): give one with --token or RETHREAD_TOKEN \
         (`rethread token --user docs --scope serve,publish,subscribe --all-threads` mints one), \
         or start the server with --dev"
    )]
    NotDev(String, String),
}

async fn fetch(http: &reqwest::Client, address: reqwest::Url) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    struct Given {
        token: String,
    }
    let not_there = |error: reqwest::Error| Refusal::NotThere(error.without_url().to_string());
    let host = address.authority().to_owned();
    let answer = http.get(address).send().await.map_err(not_there)?;
    let status = answer.status();
    if status.is_server_error() {
        return Err(Refusal::NotThere(format!("the server answers {status}")));
    }
    if !status.is_success() {
        return Err(Refusal::NotDev(host, format!("it answers {status}")));
    }
    let given = answer.json::<Given>().await;
    given.map(|given| given.token).map_err(|_| Refusal::NotDev(host, "no token came".into()))
}

/// Where a development server gives out tokens.
fn dev_address(url: &str) -> anyhow::Result<reqwest::Url> {
    let what = || format!("{url:?} is no address of a server; give one like ws://127.0.0.1:4242");
    let http = match url.split_once("://") {
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(("wss", rest)) => format!("https://{rest}"),
        Some(("http" | "https", _)) => url.to_owned(),
        _ => bail!(what()),
    };
    let mut address = reqwest::Url::parse(&http).with_context(what)?;
    address.set_path("/v1/dev/token");
    address.set_query(None);
    Ok(address)
}

/// How long a connection may take before the agent says that it is still trying.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_follows_from_the_servers() {
        for (url, address) in [
            ("ws://127.0.0.1:4242", "http://127.0.0.1:4242/v1/dev/token"),
            ("http://localhost:1/", "http://localhost:1/v1/dev/token"),
            ("wss://host/v1/ws?x=1", "https://host/v1/dev/token"),
        ] {
            assert_eq!(dev_address(url).unwrap().as_str(), address);
        }
        for url in ["", "127.0.0.1:4242", "ftp://x", "ws://"] {
            let error = dev_address(url).unwrap_err().to_string();
            assert!(error.contains("no address of a server"), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_server_without_dev_says_what_to_do() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let answer = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await.unwrap();
            let not_found = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
            socket.write_all(not_found).await.unwrap();
        };
        let (source, ()) = tokio::join!(source(None, &url), answer);
        let error = source.expect_err("a 404 is no token").to_string();
        assert!(error.contains("--token") && error.contains("--dev"), "{error}");
    }
}
