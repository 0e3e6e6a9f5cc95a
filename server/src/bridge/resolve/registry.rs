//! The registry: runs that were seen, minted or migrated before, until they expire.

use std::sync::Arc;

use futures_util::{FutureExt, future::BoxFuture};
use rethread_shared::{RunId, WireError};

use super::{
    remembered::Remembered,
    step::{Seen, Step, StepName},
};
use crate::log::Log;

/// Asks the registry.
pub(super) struct Registry {
    log: Arc<dyn Log>,
    remembered: Arc<Remembered>,
}

impl Registry {
    pub(super) fn new(log: Arc<dyn Log>, remembered: Arc<Remembered>) -> Self {
        Self { log, remembered }
    }

    fn seen(&self, run: &RunId) -> Result<Seen, WireError> {
        let mark = self.remembered.mark(self.log.term());
        let Some(record) = self.log.recall(run)? else {
            return Ok(Seen::passed("the registry does not know the run"));
        };
        self.remembered.put(mark, run, &record.thread);
        let state = if record.live { "live" } else { "ended" };
        let saw = format!(
            "a run of {}, {state}, known since {}, last active at {}",
            record.thread,
            record.created_at,
            record.idle_since()
        );
        Ok(Seen::Found { thread: record.thread, saw })
    }
}

impl Step for Registry {
    fn name(&self) -> StepName {
        StepName::Registry
    }

    fn look<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<Seen, WireError>> {
        std::future::ready(self.seen(run)).boxed()
    }
}
