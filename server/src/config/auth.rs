use std::path::PathBuf;

use rethread_shared::limits::{JWKS_GAP_MIN, JWKS_REFRESH, TOKEN_LIFETIME_MAX};

use super::{Secret, Span, settings};
use crate::auth::KeySources;

settings! {
    /// Who may do what.
    pub struct Auth {
        /// The secret that tokens are signed with (HS256), at least 32 bytes, such as
        /// `openssl rand -hex 32` prints. Better given in the environment than in a file or a flag.
        secret: Option<Secret> = None, short "secret";
        /// Further secrets whose tokens are taken: the one before, or the one to come.
        secrets: Vec<Secret> = Vec::new();
        /// Public keys whose tokens are taken, as PEM files: RSA (RS256), P-256 (ES256) or Ed25519
        /// (EdDSA).
        keys: Vec<PathBuf> = Vec::new();
        /// The address of a JSON Web Key Set whose tokens are taken. https; plain http on loopback only.
        jwks_url: Option<String> = None;
        /// How often the key set is fetched anew. A token that names a key which is not in it has it
        /// fetched at once.
        jwks_refresh: Span = Span(JWKS_REFRESH), in Span(JWKS_GAP_MIN)..=Span::secs(86_400);
        /// A token must be for one of these (`aud`). Empty: for anybody.
        audience: Vec<String> = Vec::new();
        /// A token must be from one of these (`iss`). Empty: from anybody who has a key.
        issuer: Vec<String> = Vec::new();
        /// How long a token may be good for; one that says more ends then. Revocations are remembered
        /// for as long.
        lifetime_max: Span = Span(TOKEN_LIFETIME_MAX), in Span::secs(60)..=Span::secs(10 * 366 * 86_400);
        /// For trying out: makes a secret of its own and gives a token to whoever asks. Loopback only.
        dev: bool = false, short "dev";
    }
}

impl From<&Auth> for KeySources {
    fn from(auth: &Auth) -> Self {
        let secrets = auth.secret.iter().chain(&auth.secrets);
        Self {
            secrets: secrets.map(|secret| secret.reveal().to_owned()).collect(),
            files: auth.keys.clone(),
            jwks_url: auth.jwks_url.clone(),
            jwks_refresh: auth.jwks_refresh.get(),
            audience: auth.audience.clone(),
            issuer: auth.issuer.clone(),
            lifetime_max: auth.lifetime_max.get(),
            ..Self::default()
        }
    }
}
