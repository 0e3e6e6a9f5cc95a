use rethread_shared::{
    Position, ThreadId, WireError,
    frame::{Events, Reset, ResetReason, Start, Subscribe, Subscribed},
};

use super::{Batch, Delivery, Notice};

/// The threads that are followed, each with its cursor.
///
/// A subscribe is answered exactly once, and no thread has two of them unanswered: so an answer is
/// never taken for another's.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// Ascending by thread.
    list: Vec<Subscription>,
    /// True when something may have to be sent.
    due: bool,
    #[cfg(test)]
    pub(super) sabotage: Option<super::Sabotage>,
}

#[derive(Debug)]
struct Subscription {
    thread: ThreadId,
    start: Start,
    /// Everything up to here has been delivered; none until the server has said where the start is.
    cursor: Option<Position>,
    wish: Wish,
    stage: Stage,
    /// Askings since the last progress, to space out those that bring none.
    fruitless: u32,
}

/// What the application wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Follow,
    /// Not now: it will go on from the cursor.
    Pause,
    /// No more; kept only until the server's answer has come.
    Leave,
}

/// What the server has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing, and nothing is to be told before this time.
    Unasked { not_before: u64 },
    /// `subscribe` is sent and not answered. When `stale`, the answer is for an earlier wish.
    Asked { stale: bool },
    /// It sends events. `head` was the log's end when it began; `replayed` of those were delivered.
    Following { head: u64, replayed: u64, caught_up: bool },
}

/// What came of an `events` frame.
#[derive(Debug)]
pub(super) enum Progress<B> {
    /// For the application; with the number of events replayed, when this completed the replay.
    Deliver(Delivery<B>, Option<u64>),
    /// The application has all of it, or does not want it.
    Nothing,
    /// Something is missing before it: the thread must be asked for again, after a pause when
    /// askings have brought nothing this many times.
    Repair { fruitless: u32 },
}

/// What to do after an answer about a subscription.
#[derive(Debug)]
pub(super) enum Next {
    Nothing,
    /// The server must be told that the thread is not wanted.
    Unsubscribe,
    /// Ask again, as in [`Progress::Repair`].
    Repair {
        fruitless: u32,
    },
}

impl Subscriptions {
    pub(super) fn position(&self, thread: &ThreadId) -> Option<Position> {
        self.list[self.find(thread)?].cursor
    }

    /// Follows a thread. Nothing changes for one that is followed already.
    pub(super) fn subscribe(&mut self, thread: ThreadId, start: Start) {
        let cursor = match start {
            Start::After(position) => Some(position),
            Start::Beginning | Start::Now => None,
        };
        self.due = true;
        match self.list.binary_search_by(|s| s.thread.cmp(&thread)) {
            Ok(index) => {
                let known = &mut self.list[index];
                if known.wish == Wish::Leave {
                    (known.start, known.cursor, known.wish) = (start, cursor, Wish::Follow);
                    known.stage = Stage::Asked { stale: true };
                }
            }
            Err(index) => self.list.insert(
                index,
                Subscription {
                    thread,
                    start,
                    cursor,
                    wish: Wish::Follow,
                    stage: Stage::Unasked { not_before: 0 },
                    fruitless: 0,
                },
            ),
        }
    }

    /// Follows a thread no more. True when the server must be told.
    pub(super) fn unsubscribe(&mut self, thread: &ThreadId) -> bool {
        let Some(index) = self.find(thread) else { return false };
        if matches!(self.list[index].stage, Stage::Asked { .. }) {
            self.list[index].wish = Wish::Leave;
            return false;
        }
        matches!(self.list.remove(index).stage, Stage::Following { .. })
    }

    /// Lets a thread rest at its cursor. True when the server must be told.
    pub(super) fn pause(&mut self, thread: &ThreadId) -> bool {
        let Some(index) = self.find(thread) else { return false };
        let subscription = &mut self.list[index];
        if subscription.wish != Wish::Follow {
            return false;
        }
        subscription.wish = Wish::Pause;
        let following = matches!(subscription.stage, Stage::Following { .. });
        if following {
            subscription.stage = Stage::Unasked { not_before: 0 };
        }
        following
    }

    /// Goes on from the cursor.
    pub(super) fn resume(&mut self, thread: &ThreadId) {
        if let Some(index) = self.find(thread)
            && self.list[index].wish == Wish::Pause
        {
            self.list[index].wish = Wish::Follow;
            self.due = true;
        }
    }

