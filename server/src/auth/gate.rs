//! The gate of one server: checks tokens, lets in, and throws out.

use std::{io, path::Path, sync::Arc};

use rethread_shared::{
    ErrorCode, WireError,
    limits::{REVOCATIONS_MAX, REVOCATIONS_SWEEP, REVOKE_DEADLINE},
};

use super::{
    Access, Grant, Keys, Revocation, Revocations, Subject,
    access::Accesses,
    journal::{Entry, Journal},
};
use crate::now;

/// See the module.
#[derive(Debug)]
pub struct Gate {
    keys: Keys,
    revocations: Arc<Revocations>,
    /// `None` keeps revocations in memory only.
    journal: Option<Journal>,
    accesses: Arc<Accesses>,
    /// One change of the revocations at a time, so that the file is in the order of the memory.
    changing: tokio::sync::Mutex<()>,
}

/// What a revocation did.
#[derive(Debug)]
pub struct Cut {
    /// As it is in force.
    pub revocation: Revocation,
    /// How many sockets and streams it concerned.
    pub connections: usize,
    /// True when all of them have stopped; false when some are still being torn down.
    pub is_complete: bool,
}

impl Gate {
    /// A gate that forgets revocations when it is dropped.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            revocations: Arc::default(),
            journal: None,
            accesses: Arc::default(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// A gate whose revocations are kept in a folder.
    ///
    /// # Errors
    /// When what is in the folder cannot be read.
    pub fn open(keys: Keys, folder: &Path) -> io::Result<Self> {
        let (journal, entries) = Journal::open(folder)?;
        let gate = Self { journal: Some(journal.clone()), ..Self::new(keys) };
        let was_there = !entries.is_empty();
        for entry in entries {
            match entry {
                Entry::Revoked(revocation) => drop(gate.revocations.add(revocation)),
                Entry::Undone(subject) => drop(gate.revocations.remove(&subject)),
            }
        }
        if was_there {
            gate.revocations.sweep(now::unix_ms() / 1_000, gate.keys.lifetime_max());
            // On a disk that is full or read-only too the server starts, and keeps to what it has read.
            if let Err(error) = journal.rewrite(&gate.revocations.all()) {
                tracing::warn!(%error, "the revocations were not written anew; tried again later");
            }
        }
        Ok(gate)
    }

    /// The keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The revocations in force.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Checks a token: what it grants, for the length of a request.
    ///
    /// # Errors
    /// `unauthorized`, `token_expired`, `token_revoked`, `keys_unavailable`.
    pub async fn check(&self, token: &str) -> Result<Arc<Grant>, WireError> {
        let claims = self.keys.check(token).await?;
        Ok(Arc::new(Grant::new(claims, self.revocations.clone())?))
    }

    /// Access for what lasts longer than a request. From now on revocations find it.
    ///
    /// # Errors
    /// `token_revoked`, `token_expired`: that may have happened since the token was checked.
    pub fn enter(&self, grant: Arc<Grant>) -> Result<Access, WireError> {
        let access = self.accesses.enter(grant);
        access.grant().require_alive()?;
        Ok(access)
    }

    /// Revokes. When it returns, requests are refused, and sockets and streams have stopped. `owner` is
    /// that of the thread, where it is one.
    ///
    /// # Errors
    /// `slow_down` when there are too many; `log_unavailable` when it could not be written: then it is
    /// in force all the same, but only until the server is restarted.
    pub async fn revoke(
        &self,
        subject: Subject,
        by: &Arc<str>,
        reason: Option<Arc<str>>,
        owner: &str,
    ) -> Result<Cut, WireError> {
        let changing = self.changing.lock().await;
        if self.revocations.len() >= REVOCATIONS_MAX && !self.revocations.contain(&subject) {
            return Err(WireError::new(
                ErrorCode::SlowDown,
                format!(
                    "{REVOCATIONS_MAX} revocations are in force, the most; undo some with \
                     DELETE /v1/admin/revocations"
                ),
            )
            .with_retry_after_ms(REVOCATIONS_SWEEP.as_millis() as u64));
        }
        let at = now::unix_ms() / 1_000;
        let by = by.clone();
        let revocation = self.revocations.add(Revocation { subject, at, by, reason });
        let concerns = |grant: &Grant| match &revocation.subject {
            Subject::User(user) => grant.user() == user,
            Subject::Token(id) => grant.id() == Some(id),
            Subject::Thread(thread) => grant.names(owner, thread),
        };
        let (connections, mut answered) = self.accesses.question(concerns);
        tracing::info!(subject = ?revocation.subject, by = %revocation.by, connections, "revoked");
        self.keep(Entry::Revoked(revocation.clone())).await?;
        drop(changing);
        let is_complete = tokio::time::timeout(REVOKE_DEADLINE, answered.recv()).await.is_ok();
        Ok(Cut { revocation, connections, is_complete })
    }

    /// Undoes a revocation; `None` when there is none.
    ///
    /// # Errors
    /// `log_unavailable`: then it comes back when the server is restarted.
    pub async fn undo(&self, subject: &Subject) -> Result<Option<Revocation>, WireError> {
        let _changing = self.changing.lock().await;
        let Some(revocation) = self.revocations.remove(subject) else { return Ok(None) };
        tracing::info!(?subject, "a revocation was undone");
        self.keep(Entry::Undone(subject.clone())).await?;
        Ok(Some(revocation))
    }

    /// Sweeps from time to time; never ends.
    pub async fn sweep(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(REVOCATIONS_SWEEP);
        loop {
            ticks.tick().await;
            let _changing = self.changing.lock().await;
            let now = now::unix_ms() / 1_000;
            if self.revocations.sweep(now, self.keys.lifetime_max()) == 0 {
                continue;
            }
            let Some(journal) = self.journal.clone() else { continue };
            let all = self.revocations.all();
            let rewritten = tokio::task::spawn_blocking(move || journal.rewrite(&all)).await;
            if let Ok(Err(error)) = rewritten {
                tracing::warn!(%error, "the revocations were not written anew; tried again later");
            }
        }
    }

    async fn keep(&self, entry: Entry) -> Result<(), WireError> {
        let Some(journal) = self.journal.clone() else { return Ok(()) };
        let added = tokio::task::spawn_blocking(move || journal.add(&entry)).await;
        let added = added.unwrap_or_else(|error| Err(io::Error::other(error)));
        added.map_err(|error| {
            tracing::error!(%error, "a change of the revocations could not be written");
            WireError::new(
                ErrorCode::LogUnavailable,
                format!(
                    "it is in force, but could not be written to disk ({error}), and a restart of \
                     the server would forget it; try again"
                ),
            )
            .with_retry_after_ms(5_000)
        })
    }
}
