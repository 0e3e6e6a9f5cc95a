//! Which tokens are genuine: all keys, and what a token must say beside being signed.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use jsonwebtoken::{
    Algorithm, EncodingKey, Header, decode, decode_header, encode,
    errors::{Error, ErrorKind},
};
use rethread_shared::{
    ErrorCode, WireError,
    limits::{
        AUTH_KEYS_MAX, CLOCK_LEEWAY, JWKS_GAP_MIN, JWKS_REFRESH, NAME_BYTES_MAX, SECRET_BYTES_MIN,
        TOKEN_BYTES_MAX, TOKEN_LIFETIME_MAX,
    },
};

use super::{
    Claims,
    jwks::Jwks,
    key::{Key, Rules},
};
use crate::now;

/// Where keys come from, and what tokens must say.
#[derive(Clone, Debug)]
pub struct KeySources {
    /// Secrets for HS256. The first one signs what this server makes itself; the others are still, or
    /// already, taken.
    pub secrets: Vec<String>,
    /// Public keys, PEM: RSA (RS256), P-256 (ES256), Ed25519 (EdDSA). Each is tried for every token of
    /// its algorithm.
    pub files: Vec<PathBuf>,
    /// The address of a key set.
    pub jwks_url: Option<String>,
    /// How often the key set is fetched anew.
    pub jwks_refresh: Duration,
    /// How long after a fetch a missing key does not cause another. See [`JWKS_GAP_MIN`].
    pub jwks_gap: Duration,
    /// A token must be for one of these, if there are any.
    pub audience: Vec<String>,
    /// A token must be issued by one of these, if there are any.
    pub issuer: Vec<String>,
    /// How long a token may be good for.
    pub lifetime_max: Duration,
}

impl Default for KeySources {
    fn default() -> Self {
        Self {
            secrets: Vec::new(),
            files: Vec::new(),
            jwks_url: None,
            jwks_refresh: JWKS_REFRESH,
            jwks_gap: JWKS_GAP_MIN,
            audience: Vec::new(),
            issuer: Vec::new(),
            lifetime_max: TOKEN_LIFETIME_MAX,
        }
    }
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is none.
    #[error(
        "there is no key to check tokens with; give a secret, a public key's file, or the address \
         of a key set"
    )]
    None,
    /// A secret is too short.
    #[error(
        "a secret has {0} bytes; at least {SECRET_BYTES_MIN} are needed, such as \
         `openssl rand -hex 32` prints"
    )]
    ShortSecret(usize),
    /// More than can be tried for each token.
    #[error("{0} secrets and keys are given, at most {AUTH_KEYS_MAX} are allowed")]
    TooMany(usize),
    /// A file cannot be read.
    #[error("the key {0} cannot be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// A file holds no key that can be used.
    #[error("the key {0}: {1}")]
    Unusable(PathBuf, String),
    /// The address of the key set is none.
    #[error("the address of the key set: {0}")]
    Jwks(String),
}

/// Checks tokens, and makes them for `rethread token` and the dev page.
pub struct Keys {
    fixed: Vec<Key>,
    fetched: Option<Arc<Jwks>>,
    signing: Option<EncodingKey>,
    audience: Option<String>,
    issuer: Option<String>,
    lifetime_max: u64,
    refresh: Duration,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// From one secret.
    ///
    /// # Errors
    /// When it is too short.
    pub fn from_secret(secret: &str) -> Result<Self, KeyError> {
        Self::open(&KeySources { secrets: vec![secret.to_owned()], ..KeySources::default() })
    }

    /// From all sources. A key set is not fetched before [`Keys::keep_fresh`].
    ///
    /// # Errors
    /// When a source cannot be used, or there is none.
    pub fn open(sources: &KeySources) -> Result<Self, KeyError> {
        let KeySources { secrets, files, audience, issuer, .. } = sources;
        let rules = Rules {
            audience: audience.clone(),
            issuer: issuer.clone(),
            leeway: CLOCK_LEEWAY.as_secs(),
        };
        if secrets.is_empty() && files.is_empty() && sources.jwks_url.is_none() {
            return Err(KeyError::None);
        }
        if secrets.len() + files.len() > AUTH_KEYS_MAX {
            return Err(KeyError::TooMany(secrets.len() + files.len()));
        }
        let mut fixed = Vec::new();
        for secret in secrets {
            if secret.len() < SECRET_BYTES_MIN {
                return Err(KeyError::ShortSecret(secret.len()));
            }
            fixed.push(Key::from_secret(secret, &rules));
        }
        for file in files {
            let pem = std::fs::read(file).map_err(|e| KeyError::Unreadable(file.clone(), e))?;
            let key = Key::from_pem(&pem, &rules);
            fixed.push(key.map_err(|reason| KeyError::Unusable(file.clone(), reason))?);
        }
        let fetched = sources
            .jwks_url
            .as_deref()
            .map(|url| Jwks::new(url, rules, sources.jwks_gap))
            .transpose();
        Ok(Self {
            fixed,
            fetched: fetched.map_err(KeyError::Jwks)?.map(Arc::new),
            signing: secrets.first().map(|secret| EncodingKey::from_secret(secret.as_bytes())),
            audience: audience.first().cloned(),
            issuer: issuer.first().cloned(),
            lifetime_max: sources.lifetime_max.as_secs(),
            refresh: sources.jwks_refresh,
        })
    }

    /// Fetches the key set now, and again from time to time, where there is one. Needs a tokio
    /// runtime; ends when the keys are dropped.
    pub fn keep_fresh(&self) {
        if let Some(jwks) = &self.fetched {
            Jwks::keep_fresh(jwks, self.refresh);
        }
    }

