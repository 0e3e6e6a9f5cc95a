//! The ready-made `events` frame: made once for each group commit, shared by all subscribers.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use rethread_shared::{Epoch, ThreadId, json};

use super::{Record, RequestId};

/// Bytes of a frame's head at most, without its thread.
const HEAD_BYTES_MAX: usize = 128;

/// Consecutive events of one thread as the text of one wire frame. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The seq of the first event in it.
    pub first: u64,
    /// The seq of the last.
    pub last: u64,
    /// The whole frame, valid UTF-8.
    pub text: Bytes,
    made: Arc<Made>,
}

#[derive(Debug)]
struct Made {
    /// Where in `text` each event begins; the last entry is one past the end of the last event
    /// plus one, as if a comma followed it too.
    starts: Vec<u32>,
    /// Where it comes from; `None` when it was read from the log.
    fresh: Option<Fresh>,
}

/// What a frame of a commit knows of its origin. One for the whole commit: a delivery need not ask a
/// clock for each event.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// When the oldest of its events was given to the log.
    pub since: Instant,
    /// The requests that brought its events.
    pub requests: Vec<RequestId>,
}

impl Frame {
    /// Makes the frame of `records`, which must be consecutive and not empty.
    #[must_use]
    pub fn new(thread: &ThreadId, epoch: Epoch, records: &[Record]) -> Self {
        Self::make(thread, epoch, records, None)
    }

    /// The same for what was just committed.
    #[must_use]
    pub(super) fn fresh(thread: &ThreadId, epoch: Epoch, records: &[Record], fresh: Fresh) -> Self {
        Self::make(thread, epoch, records, Some(fresh))
    }

    fn make(thread: &ThreadId, epoch: Epoch, records: &[Record], fresh: Option<Fresh>) -> Self {
        let (first, last) = (records[0].seq, records[records.len() - 1].seq);
        debug_assert_eq!(last - first + 1, records.len() as u64, "records without holes");
        let bytes: usize = records.iter().map(|record| record.body.len() + 28).sum();
        let mut text = head(thread, epoch, first, last, bytes);
        let mut starts = Vec::with_capacity(records.len() + 1);
        for record in records {
            starts.push(text.len() as u32);
            push_event(&mut text, record);
            text.push(b',');
        }
        starts.push(text.len() as u32);
        // The last comma becomes the array's end.
        text.pop();
        text.extend_from_slice(b"]}");
        Self { first, last, text: text.into(), made: Arc::new(Made { starts, fresh }) }
    }

    /// Where it comes from; `None` when it was read from the log.
    #[must_use]
    pub fn origin(&self) -> Option<&Fresh> {
        self.made.fresh.as_ref()
    }

    /// The events from `first` on, each with its seq and its text, shared with the frame.
    pub fn events(&self, first: u64) -> impl Iterator<Item = (u64, Bytes)> + '_ {
        (first.max(self.first)..=self.last).map(move |seq| {
            let place = (seq - self.first) as usize;
            let (from, to) =
                (self.made.starts[place] as usize, self.made.starts[place + 1] as usize - 1);
            (seq, self.text.slice(from..to))
        })
    }

    /// The same without the events before `first`; itself when there are none.
    #[must_use]
    pub fn from(&self, first: u64, thread: &ThreadId, epoch: Epoch) -> Self {
        if first <= self.first {
            return self.clone();
        }
        let skipped = (first - self.first) as usize;
        let old = self.made.starts[skipped];
        let kept = &self.text[old as usize..];
        let mut text = head(thread, epoch, first, self.last, kept.len());
        let new = text.len() as u32;
        text.extend_from_slice(kept);
        let starts = self.made.starts[skipped..].iter().map(|start| start - old + new).collect();
        let made = Made { starts, fresh: self.made.fresh.clone() };
        Self { first, last: self.last, text: text.into(), made: Arc::new(made) }
    }
}

