use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use rethread_shared::limits::{BACKOFF_MAX, BACKOFF_MIN, EMITTER_TRIES};

use crate::session::TokenWish;

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) url: String,
    pub(super) token: Token,
    pub(super) name: String,
    pub(super) retries: Retries,
}

/// How an [`Emitter`](super::Emitter) tries again what was refused for a reason that may pass.
#[derive(Clone, Copy, Debug)]
pub struct Retries {
    /// How often an event is published at most, the first time included.
    pub tries: u32,
    /// The first step of the wait between. It doubles; the wait is random up to the step, and never
    /// shorter than what the server asks for.
    pub step_min: Duration,
    /// The largest step.
    pub step_max: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { tries: EMITTER_TRIES, step_min: BACKOFF_MIN, step_max: BACKOFF_MAX }
    }
}

impl Retries {
    /// How long to wait after so many tries.
    pub(super) fn wait(&self, tries: u32, retry_after_ms: Option<u64>, random: u64) -> Duration {
        let doubled = self.step_min.saturating_mul(1 << tries.saturating_sub(1).min(20));
        let step = doubled.min(self.step_max).as_millis() as u64;
        let wait = random % (step + 1);
        Duration::from_millis(retry_after_ms.map_or(wait, |least| least + wait / 4))
    }
}

impl Config {
    /// `url` is the server's address: `http`, `https`, `ws` or `wss`, with or without the path of
    /// the endpoint. `token` is a JWT, or a [`Token::provider`].
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<Token>) -> Self {
        let name = concat!("rethread-client/", env!("CARGO_PKG_VERSION")).to_owned();
        Self { url: url.into(), token: token.into(), name, retries: Retries::default() }
    }

    /// How emitters try again.
    #[must_use]
    pub fn with_retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
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
