//! Maps and sets of the hot path: every event is looked up in some of them.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// A map whose hash is a few instructions where the standard one is some hundred. It is seeded with
/// randomness of the process; nobody without a token puts anything into one.
pub(crate) type Map<K, V> = HashMap<K, V, RandomState>;

/// The same as a set.
pub(crate) type Set<K> = HashSet<K, RandomState>;
