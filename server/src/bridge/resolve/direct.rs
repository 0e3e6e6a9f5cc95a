//! The id *is* a thread's id: it stands for one run of that thread.

use std::sync::Arc;

use futures_util::{FutureExt, future::BoxFuture};
use rethread_shared::{RunId, WireError, id::RunForm};

use super::step::{Seen, Step, StepName};
use crate::log::Log;

/// Takes a thread's id where a run's is expected.
pub(super) struct Direct {
    log: Arc<dyn Log>,
}

impl Direct {
    pub(super) fn new(log: Arc<dyn Log>) -> Self {
        Self { log }
    }

    fn seen(&self, run: &RunId) -> Result<Seen, WireError> {
        let RunForm::Thread { thread } = run.form() else {
            return Ok(Seen::passed("the id is not a thread's id"));
        };
        Ok(match self.log.thread(thread)? {
            Some(_) => {
                Seen::Found { thread: thread.clone(), saw: "the id is a thread's id".into() }
            }
            None => Seen::passed("the id has a thread's form, but there is no such thread"),
        })
    }
}

impl Step for Direct {
    fn name(&self) -> StepName {
        StepName::Direct
    }

    fn look<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<Seen, WireError>> {
        std::future::ready(self.seen(run)).boxed()
    }
}
