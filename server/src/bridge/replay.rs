//! Runs as the log has them: read event by event, for what is not in memory.

use std::{collections::HashMap, ops::ControlFlow};

use rethread_shared::{
    EventKind, RunId, ThreadId, WireError,
    event::{Envelope, Payload},
    limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX},
    order::RunState,
};

use crate::log::{Log, PageLimit, RunRecord};

/// An event of a run, as far as its order matters.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) seq: u64,
    pub(super) kind: EventKind,
}

/// A run's state, and the events that made it.
pub(super) type Replayed = (RunState, Vec<Step>);

/// Reads a run's state, and the events that made it, from the log.
pub(super) async fn replay(log: &dyn Log, record: &RunRecord) -> Result<Replayed, WireError> {
    let mut replayed = replay_all(log, &record.thread, std::slice::from_ref(record)).await?;
    Ok(replayed.pop().expect("one for each record"))
}

/// The same for several runs of one thread, which is read once for all of them.
pub(super) async fn replay_all(
    log: &dyn Log,
    thread: &ThreadId,
    records: &[RunRecord],
) -> Result<Vec<Replayed>, WireError> {
    let mut replayed: Vec<Replayed> = records.iter().map(|_| (RunState::New, Vec::new())).collect();
    let mut places = HashMap::new();
    for (place, record) in records.iter().enumerate() {
        // A run that was migrated may have events under both of its ids.
        for id in std::iter::once(&record.run).chain(&record.standard) {
            places.insert(id.as_str(), place);
        }
    }
    let alone = match records {
        [RunRecord { run, standard: None, .. }] => Some(run.as_str()),
        _ => None,
    };
    let after = records.iter().map(|record| record.after).min().unwrap_or(0);
    let wanted = |text: &str| alone.is_none_or(|run| text.contains(run));
    let mut seen: Vec<Seen> = records.iter().map(|_| Seen::default()).collect();
    walk(log, thread, after, u64::MAX, wanted, |seq, envelope| {
        if let Some(place) = places.get(&*envelope.run) {
            let (state, steps) = &mut replayed[*place];
            let (kind, call_id) = kind_of(envelope);
            let Seen { end, broken } = &mut seen[*place];
            if let Err(error) = state.apply(&records[*place].run, &kind, call_id.as_deref()) {
                broken.get_or_insert((seq, error));
            }
            if kind.is_end() {
                *end = Some(kind.clone());
            }
            if kind.changes_order() {
                steps.push(Step { seq, kind });
            }
        }
        ControlFlow::Continue(())
    })
    .await?;
    // Asked now, for it may have risen while the log was read.
    let first = log.thread(thread)?.map_or(1, |info| info.first);
    for ((record, (state, _)), Seen { end, broken }) in records.iter().zip(&mut replayed).zip(seen)
    {
        let run = &record.run;
        if !record.live && !state.is_ended() && first > record.after + 1 {
            // Its beginning is kept no longer; that it has ended is remembered, with what its end was
            // unless that is gone too.
            *state = RunState::Ended { by: end.unwrap_or(EventKind::AgentCompleted) };
        } else if let Some((seq, error)) = broken {
            tracing::error!(%run, seq, %error, "the log breaks a run's order");
        }
    }
    Ok(replayed)
}

/// Of a run, what was seen beside its order.
#[derive(Default)]
struct Seen {
    /// What ended it.
    end: Option<EventKind>,
    /// Where its order is broken first, and how.
    broken: Option<(u64, WireError)>,
}

/// Looks for a run that has ended among the events up to `until`: the place of its first event, and
/// what ended it. None when it has no events there.
pub(super) async fn find_end(
    log: &dyn Log,
    thread: &ThreadId,
    run: &RunId,
    until: u64,
) -> Result<Option<(u64, EventKind)>, WireError> {
    let mut found: Option<(u64, EventKind)> = None;
    let wanted = |text: &str| text.contains(run.as_str());
    walk(log, thread, 0, until, wanted, |seq, envelope| {
        if envelope.run != run.as_str() {
            return ControlFlow::Continue(());
        }
        let (kind, _) = kind_of(envelope);
        let is_end = kind.is_end();
        let (first, _) = found.take().unwrap_or((seq, kind.clone()));
        found = Some((first, kind));
        if is_end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .await?;
    Ok(found)
}

/// Reads events after `after` as far as `until`; those whose text is wanted are parsed.
async fn walk(
    log: &dyn Log,
    thread: &ThreadId,
    mut after: u64,
    until: u64,
    wanted: impl Fn(&str) -> bool + Send,
    mut each: impl FnMut(u64, &Envelope<'_>) -> ControlFlow<()> + Send,
) -> Result<(), WireError> {
    let limit = PageLimit { events: PAGE_EVENTS_MAX, bytes: PAGE_BYTES_MAX };
    while after < until {
        let page = log.read(thread, after, limit).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.seq;
        for stored in page.iter().take_while(|stored| stored.seq <= until) {
            let Ok(text) = std::str::from_utf8(&stored.body) else { continue };
            if !wanted(text) {
                continue;
            }
            let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(text) else { continue };
            if each(stored.seq, &envelope).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The kind of a stored event, and its call where it has one.
fn kind_of(envelope: &Envelope<'_>) -> (EventKind, Option<String>) {
    let kind = EventKind::from(envelope.kind.as_ref());
    let call_id = match Payload::read(&kind, envelope.data_or_empty()) {
        Ok(Payload::ToolExecuting(data)) => Some(data.call_id.into_owned()),
        Ok(Payload::ToolCompleted(data)) => Some(data.call_id.into_owned()),
        _ => None,
    };
    (kind, call_id)
}
