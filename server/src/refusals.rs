//! What was refused: counted, logged, and the newest kept for operators.
//!
//! Nothing that is refused is refused silently, and nothing that a client sent gets into a log that
//! way: neither tokens nor what stands in events. What came is repeated only where it is an id.

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rethread_shared::{
    ErrorCode, WireError,
    frame::Outcome,
    limits::{REFUSALS_KEPT_MAX, REFUSALS_LOGGED_PER_SECOND_MAX},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    metrics::{self, meters},
    now,
    request::Request,
    schema,
};

/// The refusals of one server.
#[derive(Debug, Default)]
pub struct Refusals {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    kept: VecDeque<Arc<Refusal>>,
    count: u64,
    /// The second that is being logged, what was logged in it, and what was not.
    second: Option<Instant>,
    logged: u32,
    unsaid: u64,
}

/// A refusal as operators see it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// Counts the refusals of this process from 1.
    pub number: u64,
    /// When, milliseconds since 1970.
    #[schema(value_type = schema::Millis)]
    pub at: u64,
    /// The request.
    #[schema(value_type = String)]
    pub request: String,
    /// How it came.
    #[schema(value_type = String)]
    pub transport: Cow<'static, str>,
    /// What was asked: an op of the WebSocket, or a method and an address.
    pub asked: String,
    /// The user, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub user: Option<Arc<str>>,
    /// How many events of a publish were refused with this code; 0 where it was no publish.
    pub events: usize,
    /// The code.
    #[schema(value_type = schema::Code)]
    pub code: ErrorCode,
    /// The reason. Of several events, that of the first.
    pub message: String,
    /// What would have been right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The id that came, where the reason is an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<String>,
    /// The steps that were tried to find a run's thread.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<String>,
}

/// Who was refused, and what.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The request.
    pub request: &'a Request,
    /// What was asked.
    pub asked: &'a str,
    /// The user, where one is known.
    pub user: Option<&'a Arc<str>>,
}

impl Refusals {
    /// A request was refused.
    pub fn note(&self, asker: Asker<'_>, error: &WireError) {
        let transport = asker.request.transport.label();
        let code = meters::label(&error.code);
        metrics::counter!(metrics::REQUESTS_REFUSED, "transport" => transport, "code" => code)
            .increment(1);
        self.keep(asker, error, 0);
    }

    /// Events of a publish were refused: one entry for each code. They are counted with the events.
    pub fn note_events(&self, asker: Asker<'_>, outcomes: &[Outcome]) {
        let mut found: Vec<(&WireError, usize)> = Vec::new();
        for outcome in outcomes {
            let Outcome::Refused { error, .. } = outcome else { continue };
            match found.iter_mut().find(|(first, _)| first.code == error.code) {
                Some((_, events)) => *events += 1,
                None => found.push((error, 1)),
            }
        }
        for (error, events) in found {
            self.keep(asker, error, events);
        }
    }

    /// The newest that are older than `before`, the newest first.
    #[must_use]
    pub fn page(&self, before: u64, limit: usize) -> Vec<Arc<Refusal>> {
        let book = self.book.lock();
        let older = book.kept.iter().rev().filter(|refusal| refusal.number < before);
        older.take(limit).cloned().collect()
    }

    fn keep(&self, asker: Asker<'_>, error: &WireError, events: usize) {
        let is_id = matches!(
            error.code,
            ErrorCode::BadId | ErrorCode::RunUnresolved | ErrorCode::RunConflict
        );
        let mut book = self.book.lock();
        book.count += 1;
        let refusal = Arc::new(Refusal {
            number: book.count,
            at: now::unix_ms(),
            request: asker.request.id.to_string(),
            transport: asker.request.transport.label().into(),
            asked: asker.asked.to_owned(),
            user: asker.user.cloned(),
            events,
            code: error.code.clone(),
            message: without_contents(&error.message),
            expected: error.expected.clone(),
            received: error.received.clone().filter(|_| is_id),
            tried: error.tried.clone(),
        });
        if book.kept.len() == REFUSALS_KEPT_MAX {
            book.kept.pop_front();
        }
        book.kept.push_back(refusal.clone());
        if let Some(unsaid) = book.may_log(Instant::now()) {
            drop(book);
            log(&refusal, unsaid);
        }
    }
}

