//! The thread stands in the id: `thread_{key}_run_{unix_ms}_{8 hex}`.

use futures_util::{FutureExt, future::BoxFuture};
use rethread_shared::{RunId, WireError, id::RunForm};

use super::step::{Seen, Step, StepName};

/// Reads the thread out of a standard run id.
pub(super) struct Standard;

impl Step for Standard {
    fn name(&self) -> StepName {
        StepName::Standard
    }

    fn look<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<Seen, WireError>> {
        let seen = match run.form() {
            RunForm::Standard { thread, unix_ms } => Seen::Found {
                thread: thread.clone(),
                saw: format!("the id has the standard form, made at {unix_ms} for {thread}"),
            },
            _ => Seen::passed("the id has not the form thread_{key}_run_{unix_ms}_{8 hex}"),
        };
        std::future::ready(Ok(seen)).boxed()
    }
}
