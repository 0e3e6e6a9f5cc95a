//! What the session says, passed on to whoever waits for it.

use rethread_shared::{Event, ThreadId};

use super::{
    super::subscription::{Batch, Delivery},
    Driver, Pending,
};
use crate::{
    native::Error,
    session::{CommandId, Failure, Notice, Status},
};

impl Driver {
    pub(super) fn notice(&mut self, notice: Notice<Vec<Event>>) {
        match notice {
            Notice::Status(status) => {
                tracing::debug!(?status, "status");
                if status == Status::Online {
                    self.common.set_limits(self.session.limits());
                }
                self.common.status.send_replace(status);
            }
            Notice::Subscribed { thread, position, head } => {
                if let Some((_, answer)) = self.inlets.get_mut(&thread)
                    && let Some(answer) = answer.take()
                    && answer.send(Ok((position, head))).is_err()
                {
                    // Whoever asked has gone.
                    self.inlets.remove(&thread);
                    self.session.unsubscribe(&thread, self.now());
                }
            }
            Notice::Events(delivery) => {
                let (epoch, replayed) = (delivery.epoch, delivery.replayed);
                let (first, last, events) = (delivery.first, delivery.last, delivery.events);
                let batch = Batch { epoch, first, last, replayed, events };
                self.deliver(&delivery.thread, Delivery::Events(batch));
            }
            Notice::Reset { thread, epoch, reason } => {
                self.deliver(&thread, Delivery::Reset { epoch, reason });
            }
            Notice::CaughtUp { thread, replayed } => {
                tracing::debug!(%thread, replayed, "caught up");
            }
            Notice::Unsubscribed { thread, error } => {
                if let Some((inlet, answer)) = self.inlets.remove(&thread) {
                    let error = Error::Refused(error);
                    match answer {
                        Some(answer) => drop(answer.send(Err(error))),
                        None => inlet.end(error),
                    }
                }
            }
            Notice::Published { command, results } => {
                if let Some(Pending::Publish(answer, ends)) = self.commands.remove(&command) {
                    for run in ends {
                        self.session.release(&run);
                        self.common.end_run(&run);
                    }
                    answer.to.send(Ok(results)).ok();
                }
            }
            Notice::Sent { command, run, seq } => {
                if let Some(Pending::Send(answer)) = self.commands.remove(&command) {
                    answer.to.send(Ok((run, seq))).ok();
                }
            }
            Notice::Cancelled { command, seq, .. } => {
                if let Some(Pending::Cancel(answer)) = self.commands.remove(&command) {
                    answer.to.send(Ok(seq)).ok();
                }
            }
            Notice::Failed { command, failure } => self.fail(command, failure),
            Notice::Work(work) => {
                self.common.begin_run(&work.run);
                let run = work.run.clone();
                let taken = self.work.get(&work.agent).map(|stream| stream.try_send(work));
                if !matches!(taken, Some(Ok(()))) {
                    // Not claimed, so the server hands it to another.
                    self.session.release(&run);
                    self.common.end_run(&run);
                }
            }
            Notice::RunCancelled { run, .. } => self.common.cancel_run(&run),
            Notice::TokenExpiring => self.renew(),
            Notice::Refused(error) => tracing::warn!(%error, "the server refused something"),
        }
    }

    fn deliver(&mut self, thread: &ThreadId, delivery: Delivery) {
        let now = self.now();
        if let Some((inlet, _)) = self.inlets.get_mut(thread)
            && !inlet.push(delivery)
        {
            self.session.pause(thread, now);
        }
    }

    fn fail(&mut self, command: CommandId, failure: Failure) {
        let error = match failure {
            Failure::Refused(error) => Error::Refused(error),
            Failure::Closed => Error::Closed(self.closed()),
        };
        match self.commands.remove(&command) {
            Some(Pending::Publish(answer, _)) => drop(answer.to.send(Err(error))),
            Some(Pending::Send(answer)) => drop(answer.to.send(Err(error))),
            Some(Pending::Cancel(answer)) => drop(answer.to.send(Err(error))),
            None => {}
        }
    }
}
