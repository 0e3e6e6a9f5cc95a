//! Who is there, and what they may do: JSON Web Tokens signed with a shared secret (HS256).
//!
//! A token names a user (`sub`), what it may do (`scope`, words with spaces between), and threads
//! (`threads`, ids, or `["*"]` for all). A user may always use the threads it owns.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
};
use rethread_shared::{
    ErrorCode, ThreadId, WireError,
    limits::{CLOCK_LEEWAY, TOKEN_BYTES_MAX},
};
use serde::{Deserialize, Serialize};

use crate::{log::ThreadInfo, now};

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Read threads: subscribe, pages, the list.
    Subscribe,
    /// Talk to agents: send, cancel, create threads.
    Send,
    /// Publish events, create threads and runs.
    Publish,
    /// Take work.
    Serve,
    /// Operate the server: everything below `/v1/admin`. Grants no thread.
    Admin,
}

impl Scope {
    /// All of them, as words of a token.
    pub const ALL: [(&'static str, Self); 5] = [
        ("subscribe", Self::Subscribe),
        ("send", Self::Send),
        ("publish", Self::Publish),
        ("serve", Self::Serve),
        ("admin", Self::Admin),
    ];
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, _) = Self::ALL.iter().find(|(_, scope)| scope == self).expect("all are listed");
        f.write_str(word)
    }
}

/// The end of the year 9999, seconds since 1970. A token for longer ends then, so that no sum of times
/// overflows.
const EXPIRY_MAX: u64 = 253_402_300_799;

/// The claims of a token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    pub sub: String,
    /// Words with spaces between: `subscribe send publish serve admin`.
    #[serde(default)]
    pub scope: String,
    /// Threads beside the user's own; `["*"]` is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<String>,
    /// When it ends, seconds since 1970.
    pub exp: u64,
    /// When it was made, seconds since 1970.
    #[serde(default)]
    pub iat: u64,
    /// Names the token in logs.
    #[serde(default)]
    pub jti: String,
}

/// What a checked token grants. Held by each connection; asked at each request.
#[derive(Debug)]
pub struct Grant {
    user: Arc<str>,
    scopes: BTreeSet<Scope>,
    threads: Threads,
    expires_at: u64,
}

#[derive(Debug)]
enum Threads {
    All,
    Listed(BTreeSet<ThreadId>),
}

impl Grant {
    /// For what is done in this process, without a token: everything, in every thread, for ever, in
    /// the name of `user`.
    #[must_use]
    pub fn trusted(user: &str) -> Self {
        Self {
            user: user.into(),
            scopes: Scope::ALL.iter().map(|(_, scope)| *scope).collect(),
            threads: Threads::All,
            expires_at: EXPIRY_MAX,
        }
    }

    /// The user it names.
    #[must_use]
    pub fn user(&self) -> &Arc<str> {
        &self.user
    }

    /// When it ends, seconds since 1970.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// What it may do.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> {
        self.scopes.iter().copied()
    }

    /// True when it grants every thread.
    #[must_use]
    pub fn is_for_all_threads(&self) -> bool {
        matches!(self.threads, Threads::All)
    }

    /// True when it may use this thread.
    #[must_use]
    pub fn grants(&self, thread: &ThreadInfo) -> bool {
        *thread.owner == *self.user || self.lists(&thread.thread)
    }

    /// The threads it lists by name, beside those it owns.
    pub fn listed(&self) -> impl Iterator<Item = &ThreadId> {
        match &self.threads {
            Threads::All => None,
            Threads::Listed(threads) => Some(threads.iter()),
        }
        .into_iter()
        .flatten()
    }

    fn lists(&self, thread: &ThreadId) -> bool {
        match &self.threads {
            Threads::All => true,
            Threads::Listed(threads) => threads.contains(thread),
        }
    }

    /// Asks for a scope.
    ///
    /// # Errors
    /// `forbidden`, which names the scope; `token_expired` once it has ended.
    pub fn require(&self, scope: Scope) -> Result<(), WireError> {
        self.require_alive()?;
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        Err(WireError::new(
            ErrorCode::Forbidden,
            format!("this needs a token with the scope `{scope}`"),
        )
        .with_expected(scope.to_string())
        .with_received(&words(&self.scopes)))
    }

    /// Asks for any of several scopes.
    ///
    /// # Errors
    /// As [`Grant::require`].
    pub fn require_any(&self, scopes: &[Scope]) -> Result<(), WireError> {
        self.require_alive()?;
        if scopes.iter().any(|scope| self.scopes.contains(scope)) {
            return Ok(());
        }
        self.require(scopes[0])
    }

    fn require_alive(&self) -> Result<(), WireError> {
        if now::unix_ms() / 1_000 < self.expires_at + CLOCK_LEEWAY.as_secs() {
            return Ok(());
        }
        Err(expired())
    }
}

