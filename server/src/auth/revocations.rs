//! Which tokens count no longer though they have not expired: in memory, for every request to ask.
//!
//! A revocation concerns tokens that were made before it, so that a user gets in again with a new one;
//! whoever is to stay out is given none. The issuer's clock may be ahead of ours, so those count as made
//! before it that say they were made up to [`CLOCK_LEEWAY`] later: a new token works once that is over. It is needed until the last token that it may concern has
//! expired, and forgotten then.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;
use rethread_shared::{ThreadId, limits::CLOCK_LEEWAY};
use serde::{Deserialize, Serialize};

use super::Grant;

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Every token of a user.
    User(Arc<str>),
    /// One token, by its `jti`.
    Token(Arc<str>),
    /// A thread, for every token: its owner's too.
    Thread(ThreadId),
}

/// A revocation in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// What is revoked.
    #[serde(flatten)]
    pub subject: Subject,
    /// When: tokens that were made until then are concerned. Seconds since 1970.
    pub at: u64,
    /// The operator who did it.
    pub by: Arc<str>,
    /// Why, for whoever reads the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
}

/// All revocations in force.
#[derive(Debug, Default)]
pub struct Revocations {
    table: RwLock<Table>,
    /// Counts the changes: while it stands, what was found good is good.
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    all: HashMap<Subject, Revocation>,
    /// How many are of threads: mostly none, and then nobody looks.
    threads: usize,
}

impl Revocations {
    /// Counts the changes.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// True when the grant's token is revoked altogether.
    pub(super) fn takes_token(&self, grant: &Grant) -> bool {
        let table = self.table.read();
        if table.all.is_empty() {
            return false;
        }
        let of_user = table.all.get(&Subject::User(grant.user().clone()));
        of_user.is_some_and(|revocation| revocation.concerns(grant))
            || grant.id().is_some_and(|id| table.all.contains_key(&Subject::Token(id.into())))
    }

    /// True when the grant's token is revoked for this thread.
    pub(super) fn takes_thread(&self, grant: &Grant, thread: &ThreadId) -> bool {
        if self.generation() == 0 {
            return false;
        }
        let table = self.table.read();
        table.threads > 0
            && table
                .all
                .get(&Subject::Thread(thread.clone()))
                .is_some_and(|revocation| revocation.concerns(grant))
    }

    /// How many are in force.
    pub fn len(&self) -> usize {
        self.table.read().all.len()
    }

    /// True when none is in force.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All in force, the newest first.
    pub fn all(&self) -> Vec<Revocation> {
        let mut all: Vec<_> = self.table.read().all.values().cloned().collect();
        all.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.subject.cmp(&b.subject)));
        all
    }

    /// True when there is one of this subject.
    pub fn contain(&self, subject: &Subject) -> bool {
        self.table.read().all.contains_key(subject)
    }

    /// Puts one in force. From now on no request of a token it concerns is granted. One of the same
    /// subject is replaced; the later time counts.
    pub(super) fn add(&self, mut revocation: Revocation) -> Revocation {
        self.change(|table| {
            let subject = revocation.subject.clone();
            if let Some(before) = table.all.get(&subject) {
                revocation.at = revocation.at.max(before.at);
            }
            if table.all.insert(subject, revocation.clone()).is_none() {
                table.threads += usize::from(revocation.subject.is_thread());
            }
            revocation
        })
    }

    /// Ends one. Gives it, if there was one.
    pub(super) fn remove(&self, subject: &Subject) -> Option<Revocation> {
        self.change(|table| {
            let removed = table.all.remove(subject)?;
            table.threads -= usize::from(subject.is_thread());
            Some(removed)
        })
    }

    /// Forgets those that concern no token any more, as tokens are good for `lifetime` seconds at
    /// most. Says how many there were.
    pub(super) fn sweep(&self, now: u64, lifetime: u64) -> usize {
        self.change(|table| {
            let before = table.all.len();
            table.all.retain(|_, revocation| now <= revocation.until(lifetime));
            table.threads = table.all.keys().filter(|subject| subject.is_thread()).count();
            before - table.all.len()
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.table.write();
        let result = change(&mut table);
        // While nobody can read: who sees the new number finds the new table.
        self.generation.fetch_add(1, Ordering::Release);
        result
    }
}

impl Subject {
    fn is_thread(&self) -> bool {
        matches!(self, Self::Thread(_))
    }
}

impl Revocation {
    fn concerns(&self, grant: &Grant) -> bool {
        grant.issued_at() <= self.at.saturating_add(CLOCK_LEEWAY.as_secs())
    }

    /// When the last token it may concern has expired, seconds since 1970.
    #[must_use]
    pub fn until(&self, lifetime: u64) -> u64 {
        self.at.saturating_add(lifetime).saturating_add(2 * CLOCK_LEEWAY.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuers_clock_that_is_ahead_saves_no_token() {
        let grant = Grant::trusted("ada");
        let (user, leeway) = (Subject::User("ada".into()), CLOCK_LEEWAY.as_secs());
        let concerned = |at| {
            Revocation { subject: user.clone(), at, by: "op".into(), reason: None }.concerns(&grant)
        };
        assert!(concerned(grant.issued_at() - leeway), "made that much later, by its own clock");
        assert!(!concerned(grant.issued_at() - leeway - 1), "made later by any clock");
    }
}
