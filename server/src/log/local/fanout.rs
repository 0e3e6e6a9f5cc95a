//! From the commit thread to the followers: makes each thread's frame, once, and wakes who follows.
//! A task of the runtime, so that the next fsync need not wait for a thousand wake-ups.

use std::{sync::Arc, time::Instant};

use rethread_shared::limits::{GROUPS_WAITING_MAX, PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::core::OpenThread;
use crate::log::{
    Record, RequestId,
    frame::{Frame, Fresh},
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
    /// A group's events.
    Group(Vec<Committed>),
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
            let group = match parcel {
                Parcel::Group(group) => group,
                Parcel::Mark(mark) => {
                    let _ = mark.send(());
                    continue;
                }
            };
            for Committed { thread, records, since, requests } in group {
                let Some(tail) = thread.tail.lock().upgrade() else { continue };
                for records in pieces(&records) {
                    let fresh = Fresh { since, requests: requests.clone() };
                    tail.push(Frame::fresh(&thread.thread, thread.epoch, records, fresh));
                }
            }
        }
    });
    sender
}

/// One thread's part of a group in frames of a page's size: a larger one would take a slow reader
/// longer than a write may take, every time again.
fn pieces(mut records: &[Record]) -> impl Iterator<Item = &[Record]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = records.iter().take(PAGE_EVENTS_MAX).take_while(|record| {
            bytes += record.body.len();
            bytes <= PAGE_BYTES_MAX
        });
        let (piece, rest) = records.split_at(fits.count().max(1).min(records.len()));
        records = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_cut_into_pieces_of_a_page_and_loses_nothing() {
        let sizes = [10, PAGE_BYTES_MAX, 3, PAGE_BYTES_MAX * 2, 5, 6];
        let records: Vec<_> = sizes
            .iter()
            .zip(1..)
            .map(|(size, seq)| Record { seq, body: vec![b'x'; *size].into() })
            .collect();
        let cut: Vec<Vec<u64>> =
            pieces(&records).map(|piece| piece.iter().map(|record| record.seq).collect()).collect();
        assert_eq!(cut, [vec![1], vec![2], vec![3], vec![4], vec![5, 6]]);
        assert_eq!(pieces(&[]).count(), 0);
        let many: Vec<_> = (1..=PAGE_EVENTS_MAX as u64 + 1)
            .map(|seq| Record { seq, body: bytes::Bytes::from_static(b"x") })
            .collect();
        assert_eq!(pieces(&many).map(<[Record]>::len).collect::<Vec<_>>(), [PAGE_EVENTS_MAX, 1]);
    }
}