    /// The next `subscribe` to send.
    pub(super) fn poll_frame(&mut self, now: u64) -> Option<Subscribe> {
        if !self.due {
            return None;
        }
        let next = self.list.iter_mut().find(|s| s.may_ask() && s.not_before() <= now);
        let Some(subscription) = next else {
            self.due = false;
            return None;
        };
        subscription.stage = Stage::Asked { stale: false };
        let after = subscription.cursor.map_or(subscription.start, Start::After);
        Some(Subscribe { thread: subscription.thread.clone(), after })
    }

    /// When a subscription that waits may be asked for.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.list.iter().filter(|s| s.may_ask()).map(Subscription::not_before).min()
    }

    /// Time has passed, or the connection is new: look again at what may be asked for.
    pub(super) fn wake(&mut self) {
        self.due = true;
    }

    /// Puts off asking for a thread that is not asked for.
    pub(super) fn defer(&mut self, thread: &ThreadId, until: u64) {
        if let Some(index) = self.find(thread)
            && let Stage::Unasked { not_before } = &mut self.list[index].stage
        {
            *not_before = until;
            self.due = true;
        }
    }

    pub(super) fn handle_events<B: Batch>(&mut self, frame: Events<B>) -> Progress<B> {
        let Some(index) = self.find(&frame.thread) else { return Progress::Nothing };
        #[cfg(test)]
        let sabotage = self.sabotage;
        let subscription = &mut self.list[index];
        let (asked, wish) = (subscription.stage, subscription.wish);
        // While asked, what the earlier subscription still sends is good where it continues.
        let wanted = wish == Wish::Follow
            && matches!(asked, Stage::Asked { stale: false } | Stage::Following { .. });
        let Some(cursor) = subscription.cursor.filter(|_| wanted) else {
            return Progress::Nothing;
        };
        let following = matches!(asked, Stage::Following { .. });
        let Events { thread, epoch, mut first, last, mut events } = frame;
        let whole = last >= first && events.len() as u64 == last - first + 1;
        let continues = epoch == cursor.epoch && first <= cursor.seq + 1 && first > 0 && whole;
        #[cfg(test)]
        let continues = continues || (sabotage == Some(super::Sabotage::HolesPass) && whole);
        if !continues {
            return if following { subscription.repair() } else { Progress::Nothing };
        }
        let duplicates = (cursor.seq + 1).saturating_sub(first);
        #[cfg(test)]
        let duplicates =
            if sabotage == Some(super::Sabotage::DuplicatesPass) { 0 } else { duplicates };
        if duplicates >= events.len() as u64 {
            return Progress::Nothing;
        }
        if duplicates > 0 {
            events.drop_first(duplicates as usize);
            first += duplicates;
        }
        let position = Position { epoch, seq: last };
        subscription.cursor = Some(position);
        subscription.fruitless = 0;
        let (replayed, caught_up) = subscription.count(last, events.len() as u64);
        Progress::Deliver(Delivery { thread, epoch, first, last, replayed, events }, caught_up)
    }

    /// `subscribed`, with the notices that it makes.
    pub(super) fn handle_subscribed<B>(
        &mut self,
        frame: &Subscribed,
        mut notify: impl FnMut(Notice<B>),
    ) -> Next {
        let Some(index) = self.find(&frame.thread) else { return Next::Nothing };
        let subscription = &mut self.list[index];
        match (subscription.stage, subscription.wish) {
            (Stage::Asked { .. }, Wish::Leave) => {
                self.list.remove(index);
                return Next::Unsubscribe;
            }
            (Stage::Asked { .. }, Wish::Pause) => {
                subscription.stage = Stage::Unasked { not_before: 0 };
                return Next::Unsubscribe;
            }
            (Stage::Asked { stale: true }, Wish::Follow) => {
                subscription.stage = Stage::Unasked { not_before: 0 };
                self.due = true;
                return Next::Nothing;
            }
            (Stage::Asked { stale: false }, Wish::Follow) => {}
            _ => return Next::Nothing,
        }
        let cursor = match subscription.cursor {
            None => Position { epoch: frame.epoch, seq: frame.after },
            Some(cursor) if cursor.epoch == frame.epoch && frame.after <= cursor.seq => cursor,
            Some(cursor) if cursor.epoch == frame.epoch => return subscription.ask_again(),
            Some(_) => {
                // Another incarnation, and the server did not say so: it is said here, and the log
                // is asked for from its start.
                let (thread, epoch) = (frame.thread.clone(), frame.epoch);
                let reason = ResetReason::EpochChanged;
                notify(Notice::Reset { thread, epoch, reason });
                subscription.forget();
                return subscription.ask_again();
            }
        };
        subscription.cursor = Some(cursor);
        let (thread, head) = (frame.thread.clone(), frame.head);
        notify(Notice::Subscribed { thread: thread.clone(), position: cursor, head });
        let caught_up = cursor.seq >= head;
        subscription.stage = Stage::Following { head, replayed: 0, caught_up };
        if caught_up {
            notify(Notice::CaughtUp { thread, replayed: 0 });
        }
        Next::Nothing
    }

    /// `reset`: what there was is void. True when the application must be told; it need not where
    /// it has been given nothing.
    pub(super) fn handle_reset(&mut self, frame: &Reset) -> bool {
        let Some(index) = self.find(&frame.thread) else { return false };
        let subscription = &mut self.list[index];
        let current =
            matches!(subscription.stage, Stage::Asked { stale: false } | Stage::Following { .. });
        if !current || subscription.wish != Wish::Follow {
            return false;
        }
        // `subscribed` follows.
        subscription.stage = Stage::Asked { stale: false };
        subscription.forget()
    }

    /// A subscribe was refused. True when the subscription is gone and the application must know;
    /// otherwise it will be asked for again.
    pub(super) fn handle_refused(&mut self, thread: &ThreadId, error: &WireError) -> Option<bool> {
        let index = self.find(thread)?;
        let subscription = &mut self.list[index];
        let was = subscription.stage;
        if matches!(was, Stage::Unasked { .. }) {
            return None;
        }
        if subscription.wish == Wish::Leave {
            self.list.remove(index);
            return None;
        }
        if was == (Stage::Asked { stale: true }) || error.code.is_transient() {
            subscription.fruitless = subscription.fruitless.saturating_add(1);
            subscription.stage = Stage::Unasked { not_before: 0 };
            self.due = true;
            return (was != Stage::Asked { stale: true }).then_some(false);
        }
        self.list.remove(index);
        Some(true)
    }

    /// How often in a row asking for this thread has brought nothing.
    pub(super) fn fruitless(&self, thread: &ThreadId) -> u32 {
        self.find(thread).map_or(0, |index| self.list[index].fruitless)
    }

    /// The connection is lost: all is to be asked for again.
    pub(super) fn disconnected(&mut self) {
        self.list.retain(|subscription| subscription.wish != Wish::Leave);
        for subscription in &mut self.list {
            subscription.stage = Stage::Unasked { not_before: 0 };
            subscription.fruitless = 0;
        }
        self.due = true;
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    fn find(&self, thread: &ThreadId) -> Option<usize> {
        self.list.binary_search_by(|s| s.thread.cmp(thread)).ok()
    }
}

