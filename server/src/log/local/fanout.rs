//! From the commit thread to the followers: makes each thread's frame, once, and wakes who follows.
//! A task of the runtime, so that the next fsync need not wait for a thousand wake-ups.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::OpenThread;
use crate::log::{Record, frame::Frame};

/// Groups that may wait for the fan-out. Beyond, the commit thread waits: followers that are woken
/// late are no reason to hold ever more frames in memory.
const GROUPS_WAITING_MAX: usize = 16;

/// The new, durable events of one thread in one group.
pub(super) struct Committed {
    pub(super) thread: Arc<OpenThread>,
    pub(super) records: Vec<Record>,
}

pub(super) fn spawn() -> mpsc::Sender<Vec<Committed>> {
    let (sender, mut groups) = mpsc::channel::<Vec<Committed>>(GROUPS_WAITING_MAX);
    tokio::spawn(async move {
        while let Some(group) = groups.recv().await {
            for Committed { thread, records } in group {
                let Some(tail) = thread.tail.lock().upgrade() else { continue };
                tail.push(Frame::new(&thread.thread, thread.epoch, &records));
            }
        }
    });
    sender
}