fn words(scopes: &BTreeSet<Scope>) -> String {
    scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn expired() -> WireError {
    WireError::new(ErrorCode::TokenExpired, "the token has expired; bring a new one")
}

/// Checks tokens, and makes them for `rethread token` and the dev page.
pub struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// From the shared secret.
    #[must_use]
    pub fn from_secret(secret: &str) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = CLOCK_LEEWAY.as_secs();
        validation.set_required_spec_claims(&["exp", "sub"]);
        validation.validate_aud = false;
        Self {
            encoding: EncodingKey::from_secret(secret.as_bytes()),
            decoding: DecodingKey::from_secret(secret.as_bytes()),
            validation,
        }
    }

    /// Checks a token.
    ///
    /// # Errors
    /// `token_expired`, or `unauthorized` with what is wrong with it (never with the token).
    pub fn check(&self, token: &str) -> Result<Grant, WireError> {
        let refuse = |why: &str| {
            WireError::new(ErrorCode::Unauthorized, format!("the token is not valid: {why}"))
                .with_expected("a JWT signed with this server's secret (HS256)")
        };
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refuse("it is larger than a token may be"));
        }
        let claims = decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => expired(),
                ErrorKind::InvalidSignature => refuse("its signature does not fit the secret"),
                ErrorKind::MissingRequiredClaim(claim) => {
                    refuse(&format!("it lacks the claim `{claim}`"))
                }
                ErrorKind::InvalidAlgorithm => refuse("it is not signed by HS256"),
                ErrorKind::Json(_) => refuse("its claims are not of the expected types"),
                _ => refuse("it is not a JWT"),
            })?
            .claims;
        if claims.sub.is_empty() {
            return Err(refuse("its `sub` names nobody"));
        }
        let mut scopes = BTreeSet::new();
        for word in claims.scope.split_whitespace() {
            // Words for later servers are no harm: they grant nothing here.
            scopes.extend(Scope::ALL.iter().find(|(known, _)| *known == word).map(|(_, s)| *s));
        }
        let threads = if claims.threads.iter().any(|thread| thread == "*") {
            Threads::All
        } else {
            let listed = claims.threads.iter().map(|thread| thread.parse());
            Threads::Listed(
                listed
                    .collect::<Result<_, _>>()
                    .map_err(|error| refuse(&format!("its claim `threads`: {error}")))?,
            )
        };
        let expires_at = claims.exp.min(EXPIRY_MAX);
        Ok(Grant { user: claims.sub.into(), scopes, threads, expires_at })
    }

    /// Makes a token.
    #[must_use]
    pub fn mint(&self, user: &str, scope: &str, threads: Vec<String>, ttl: Duration) -> String {
        let iat = now::unix_ms() / 1_000;
        let claims = Claims {
            sub: user.to_owned(),
            scope: scope.to_owned(),
            threads,
            exp: iat + ttl.as_secs(),
            iat,
            jti: format!("{:016x}", u64::from_be_bytes(now::random())),
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .expect("claims are JSON and HS256 needs no more than a secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(owner: &str, thread: &str) -> ThreadInfo {
        ThreadInfo {
            thread: thread.parse().unwrap(),
            epoch: "00000001".parse().unwrap(),
            head: 0,
            owner: owner.into(),
            title: None,
            created_at: 0,
        }
    }

    #[test]
    fn a_token_grants_what_it_says_and_what_its_user_owns() {
        let keys = Keys::from_secret("secret");
        let hour = Duration::from_secs(3_600);
        let token = keys.mint("ann", "subscribe send later", vec!["thread_x".into()], hour);
        let grant = keys.check(&token).unwrap();
        assert!(grant.require(Scope::Send).is_ok());
        let error = grant.require(Scope::Publish).unwrap_err();
        assert_eq!(error.code, ErrorCode::Forbidden);
        assert!(error.message.contains("publish"));
        assert!(grant.grants(&info("bob", "thread_x")));
        assert!(grant.grants(&info("ann", "thread_y")));
        assert!(!grant.grants(&info("bob", "thread_y")));
    }

    #[test]
    fn bad_tokens_are_refused_with_their_reason() {
        let keys = Keys::from_secret("secret");
        let hour = Duration::from_secs(3_600);
        let foreign = Keys::from_secret("other").mint("ann", "", vec![], hour);
        let bad_thread = keys.mint("ann", "", vec!["nonsense".into()], hour);
        let nobody = keys.mint("", "", vec![], hour);
        for (token, says) in [
            ("", "not a JWT"),
            ("a.b.c", "not a JWT"),
            (foreign.as_str(), "signature"),
            (bad_thread.as_str(), "threads"),
            (nobody.as_str(), "nobody"),
        ] {
            let error = keys.check(token).unwrap_err();
            assert_eq!(error.code, ErrorCode::Unauthorized);
            assert!(error.message.contains(says), "{error} should say {says}");
        }
        let past = encode(
            &Header::new(Algorithm::HS256),
            &Claims {
                sub: "ann".into(),
                scope: String::new(),
                threads: vec![],
                exp: 1,
                iat: 0,
                jti: String::new(),
            },
            &keys.encoding,
        )
        .unwrap();
        assert_eq!(keys.check(&past).unwrap_err().code, ErrorCode::TokenExpired);
    }
}