/// A frame's text up to its events, with room for so many bytes more. Piece by piece: formatting costs
/// several times as much, and most threads get one event at a time.
fn head(thread: &ThreadId, epoch: Epoch, first: u64, last: u64, bytes: usize) -> Vec<u8> {
    let thread = thread.as_str();
    let mut text = Vec::with_capacity(HEAD_BYTES_MAX + thread.len() + bytes);
    text.extend_from_slice(br#"{"op":"events","thread":""#);
    text.extend_from_slice(thread.as_bytes());
    text.extend_from_slice(br#"","epoch":""#);
    text.extend_from_slice(epoch.encode(&mut [0; Epoch::TEXT_BYTES]).as_bytes());
    text.extend_from_slice(br#"","first":"#);
    push_number(&mut text, first);
    text.extend_from_slice(br#","last":"#);
    push_number(&mut text, last);
    text.extend_from_slice(br#","events":["#);
    text
}

fn push_number(text: &mut Vec<u8>, number: u64) {
    text.extend_from_slice(json::digit_bytes(number, &mut [0; json::DIGITS_MAX]));
}

/// Writes one event: its seq, then the members that were appended.
pub fn push_event(text: &mut Vec<u8>, record: &Record) {
    debug_assert!(record.body.starts_with(b"{\""), "a body is an object that is not empty");
    text.extend_from_slice(br#"{"seq":"#);
    push_number(text, record.seq);
    text.push(b',');
    text.extend_from_slice(&record.body[1..]);
}

/// Consecutive records, cut into pieces of so many events and bytes. One that is larger is a piece alone.
pub fn pieces(
    mut records: &[Record],
    events: usize,
    bytes: usize,
) -> impl Iterator<Item = &[Record]> {
    std::iter::from_fn(move || {
        let mut sum = 0;
        let fits = records.iter().take(events).take_while(|record| {
            sum += record.body.len();
            sum <= bytes
        });
        let (piece, rest) = records.split_at(fits.count().max(1).min(records.len()));
        records = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use rethread_shared::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};

    use super::*;

    fn record(seq: u64) -> Record {
        Record { seq, body: format!(r#"{{"id":"e{seq}","data":{{}}}}"#).into() }
    }

    #[test]
    fn a_frame_is_json_and_gives_its_events_back() {
        let thread: ThreadId = "thread_a".parse().unwrap();
        let epoch: Epoch = "0000000a".parse().unwrap();
        let records: Vec<_> = (9..=12).map(record).collect();
        let frame = Frame::new(&thread, epoch, &records);
        for frame in [frame.clone(), frame.from(11, &thread, epoch), frame.from(3, &thread, epoch)]
        {
            let json: serde_json::Value = serde_json::from_slice(&frame.text).unwrap();
            assert_eq!(json["op"], "events");
            assert_eq!(json["first"], frame.first);
            assert_eq!(json["last"], 12);
            let events = json["events"].as_array().unwrap();
            assert_eq!(events.len() as u64, 12 - frame.first + 1);
            for (event, (seq, text)) in events.iter().zip(frame.events(0)) {
                assert_eq!(event["seq"], seq);
                assert_eq!(event["id"], format!("e{seq}"));
                assert_eq!(*event, serde_json::from_slice::<serde_json::Value>(&text).unwrap());
            }
        }
    }

    #[test]
    fn a_group_is_cut_into_pieces_of_a_page_and_loses_nothing() {
        let sizes = [10, PAGE_BYTES_MAX, 3, PAGE_BYTES_MAX * 2, 5, 6];
        let records: Vec<_> = sizes
            .iter()
            .zip(1..)
            .map(|(size, seq)| Record { seq, body: vec![b'x'; *size].into() })
            .collect();
        let cut: Vec<Vec<u64>> = pieces(&records, PAGE_EVENTS_MAX, PAGE_BYTES_MAX)
            .map(|piece| piece.iter().map(|record| record.seq).collect())
            .collect();
        assert_eq!(cut, [vec![1], vec![2], vec![3], vec![4], vec![5, 6]]);
        assert_eq!(pieces(&[], PAGE_EVENTS_MAX, PAGE_BYTES_MAX).count(), 0);
        let many: Vec<_> = (1..=PAGE_EVENTS_MAX as u64 + 1)
            .map(|seq| Record { seq, body: bytes::Bytes::from_static(b"x") })
            .collect();
        assert_eq!(
            pieces(&many, PAGE_EVENTS_MAX, PAGE_BYTES_MAX).map(<[Record]>::len).collect::<Vec<_>>(),
            [PAGE_EVENTS_MAX, 1]
        );
    }
}
