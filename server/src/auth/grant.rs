use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rethread_shared::{ErrorCode, ThreadId, WireError, limits::CLOCK_LEEWAY};

use super::{
    Claims, Revocations, Scope, Scopes,
    keys::{expired, refuse},
    threads::Threads,
};
use crate::{log::ThreadInfo, now};

/// The end of the year 9999, seconds since 1970: later than any token.
const NEVER: u64 = 253_402_300_799;

/// What a checked token grants. Held by each connection; asked at each request, and each time it
/// answers for this moment: a token may have expired or been revoked since it was checked.
#[derive(Debug)]
pub struct Grant {
    user: Arc<str>,
    scopes: Scopes,
    threads: Threads,
    expires_at: u64,
    issued_at: u64,
    id: Option<Box<str>>,
    revocations: Arc<Revocations>,
    /// The generation of the revocations in which the token was last found good.
    good_in: AtomicU64,
}

impl Grant {
    /// What these claims grant.
    ///
    /// # Errors
    /// `unauthorized` when they name threads that cannot be; `token_revoked`.
    pub(super) fn new(claims: Claims, revocations: Arc<Revocations>) -> Result<Self, WireError> {
        let threads = Threads::read(&claims.threads)
            .map_err(|error| refuse(&format!("its claim `threads`: {error}")))?;
        let grant = Self {
            user: claims.sub.into(),
            scopes: Scopes::read(&claims.scope),
            threads,
            expires_at: claims.exp,
            issued_at: claims.iat.unwrap_or(0),
            id: claims.jti.map(Into::into),
            revocations,
            good_in: AtomicU64::new(u64::MAX),
        };
        grant.require_alive()?;
        Ok(grant)
    }

    /// For what is done in this process, without a token: everything, in every thread, for ever, in
    /// the name of `user`.
    #[must_use]
    pub fn trusted(user: &str) -> Self {
        Self {
            user: user.into(),
            scopes: Scopes::ALL,
            threads: Threads::All,
            expires_at: NEVER,
            issued_at: now::unix_ms() / 1_000,
            id: None,
            revocations: Arc::default(),
            good_in: AtomicU64::new(u64::MAX),
        }
    }

    /// For what is done in this process, without a token: as one that says these scopes and threads,
    /// for ever.
    ///
    /// # Errors
    /// `unauthorized` when there can be no such threads.
    pub fn local(user: &str, scope: &str, threads: &[&str]) -> Result<Self, WireError> {
        let threads: Vec<_> = threads.iter().map(ToString::to_string).collect();
        let threads = Threads::read(&threads).map_err(|error| refuse(&error.to_string()))?;
        Ok(Self { scopes: Scopes::read(scope), threads, ..Self::trusted(user) })
    }

    /// The user it names.
    #[must_use]
    pub fn user(&self) -> &Arc<str> {
        &self.user
    }

    /// The token's own name, where it has one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// When it ends, seconds since 1970.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// When its token was made, seconds since 1970; 0 where that is not known.
    #[must_use]
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// What it may do.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        self.scopes
    }

    /// True when it grants every thread.
    #[must_use]
    pub fn is_for_all_threads(&self) -> bool {
        matches!(self.threads, Threads::All)
    }

    /// True when it names threads by the beginnings of their ids.
    #[must_use]
    pub fn has_prefixes(&self) -> bool {
        self.threads.has_prefixes()
    }

    /// The threads it lists by name, beside those it owns.
    pub fn listed(&self) -> impl Iterator<Item = &ThreadId> {
        self.threads.listed()
    }

    /// True when it may use this thread.
    #[must_use]
    pub fn grants(&self, thread: &ThreadInfo) -> bool {
        self.covers(&thread.owner, &thread.thread)
    }

    /// True when it may use this thread of this owner.
    #[must_use]
    pub fn covers(&self, owner: &str, thread: &ThreadId) -> bool {
        self.names(owner, thread) && !self.revocations.takes_thread(self, thread)
    }

    /// True when it would be for this thread of this owner, but for revocations.
    pub(crate) fn names(&self, owner: &str, thread: &ThreadId) -> bool {
        *owner == *self.user || self.threads.contain(thread)
    }

    /// Asks for a scope.
    ///
    /// # Errors
    /// `forbidden`, which names the scope; `token_expired` once it has ended, `token_revoked`.
    pub fn require(&self, scope: Scope) -> Result<(), WireError> {
        self.require_any(&[scope])
    }

    /// Asks for any of several scopes.
    ///
    /// # Errors
    /// As [`Grant::require`].
    pub fn require_any(&self, scopes: &[Scope]) -> Result<(), WireError> {
        self.require_alive()?;
        if scopes.iter().any(|scope| self.scopes.contain(*scope)) {
            return Ok(());
        }
        let scope = scopes[0];
        Err(WireError::new(
            ErrorCode::Forbidden,
            format!("this needs a token with the scope `{scope}`"),
        )
        .with_expected(scope.to_string())
        .with_received(&self.scopes.to_string()))
    }

    /// Asks whether the token still counts.
    ///
    /// # Errors
    /// `token_expired`, `token_revoked`.
    pub fn require_alive(&self) -> Result<(), WireError> {
        if self.is_revoked() {
            let message = "the token was revoked; bring a new one";
            return Err(WireError::new(ErrorCode::TokenRevoked, message));
        }
        if now::unix_ms() < self.ends_at_ms() {
            return Ok(());
        }
        Err(expired())
    }

    /// When it is no longer taken, milliseconds since 1970: the end, and the leeway for clocks.
    #[must_use]
    pub fn ends_at_ms(&self) -> u64 {
        (self.expires_at + CLOCK_LEEWAY.as_secs()) * 1_000
    }

    fn is_revoked(&self) -> bool {
        let generation = self.revocations.generation();
        if self.good_in.load(Ordering::Relaxed) == generation {
            return false;
        }
        let is_revoked = self.revocations.takes_token(self);
        if !is_revoked {
            self.good_in.store(generation, Ordering::Relaxed);
        }
        is_revoked
    }
}
