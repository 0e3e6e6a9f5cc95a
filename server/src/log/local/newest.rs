//! Which ids a thread cannot have, without looking for them.

use rethread_shared::{EventId, limits::NEWEST_IDS_MAX};

/// The greatest ids of a thread. Ids grow with time where publishers make them as they should (UUIDs of
/// version 7), so nearly every event that is no repetition has a greater id than all before it, and is
/// known to be new without asking the engine. However ids are made, the answer is right: where an id may
/// be there, it is looked for.
#[derive(Debug)]
pub(super) struct Newest {
    /// The greatest time of an id, milliseconds.
    ms: u64,
    /// Ids of that time, those that are known.
    ids: Vec<EventId>,
    /// Whether those are all.
    is_complete: bool,
}

impl Newest {
    /// Of a thread whose greatest id is this; `None` where it never had an event.
    pub(super) fn after(greatest: Option<EventId>) -> Self {
        Self { ms: greatest.map_or(0, ms), ids: Vec::new(), is_complete: greatest.is_none() }
    }

    /// True when the thread certainly has no event of this id.
    pub(super) fn excludes(&self, id: EventId) -> bool {
        let at = ms(id);
        at > self.ms || (at == self.ms && self.is_complete && !self.ids.contains(&id))
    }

    /// An event of this id is about to be stored. When it is not after all, its id is looked for.
    pub(super) fn add(&mut self, id: EventId) {
        let at = ms(id);
        if at > self.ms {
            self.ms = at;
            self.ids.clear();
            self.is_complete = true;
        }
        if at == self.ms && self.is_complete {
            self.is_complete = self.ids.len() < NEWEST_IDS_MAX;
            self.ids.push(id);
        }
    }
}

/// The time that an id of version 7 begins with.
fn ms(id: EventId) -> u64 {
    let bytes = id.to_bytes();
    bytes[..6].iter().fold(0, |ms, byte| (ms << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn id(ms: u64, low: u8) -> EventId {
        EventId::generate(ms, [low; 10])
    }

    #[test]
    fn ids_that_grow_are_not_looked_for() {
        let mut newest = Newest::after(None);
        for ms in 1..1_000 {
            for low in [9, 3, 7] {
                assert!(newest.excludes(id(ms, low)));
                newest.add(id(ms, low));
                assert!(!newest.excludes(id(ms, low)));
            }
            assert!(!newest.excludes(id(ms - 1, 1)), "an id of before may be anywhere");
        }
        let newest = Newest::after(Some(id(7, 7)));
        assert!(!newest.excludes(id(7, 1)), "not all ids of that time are known");
        assert!(newest.excludes(id(8, 0)));
    }

    proptest! {
        #[test]
        fn what_is_there_is_never_excluded(
            before in proptest::collection::vec((0_u64..6, 0_u8..4), 0..8),
            steps in proptest::collection::vec((0_u64..6, 0_u8..=255), 0..400),
        ) {
            let mut there: HashSet<EventId> = before.iter().map(|(ms, low)| id(*ms, *low)).collect();
            let mut newest = Newest::after(there.iter().max().copied());
            for (ms, low) in steps {
                let id = id(ms, low);
                prop_assert!(!(there.contains(&id) && newest.excludes(id)));
                if there.insert(id) {
                    newest.add(id);
                }
            }
            prop_assert!(newest.ids.len() <= NEWEST_IDS_MAX + 1);
        }
    }
}
