//! From the commit thread to the followers: makes each thread's frame, once, and wakes who follows; then tells
//! the publishers. A task of the runtime, so that the next fsync need not wait for a thousand wake-ups.

use std::{sync::Arc, time::Instant};

use rethread_shared::limits::{GROUPS_WAITING_MAX, PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::core::OpenThread;
use crate::log::{
    Appended, Record, RequestId, Told,
    frame::{Frame, Fresh, pieces},
};

/// The new, durable events of one thread in one group.
pub(super) struct Committed {
    pub(super) thread: Arc<OpenThread>,
    pub(super) records: Vec<Record>,
    /// When the oldest of them was given to the log.
    pub(super) since: Instant,
    /// The requests that brought them.
    pub(super) requests: Vec<RequestId>,
}

/// What goes through the fan-out.
pub(super) enum Parcel {
    /// A group's events, and who is told that they are durable.
    Group(Vec<Committed>, Vec<(Told, Vec<Appended>)>),
    /// A probe's mark: it shows that what was sent before has come through.
    Mark(oneshot::Sender<()>),
}

/// The way to the followers.
pub(super) struct Fanout {
    runtime: Handle,
    parcels: mpsc::Sender<Parcel>,
}

impl Fanout {
    /// Begins one on the current runtime.
    pub(super) fn new() -> Self {
        let runtime = Handle::current();
        let parcels = spawn(&runtime);
        Self { runtime, parcels }
    }

    /// Sends a parcel on its way; waits while too many are. A fan-out that has died is begun anew: its
    /// followers find what it did not bring in the log.
    pub(super) fn send(&mut self, parcel: Parcel) {
        if let Err(mpsc::error::SendError(parcel)) = self.parcels.blocking_send(parcel) {
            tracing::error!("the fan-out has died; it is begun anew");
            self.parcels = spawn(&self.runtime);
            // Gone again only when the runtime is: then nobody follows.
            let _ = self.parcels.blocking_send(parcel);
        }
    }
}

fn spawn(runtime: &Handle) -> mpsc::Sender<Parcel> {
    let (sender, mut parcels) = mpsc::channel::<Parcel>(GROUPS_WAITING_MAX);
    runtime.spawn(async move {
        while let Some(parcel) = parcels.recv().await {
            let (group, told) = match parcel {
                Parcel::Group(group, told) => (group, told),
                Parcel::Mark(mark) => {
                    let _ = mark.send(());
                    continue;
                }
            };
            for Committed { thread, records, since, requests } in group {
                let Some(tail) = thread.tail.lock().upgrade() else { continue };
                // A larger frame would take a slow reader longer than a write may take, every time again.
                for records in pieces(&records, PAGE_EVENTS_MAX, PAGE_BYTES_MAX) {
                    let fresh = Fresh { since, requests: requests.clone() };
                    tail.push(Frame::fresh(&thread.thread, thread.epoch, records, fresh));
                }
            }
            for (told, appended) in told {
                told.tell(Ok(appended));
            }
        }
    });
    sender
}