impl Subscription {
    fn may_ask(&self) -> bool {
        self.wish == Wish::Follow && matches!(self.stage, Stage::Unasked { .. })
    }

    fn not_before(&self) -> u64 {
        match self.stage {
            Stage::Unasked { not_before } => not_before,
            _ => 0,
        }
    }

    fn repair<B>(&mut self) -> Progress<B> {
        let fruitless = self.fruitless;
        self.ask_again();
        Progress::Repair { fruitless }
    }

    fn ask_again(&mut self) -> Next {
        let fruitless = self.fruitless;
        self.fruitless = fruitless.saturating_add(1);
        self.stage = Stage::Unasked { not_before: 0 };
        Next::Repair { fruitless }
    }

    /// Begins anew. True when there was something to forget.
    fn forget(&mut self) -> bool {
        self.start = Start::Beginning;
        self.cursor.take().is_some()
    }

    /// Counts a delivery. Says whether it was a replay, and how long the whole replay was when this
    /// was its end.
    fn count(&mut self, last: u64, events: u64) -> (bool, Option<u64>) {
        let Stage::Following { head, replayed, caught_up } = &mut self.stage else {
            return (true, None);
        };
        if *caught_up {
            return (false, None);
        }
        *replayed += events;
        *caught_up = last >= *head;
        (last <= *head, caught_up.then_some(*replayed))
    }
}
