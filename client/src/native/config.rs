use std::{fmt, pin::Pin, sync::Arc};

use crate::session::TokenWish;

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) url: String,
    pub(super) token: Token,
    pub(super) name: String,
}

impl Config {
    /// `url` is the server's address: `http`, `https`, `ws` or `wss`, with or without the path of
    /// the endpoint. `token` is a JWT, or a [`Token::provider`].
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<Token>) -> Self {
        let name = concat!("rethread-client/", env!("CARGO_PKG_VERSION")).to_owned();
        Self { url: url.into(), token: token.into(), name }
    }

    /// What the server's operator sees as this program's name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

type Fetched = Result<String, Box<dyn std::error::Error + Send + Sync>>;
type Fetching = Pin<Box<dyn Future<Output = Fetched> + Send>>;

/// Where tokens come from.
#[derive(Clone)]
pub enum Token {
    /// The same one always. When it is refused, the client closes.
    Fixed(String),
    /// A function that is asked on every dial, and when the server says that the token ends soon. With
    /// [`TokenWish::New`] the token it gave before was refused, or ends soon. When it fails, the dial
    /// has failed and is tried again later.
    Provider(Arc<dyn Fn(TokenWish) -> Fetching + Send + Sync>),
}

impl Token {
    /// Tokens from an async function.
    pub fn provider<F, Fut>(fetch: F) -> Self
    where
        F: Fn(TokenWish) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Fetched> + Send + 'static,
    {
        Self::Provider(Arc::new(move |wish| Box::pin(fetch(wish))))
    }
}

impl From<String> for Token {
    fn from(token: String) -> Self {
        Self::Fixed(token)
    }
}

impl From<&str> for Token {
    fn from(token: &str) -> Self {
        Self::Fixed(token.to_owned())
    }
}

impl fmt::Debug for Token {
    /// Never the token itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed(_) => "Fixed(…)",
            Self::Provider(_) => "Provider(…)",
        })
    }
}
