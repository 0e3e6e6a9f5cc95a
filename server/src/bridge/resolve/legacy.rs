//! The thread stands in an id of the older form: `run_{thread}_{hex}`.

use futures_util::{FutureExt, future::BoxFuture};
use rethread_shared::{RunId, WireError, id::RunForm};

use super::step::{Seen, Step, StepName};

/// Reads the thread out of a legacy run id.
pub(super) struct Legacy;

impl Step for Legacy {
    fn name(&self) -> StepName {
        StepName::Legacy
    }

    fn look<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<Seen, WireError>> {
        let seen = match run.form() {
            RunForm::EmbeddedLegacy { thread } => Seen::Found {
                thread: thread.clone(),
                saw: format!("the id has the legacy form, for {thread}"),
            },
            _ => Seen::passed("the id has not the form run_{thread}_{8 to 32 hex}"),
        };
        std::future::ready(Ok(seen)).boxed()
    }
}