    /// Why some tokens may be refused that should not be: the keys for them cannot be fetched.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.fetched.as_ref()?.trouble()
    }

    /// How long a token may be good for, seconds.
    #[must_use]
    pub fn lifetime_max(&self) -> u64 {
        self.lifetime_max
    }

    /// Checks a token: its signature, its times, its audience and issuer.
    ///
    /// # Errors
    /// `token_expired`; `unauthorized` with what is wrong with it (never with the token);
    /// `keys_unavailable` when the key it names cannot be fetched.
    pub async fn check(&self, token: &str) -> Result<Claims, WireError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refuse("it is larger than a token may be"));
        }
        let header = decode_header(token).map_err(|error| match error.kind() {
            ErrorKind::Json(_) => refuse("its header names an algorithm that is not known here"),
            _ => refuse("it is not a JWT"),
        })?;
        if header.crit.is_some() {
            return Err(refuse("its header asks for what is not known here (`crit`)"));
        }
        if let Some(outcome) = try_each(&self.fixed, token, &header) {
            return self.confine(outcome?);
        }
        if let Some(jwks) = &self.fetched {
            let seen = jwks.keys();
            let mut outcome = try_each(&seen, token, &header);
            if outcome.is_none() && jwks.refresh(&seen).await {
                outcome = try_each(&jwks.keys(), token, &header);
            }
            if let Some(outcome) = outcome {
                return self.confine(outcome?);
            }
            if let Some(reason) = jwks.trouble() {
                tracing::debug!(reason, "a token names a key that cannot be fetched");
                return Err(WireError::new(
                    ErrorCode::KeysUnavailable,
                    "the keys to check tokens with cannot be fetched now; try again in a moment",
                )
                .with_retry_after_ms(5_000));
            }
        }
        let is_known = self.fixed.iter().any(|key| key.may_fit(header.alg, None));
        Err(refuse(if is_known || self.fetched.is_some() {
            "its signature fits no key of this server"
        } else {
            "it is signed by another algorithm than this server's keys are for"
        }))
    }

    /// A token ends in time for revocations to be forgotten one day. One that does not say when it
    /// was made is not taken before it is as old as it may become.
    fn confine(&self, mut claims: Claims) -> Result<Claims, WireError> {
        let now = now::unix_ms() / 1_000;
        let latest = |since: u64| since.saturating_add(self.lifetime_max);
        match claims.iat {
            Some(iat) if iat > now + CLOCK_LEEWAY.as_secs() => {
                return Err(refuse("it was made in the future (`iat`); are the clocks right?"));
            }
            Some(iat) => claims.exp = claims.exp.min(latest(iat)),
            None if claims.exp > latest(now) => {
                return Err(refuse(&format!(
                    "it is good for longer than {} days; say when it was made (`iat`), and it ends then",
                    self.lifetime_max / (24 * 60 * 60)
                )));
            }
            None => {}
        }
        if claims.exp + CLOCK_LEEWAY.as_secs() < now {
            return Err(expired());
        }
        if claims.sub.is_empty() {
            return Err(refuse("its `sub` names nobody"));
        }
        // Longer ones could not be revoked: there a name has no more either.
        for (claim, name) in [("sub", Some(&claims.sub)), ("jti", claims.jti.as_ref())] {
            if name.is_some_and(|name| name.len() > NAME_BYTES_MAX) {
                return Err(refuse(&format!(
                    "its `{claim}` is longer than {NAME_BYTES_MAX} bytes"
                )));
            }
        }
        Ok(claims)
    }

    /// Makes a token, signed with the first secret; `None` where there is no secret.
    #[must_use]
    pub fn mint(
        &self,
        user: &str,
        scope: &str,
        threads: Vec<String>,
        ttl: Duration,
    ) -> Option<String> {
        let iat = now::unix_ms() / 1_000;
        let claims = Claims {
            sub: user.to_owned(),
            scope: scope.to_owned(),
            threads,
            exp: iat.saturating_add(ttl.as_secs()),
            iat: Some(iat),
            jti: Some(format!("{:016x}", u64::from_be_bytes(now::random()))),
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
        };
        let token = encode(&Header::new(Algorithm::HS256), &claims, self.signing.as_ref()?);
        Some(token.expect("claims are JSON and HS256 needs no more than a secret"))
    }
}

/// What the key that signed it makes of a token; `None` when none of these did.
fn try_each(keys: &[Key], token: &str, header: &Header) -> Option<Result<Claims, WireError>> {
    let kid = header.kid.as_deref();
    for key in keys.iter().filter(|key| key.may_fit(header.alg, kid)) {
        match decode::<Claims>(token, &key.decoding, &key.validation) {
            Ok(decoded) => return Some(Ok(decoded.claims)),
            Err(error) if *error.kind() == ErrorKind::InvalidSignature => {}
            Err(error) => return Some(Err(refusal(&error))),
        }
    }
    None
}

fn refusal(error: &Error) -> WireError {
    match error.kind() {
        ErrorKind::ExpiredSignature => expired(),
        ErrorKind::MissingRequiredClaim(claim) => refuse(&format!("it lacks the claim `{claim}`")),
        ErrorKind::InvalidAudience => refuse("it is for another audience (`aud`)"),
        ErrorKind::InvalidIssuer => refuse("it comes from another issuer (`iss`)"),
        ErrorKind::ImmatureSignature => refuse("it is not good yet (`nbf`)"),
        ErrorKind::Json(_) => refuse("its claims are not of the expected types"),
        _ => refuse("it is not a JWT"),
    }
}

pub(super) fn refuse(why: &str) -> WireError {
    WireError::new(ErrorCode::Unauthorized, format!("the token is not valid: {why}"))
        .with_expected("a JWT signed with a key of this server")
}

pub(super) fn expired() -> WireError {
    WireError::new(ErrorCode::TokenExpired, "the token has expired; bring a new one")
}