impl Book {
    /// Whether this one is logged: so many in a second are. Gives how many before it were not.
    fn may_log(&mut self, now: Instant) -> Option<u64> {
        if self.second.is_none_or(|began| now - began >= Duration::from_secs(1)) {
            (self.second, self.logged) = (Some(now), 0);
        }
        if self.logged == REFUSALS_LOGGED_PER_SECOND_MAX {
            self.unsaid += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

fn log(refusal: &Refusal, unsaid: u64) {
    let Refusal { request, transport, asked, events, code, message, .. } = refusal;
    let user = refusal.user.as_deref().unwrap_or("-");
    if unsaid > 0 {
        tracing::warn!(refusals = unsaid, "more was refused than is logged");
    }
    if code.status() >= 500 {
        tracing::warn!(%request, %transport, asked, user, events, %code, %message, "refused");
    } else {
        tracing::info!(%request, %transport, asked, user, events, %code, %message, "refused");
    }
}

/// A message without what it may repeat of a client's JSON: texts in quotes, and numbers where serde
/// names them.
fn without_contents(message: &str) -> String {
    let mut kept = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find(['"', '`']) {
        let quote = rest.as_bytes()[at];
        kept.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        let hides = quote == b'"'
            || ["integer `", "point `", "boolean `", "character `"]
                .iter()
                .any(|w| kept.ends_with(w));
        let mut escaped = false;
        let end = rest.bytes().position(|byte| {
            let ends = byte == quote && !escaped;
            escaped = quote == b'"' && byte == b'\\' && !escaped;
            ends
        });
        let inside = &rest[..end.unwrap_or(rest.len())];
        kept.push_str(if hides { "…" } else { inside });
        rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
        if end.is_some() {
            kept.push(quote as char);
        }
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::meters::Transport;

    fn error(code: ErrorCode) -> WireError {
        WireError::new(code, "no")
    }

    #[test]
    fn the_newest_are_kept_and_paged_backwards() {
        let refusals = Refusals::default();
        let request = Request::new(Transport::Http);
        let asker = Asker { request: &request, asked: "publish", user: None };
        for _ in 0..REFUSALS_KEPT_MAX + 10 {
            refusals.note(asker, &error(ErrorCode::RunEnded));
        }
        let newest = refusals.page(u64::MAX, 3);
        let last = (REFUSALS_KEPT_MAX + 10) as u64;
        let numbers: Vec<u64> = newest.iter().map(|refusal| refusal.number).collect();
        assert_eq!(numbers, [last, last - 1, last - 2]);
        let rest = refusals.page(last - 2, usize::MAX);
        assert_eq!(rest.len(), REFUSALS_KEPT_MAX - 3);
        assert_eq!(rest.last().unwrap().number, 11);
    }

    #[test]
    fn a_publish_has_an_entry_for_each_code() {
        let refusals = Refusals::default();
        let request = Request::new(Transport::Http);
        let codes = [ErrorCode::RunEnded, ErrorCode::RunOrder, ErrorCode::RunEnded];
        let outcomes = codes.map(|code| Outcome::Refused { id: None, error: error(code) });
        let asker = Asker { request: &request, asked: "publish", user: None };
        refusals.note_events(asker, &outcomes);
        let found: Vec<_> =
            refusals.page(u64::MAX, 9).iter().map(|r| (r.code.clone(), r.events)).collect();
        assert_eq!(found, [(ErrorCode::RunOrder, 1), (ErrorCode::RunEnded, 2)]);
    }

    #[test]
    fn a_flood_is_logged_in_part_and_says_so() {
        let mut book = Book::default();
        let start = Instant::now();
        let logged = (0..1_000).filter(|_| book.may_log(start).is_some()).count();
        assert_eq!(logged, REFUSALS_LOGGED_PER_SECOND_MAX as usize);
        let later = start + Duration::from_secs(1);
        assert_eq!(book.may_log(later), Some(1_000 - logged as u64));
        assert_eq!(book.may_log(later), Some(0));
    }

    #[test]
    fn nothing_that_a_client_wrote_is_repeated() {
        for (message, safe) in [
            (
                r#"invalid type: string "a \" secret", expected u64"#,
                r#"invalid type: string "…", expected u64"#,
            ),
            (
                "invalid type: integer `4711`, expected a string",
                "invalid type: integer `…`, expected a string",
            ),
            ("missing field `agent` at line 1", "missing field `agent` at line 1"),
            (r#"it breaks off: "never closed"#, r#"it breaks off: "…"#),
            ("plain", "plain"),
        ] {
            assert_eq!(without_contents(message), safe);
        }
    }
}
