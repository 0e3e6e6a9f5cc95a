//! The threads that a token names, beside those that its user owns.

use std::{collections::BTreeSet, ops::Bound};

use rethread_shared::{IdError, ThreadId};

/// Threads by name, by the beginning of their names, or all.
#[derive(Clone, Debug)]
pub(super) enum Threads {
    All,
    Named {
        listed: BTreeSet<ThreadId>,
        /// None begins with another, so at most one can fit a name: the greatest that is not
        /// greater.
        prefixes: BTreeSet<Box<str>>,
    },
}

/// Ends what is the beginning of a name. No thread's id has it.
const WILD: char = '*';
const PREFIX: &str = "thread_";

impl Threads {
    /// Reads the claim `threads`: ids, beginnings of ids with a `*` at their end, or `*` for all.
    pub(super) fn read(claim: &[String]) -> Result<Self, IdError> {
        let mut listed = BTreeSet::new();
        let mut beginnings: Vec<&str> = Vec::new();
        for text in claim {
            match text.strip_suffix(WILD) {
                // The beginning of every thread's id is all threads too.
                Some(beginning) if PREFIX.starts_with(beginning) => return Ok(Self::All),
                Some(beginning) => {
                    // What may begin an id is, but for two rules about its end, an id itself; with a
                    // letter more it is one.
                    format!("{beginning}a").parse::<ThreadId>()?;
                    beginnings.push(beginning);
                }
                None => {
                    listed.insert(text.parse()?);
                }
            }
        }
        beginnings.sort_unstable();
        let mut prefixes: BTreeSet<Box<str>> = BTreeSet::new();
        for beginning in beginnings {
            if prefixes.last().is_none_or(|last| !beginning.starts_with(&**last)) {
                prefixes.insert(beginning.into());
            }
        }
        Ok(Self::Named { listed, prefixes })
    }

    pub(super) fn contain(&self, thread: &ThreadId) -> bool {
        match self {
            Self::All => true,
            Self::Named { listed, prefixes } => {
                let id = thread.as_str();
                let until = (Bound::Unbounded, Bound::Included(id));
                let mut not_greater = prefixes.range::<str, _>(until);
                listed.contains(thread)
                    || not_greater.next_back().is_some_and(|prefix| id.starts_with(&**prefix))
            }
        }
    }

    /// The threads that are named in full.
    pub(super) fn listed(&self) -> impl Iterator<Item = &ThreadId> {
        match self {
            Self::All => None,
            Self::Named { listed, .. } => Some(listed.iter()),
        }
        .into_iter()
        .flatten()
    }

    /// True when threads are named by the beginnings of their ids.
    pub(super) fn has_prefixes(&self) -> bool {
        matches!(self, Self::Named { prefixes, .. } if !prefixes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(claim: &[&str]) -> Result<Threads, IdError> {
        Threads::read(&claim.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_beginning_grants_what_begins_so_and_nothing_else() {
        let threads = read(&["thread_team7_*", "thread_team7_a*", "thread_x"]).unwrap();
        for (id, is_granted) in [
            ("thread_team7_a", true),
            ("thread_team7_zoo", true),
            ("thread_team7_", true),
            ("thread_team7", false),
            ("thread_team70_a", false),
            ("thread_team6_a", false),
            ("thread_x", true),
            ("thread_xy", false),
        ] {
            assert_eq!(threads.contain(&id.parse().unwrap()), is_granted, "{id}");
        }
    }

    #[test]
    fn all_is_said_in_several_ways_and_nonsense_is_refused() {
        for all in ["*", "thread_*", "thr*"] {
            assert!(matches!(read(&[all]), Ok(Threads::All)), "{all}");
        }
        for nonsense in ["", "team7_*", "thread_a*b", "thread_a**", "thread_ü*", "thread_thread_*"]
        {
            assert!(read(&[nonsense]).is_err(), "{nonsense}");
        }
        assert!(!read(&[]).unwrap().contain(&"thread_a".parse().unwrap()));
    }

    proptest! {
        /// One look-up among what is left of the beginnings finds what trying each would.
        #[test]
        fn one_look_up_is_as_good_as_trying_each(
            beginnings in prop::collection::vec("[abc]{1,4}", 0..8),
            key in "[abc]{1,6}",
        ) {
            let claim: Vec<String> = beginnings.iter().map(|b| format!("thread_{b}*")).collect();
            let id: ThreadId = format!("thread_{key}").parse().unwrap();
            let expected = beginnings.iter().any(|beginning| key.starts_with(beginning));
            prop_assert_eq!(Threads::read(&claim).unwrap().contain(&id), expected);
        }
    }
}
