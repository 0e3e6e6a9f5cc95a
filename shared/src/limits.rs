//! Every limit: name, default, reason. What happens at each is said with it.
//!
//! The server announces the ones that a client must keep to in its `welcome` frame
//! ([`Announced`]), so a client never hard-codes them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

// Ids ------------------------------------------------------------------------------------------

/// Bytes of a thread's key. Long enough for two UUIDs and a tenant's name; short enough that ids
/// stay a small part of a frame. Beyond: `bad_id`.
pub const THREAD_KEY_BYTES_MAX: usize = 128;
/// Digits of the time in a standard run id: milliseconds until the year 33658.
pub const RUN_MS_DIGITS_MAX: usize = 15;
/// Bytes of a run's id: the longest thread, `_run_`, the time, `_`, eight hex digits.
pub const RUN_ID_BYTES_MAX: usize =
    "thread_".len() + THREAD_KEY_BYTES_MAX + "_run_".len() + RUN_MS_DIGITS_MAX + 1 + 32;
/// Bytes of a name inside an event or a frame: an agent, a tool, a call, a message, a type.
pub const NAME_BYTES_MAX: usize = 256;
/// Characters of bad input that an error message repeats, so that an error stays readable.
pub const ERROR_ECHO_CHARS: usize = 80;

// Events and frames ----------------------------------------------------------------------------

/// Bytes of one event as JSON. A tool's output of a quarter megabyte is already more than a chat
/// shows; larger things belong in object storage with a link. Beyond: `event_too_large`.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;
/// Depth of nested JSON in an event. Deeper data has crashed recursive parsers in browsers and
/// agents alike. Beyond: `bad_event`.
pub const JSON_DEPTH_MAX: usize = 64;
/// Members of an event beside the six known ones; more belong in `data`. Beyond: `bad_event`.
pub const EXTRA_MEMBERS_MAX: usize = 32;
/// Bytes of one frame from a client. Beyond: `frame_too_large`, the connection stays.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a frame that are still read to answer with `frame_too_large`. Beyond, the connection
/// ends, for reading on would let one client fill the memory.
pub const FRAME_BYTES_HARD_MAX: usize = 4 * FRAME_BYTES_MAX;
/// Events in one publish. With the largest group commit still well under a frame. Beyond:
/// `too_many_events`.
pub const PUBLISH_EVENTS_MAX: usize = 1_024;
/// Bytes of one HTTP publish body. Beyond: 413 `frame_too_large`.
pub const HTTP_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a user's message. A long pasted document fits. Beyond: `event_too_large`.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

// A connection ---------------------------------------------------------------------------------

/// From the socket's opening to `hello`. Long enough for a token function that asks a slow server.
/// Beyond: closed with `hello_timeout`.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(10);
/// The server is never silent for longer: it sends `beat`. Under the 30 to 60 s after which
/// proxies cut idle sockets, over what would drain a phone's battery.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// Heartbeats of silence after which the other side is taken for gone.
pub const HEARTBEATS_MISSED_MAX: u32 = 2;
/// Threads one connection may follow. A chat list with live badges stays below. Beyond:
/// `too_many_subscriptions`.
pub const SUBSCRIPTIONS_MAX: usize = 256;
/// Publishes of one connection that the log has not answered yet. Beyond: `too_many_in_flight`.
pub const PUBLISHES_IN_FLIGHT_MAX: usize = 64;
/// Messages of one client that are taken before what they lead to is written: as many as a client that
/// publishes ahead may have without an answer.
pub const MESSAGES_AT_ONCE_MAX: usize = PUBLISHES_IN_FLIGHT_MAX;
/// Bytes written to one socket before it is flushed: what one write call carries. More would save no more
/// system calls: a socket takes about as much at once.
pub const WRITE_BYTES_MAX: usize = 64 * 1024;
/// How long a reader may take nothing at all of what is written to it. The system's buffers move in
/// steps of some 64 KiB, so a reader of 1 KB/s is slow and not stalled. Beyond: closed with
/// `slow_reader`; it comes back when it can, and continues from its position.
pub const WRITE_STALL: Duration = Duration::from_secs(90);
/// Bad frames in a row before a connection is closed with `protocol_error`: a client that speaks
/// nonsense must not make the server answer nonsense for ever.
pub const BAD_FRAMES_MAX: u32 = 32;
/// Connections at once. 10 KiB each: 1 GiB. Beyond: `slow_down` before the handshake.
pub const CONNECTIONS_MAX: usize = 100_000;

/// Bytes that the system holds for one connection beside those on their way. Without it a reader that is
/// slow collects megabytes there, and moves on in steps of as much: it would look like one that stalls.
pub const UNSENT_BYTES_MAX: u32 = 128 * 1024;

// The listener ---------------------------------------------------------------------------------

/// From a connection's acceptance to the end of its first request's head, TLS included. A phone on a
/// bad network needs a few round trips. Beyond: closed, for a connection that asks for nothing is an
/// attack, or a probe that has what it wants.
pub const OPENING_DEADLINE: Duration = Duration::from_secs(10);
/// How long a connection may be idle between requests. Longer than the 60 s for which common proxies
/// keep theirs open: who closes first must be the one that asks, or a request meets a closed connection.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(75);
/// How long the body of a request may take. [`HTTP_BODY_BYTES_MAX`] in it is 70 KB/s. Beyond: 408.
pub const BODY_DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of a request's head. The largest token and a browser's other headers fit. Beyond: 431.
pub const REQUEST_HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers of a request. Browsers send twenty, proxies add some. Beyond: 431.
pub const REQUEST_HEADERS_MAX: usize = 64;
/// Pause after the first failure to take a connection, such as too many open files; it doubles.
pub const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(5);
/// Longest pause after a failure to take a connection: files are given back all the time.
pub const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Connections at once from one address outside. An office or a mobile network behind one address has
/// hundreds of people. Beyond: `slow_down`; twice as many are closed at once.
pub const ADDRESS_CONNECTIONS_MAX: u32 = 4_096;
/// Requests a second from one address outside. Beyond: `slow_down`.
pub const ADDRESS_REQUESTS_PER_SECOND_MAX: u32 = 500;
/// Requests at once from one address outside: after a restart all of an office come back together.
pub const ADDRESS_REQUESTS_AT_ONCE_MAX: u32 = 10_000;
/// Sockets and streams that one user has at once. Each may hold an unfinished frame. Beyond: `slow_down`.
pub const USER_CONNECTIONS_MAX: u32 = 500;
/// Sockets and streams that one user opens a second. One is enough; every reload opens one.
pub const USER_CONNECTS_PER_SECOND_MAX: u32 = 5;
/// Sockets and streams that one user opens at once: windows and devices that wake together.
pub const USER_CONNECTS_AT_ONCE_MAX: u32 = 200;
/// Messages that one user sends a second. Nobody types faster. Beyond: `slow_down`.
pub const USER_SENDS_PER_SECOND_MAX: u32 = 5;
/// Messages that one user sends at once: an outbox that was filled while offline.
pub const USER_SENDS_AT_ONCE_MAX: u32 = 200;
/// Users or addresses that are limited each on its own. Some 100 bytes each. Beyond, none is limited
/// until those that were quiet are forgotten.
pub const LIMITED_KEYS_MAX: usize = 200_000;
/// How often users and addresses that were quiet are forgotten.
pub const LIMITED_SWEEP: Duration = Duration::from_secs(30);

/// Bytes of a token. A JWT with a few hundred threads listed stays below; larger belongs in a
/// wider grant.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Bytes that a socket may send before its `hello` was accepted: a token, more than once. Beyond, the
/// connection ends: nobody knows yet whom to count them for.
pub const HELLO_BYTES_MAX: usize = 4 * TOKEN_BYTES_MAX;
/// Clocks of the token's issuer and of the server may differ by this much.
pub const CLOCK_LEEWAY: Duration = Duration::from_secs(5);
/// How long a token may be good for; one that says more ends then. A year and a day, for a back end
/// that nobody wants to touch more often. It is also how long a revocation must be remembered.
pub const TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// How long before its token expires a connection is warned: time enough to fetch a new one from a
/// slow server, thrice. A token that is good for less than twice this is warned of at half its time.
pub const TOKEN_WARNING: Duration = Duration::from_secs(60);
/// Secrets and keys of one server: an old and a new one for several issuers. A token without a name
/// for its key is tried with each, so there must not be many.
pub const AUTH_KEYS_MAX: usize = 16;
/// How often a key set is fetched when nothing asks for it: a key that was withdrawn is taken no longer.
pub const JWKS_REFRESH: Duration = Duration::from_secs(15 * 60);
/// A key set is not fetched more often, however many tokens name keys that are not in it.
pub const JWKS_GAP_MIN: Duration = Duration::from_secs(5);
/// The longest pause before a failed fetch of a key set is tried again.
pub const JWKS_RETRY_MAX: Duration = Duration::from_secs(60);
/// How long fetching a key set may take. Requests with tokens of unknown keys wait for it.
pub const JWKS_DEADLINE: Duration = Duration::from_secs(4);
/// Bytes of a key set. A few keys with their certificates stay well below.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// Keys of a key set.
pub const JWKS_KEYS_MAX: usize = 64;
/// How long a browser may remember that a page of another origin may ask: it asks that before each kind
/// of request otherwise. A change of the settings reaches it so much later.
pub const PREFLIGHT_AGE: Duration = Duration::from_secs(60 * 60);
/// Revocations in force. Each is some 200 bytes, in memory and on disk. Beyond: `slow_down`.
pub const REVOCATIONS_MAX: usize = 100_000;
/// How long a revocation waits for the connections it concerns to stop, before it is answered: less
/// than the second within which they must. They are cut in any case.
pub const REVOKE_DEADLINE: Duration = Duration::from_millis(800);
/// How long a stream that is cut off has to take its last words, before its connection is cut with what
/// it has not taken. Below [`REVOKE_DEADLINE`].
pub const PARTING_DEADLINE: Duration = Duration::from_millis(500);
/// How often revocations that nobody needs any more are swept out.
pub const REVOCATIONS_SWEEP: Duration = Duration::from_secs(60 * 60);

/// Bytes that a socket reads at once, into room that no connection owns, on the stack. Frames of clients
/// are small; what is missing of a larger one is read into the room that it is kept in.
pub const READ_BYTES_MAX: usize = 16 * 1024;
/// Work and other notes that wait in one agent's connection. Beyond, work goes to others, or waits
/// in the log.
pub const NOTES_WAITING_MAX: usize = 64;
/// Frames of a client without a WebSocket that wait for its connection. No more is needed: the requests
/// that bring them wait with them, and have a bound of their own.
pub const TUNNEL_FRAMES_WAITING_MAX: usize = 1;
/// Writes of [`WRITE_BYTES_MAX`] that wait to be taken into the answer of such a connection. More would
/// be memory of slow readers, as there.
pub const TUNNEL_WRITES_WAITING_MAX: usize = 1;
/// How long the closing handshake of a socket may take; the other side may be beyond reach.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// Bytes of the secret that tokens are signed with, at least. Shorter ones can be found by trial
/// (RFC 7518, section 3.2, asks for the hash's own length).
pub const SECRET_BYTES_MIN: usize = 32;
/// How long a token of development mode is good for: a day's work, so that one that leaks is soon
/// worthless.
pub const DEV_TOKEN_TTL: Duration = Duration::from_secs(24 * 60 * 60);

// The log and its feeds ------------------------------------------------------------------------

/// Events in one group commit. At 1,024 a group the fsync is already a small part of the cost.
pub const GROUP_EVENTS_MAX: usize = 4_096;
/// Bytes in one group commit; bounds the memory of a group and the size of its frames.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A group commit that takes longer is logged: readers wait for it, and a disk that does this is ill.
pub const COMMIT_SLOW: Duration = Duration::from_secs(1);
/// Appends waiting for the commit thread. Beyond, publishers wait: back-pressure, not memory.
pub const APPENDS_QUEUED_MAX: usize = 8_192;
/// Bytes of events waiting for the commit thread: sixteen groups. Beyond, publishers wait.
pub const APPENDS_QUEUED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long events may wait for the log before it counts as slow. A healthy one has written all that
/// may wait in a tenth of it; a person sees half a second. While it is slow and half of the room is
/// taken, publishes of nothing but `agent_thinking` and `message_delta` are refused: `slow_down`.
pub const SHED_AFTER: Duration = Duration::from_millis(500);
/// The longest that a publisher is asked to wait while the log is slow.
pub const SHED_RETRY_MAX: Duration = Duration::from_secs(2);
/// Groups that may wait to be made into frames. Beyond, the commit thread waits: followers that are
/// woken late are no reason to hold ever more frames in memory.
pub const GROUPS_WAITING_MAX: usize = 16;
/// Bytes of the frames a thread keeps in memory for its followers. Some hundred deltas: a reader
/// that stalls for a few seconds still finds them. Older frames are read from the log.
pub const TAIL_BYTES_MAX: usize = 128 * 1024;
/// Frames a thread keeps in memory for its followers.
pub const TAIL_FRAMES_MAX: usize = 256;
/// Reads from the log at the same time, each on a thread of its own. Some, so that a disk has several to
/// choose from; more would be threads that share the processor with those who follow live, each with
/// memory of its own.
pub const READS_AT_ONCE_MAX: usize = 4;
/// Events that one read from the log brings at most.
pub const PAGE_EVENTS_MAX: usize = 512;
/// Bytes that one read from the log brings at most (one event may exceed it alone).
pub const PAGE_BYTES_MAX: usize = 128 * 1024;
/// Bytes of events in one frame of what is read from the log for one subscriber: what a slow reader holds.
/// Some sixty deltas; more would make it no cheaper to read.
pub const REPLAY_FRAME_BYTES_MAX: usize = 16 * 1024;
/// Subscribers for whom more than one such frame is read at once: 2 MiB in all. It saves them reads; without a
/// bound a crowd that comes back would hold as many pages as it has members.
pub const READERS_AHEAD_MAX: usize = 16;
/// Events of a page over HTTP when the request names no limit.
pub const PAGE_EVENTS_DEFAULT: usize = 100;
/// Threads that are looked through for those whose ids begin as a token says, the newest first.
pub const THREADS_SCANNED_MAX: usize = 10_000;
/// Threads in one answer of `GET /v1/threads`.
pub const THREADS_PAGE_MAX: usize = 1_000;
/// Ids of one millisecond that a thread keeps in memory, to know an id that it cannot have without looking
/// for it: 4 KiB, where a thread gets 256,000 events a second. Beyond, ids are looked for.
pub const NEWEST_IDS_MAX: usize = 256;
/// Threads whose head the commit thread remembers; others are read again from disk when needed.
pub const HEADS_CACHED_MAX: usize = 100_000;

/// First wait before a log that failed is opened again; doubled with each attempt.
pub const LOG_REOPEN_MIN: Duration = Duration::from_millis(500);
/// Longest wait between two attempts to open a log again. Looking whether the cause has gone costs a
/// small write, and people wait.
pub const LOG_REOPEN_MAX: Duration = Duration::from_secs(5);
/// A log that held for so long after it was opened again is sound: the next failure is a new one.
pub const LOG_SOUND_AFTER: Duration = Duration::from_secs(30);
/// How long reads that are under way may keep a log that failed from being opened again. Beyond, it is
/// left readable and tried later.
pub const LOG_READS_DEADLINE: Duration = Duration::from_secs(5);
/// How often the commit thread looks how much is free. Less than a disk of 1 GB/s writes meanwhile fits
/// into [`LOG_RESERVE_BYTES`].
pub const ROOM_CHECKED_EVERY: Duration = Duration::from_millis(100);
/// Bytes that must be free for the log to take events. Enough for the engine to write what it holds in
/// memory and to merge small tables, so that it never breaks off in the middle. Below: `log_unavailable`.
pub const LOG_RESERVE_BYTES: u64 = 128 * 1024 * 1024;
/// Bytes free below which the log's health is degraded: time to act before anything is refused.
pub const LOG_LOW_BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes written and synced to see whether a folder can be written.
pub const STORE_CHECK_BYTES: usize = 64 * 1024;

/// How often the server writes a probe to its log. One sync more; an operator learns of a disk that
/// stopped before users do.
pub const PROBE_EVERY: Duration = Duration::from_secs(10);
/// A probe on its way for so long shows its part as degraded. A sync takes milliseconds, a busy disk's
/// some hundred.
pub const PROBE_SLOW: Duration = Duration::from_secs(2);
/// A probe on its way for so long shows its part as failed: nobody waits longer for an answer.
pub const PROBE_HUNG: Duration = Duration::from_secs(30);
/// A message that waits for an agent for so long shows the agents as degraded: longer than the restart
/// of an agent.
pub const AGENT_WAITED_FOR: Duration = Duration::from_secs(60);

// Runs and asking ------------------------------------------------------------------------------

/// Tools that one run executes at once.
pub const TOOLS_EXECUTING_MAX: usize = 64;
/// Runs whose state the bridge keeps in memory; others are read again from the log when needed.
pub const RUN_STATES_MAX: usize = 100_000;
/// Ended runs whose state a thread keeps before it forgets them.
pub const RUNS_ENDED_KEPT_MAX: usize = 64;
/// Characters of the first message that become the title of a thread without one.
pub const TITLE_CHARS_MAX: usize = 80;
/// Runs that wait for an agent, all threads together. Beyond: `slow_down`.
pub const WORK_WAITING_MAX: usize = 10_000;
/// Agents one connection may serve.
pub const SERVED_AGENTS_MAX: usize = 16;
/// An agent that was handed work and has not started by then is taken for stuck: the work is
/// handed to another.
pub const WORK_START_DEADLINE: Duration = Duration::from_secs(30);
/// How long a run's agent may be gone before the run is ended with `agent_lost`. Longer than a
/// restart of the agent or of the server, shorter than a person's patience.
pub const AGENT_GRACE: Duration = Duration::from_secs(20);
/// How long a run stays in the registry after its last event.
pub const REGISTRY_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// That a run is active is written to the registry at most so often.
pub const REGISTRY_REFRESH: Duration = Duration::from_secs(10 * 60);
/// Runs in the registry: ten a second for a day. Beyond, the runs that have ended the longest ago are
/// forgotten before their time; when an eighth more go on at once, new ones are refused with `slow_down`.
pub const REGISTRY_RUNS_MAX: u64 = 1_000_000;
/// How often the registry is swept.
pub const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Runs in one step of a sweep: what is done before others get their turn.
pub const SWEEP_STEP_RUNS: usize = 256;
/// How often it is looked for events that are kept no longer. It costs one read a thread.
pub const RETENTION_EVERY: Duration = Duration::from_secs(10 * 60);
/// Threads that are looked at together for events that are kept no longer: the runs that go on are read
/// once for all of them.
pub const RETENTION_THREADS_AT_ONCE: usize = 1_024;
/// Events in one step of their removal: a small part of a group, so that publishers wait no longer for it
/// than for each other.
pub const RETENTION_STEP_EVENTS: usize = 512;
/// How long a run may be silent before it is ended with `agent_silent`. The longest tool that is worth
/// waiting for; a run that says nothing for longer has nobody behind it.
pub const RUN_SILENCE_MAX: Duration = Duration::from_secs(60 * 60);
/// Runs with their threads that are kept in memory, so that publishing to a run that is known asks no
/// disk: as many as there are runs in as many threads as are in memory, twice, for they are kept in two
/// halves. Some 200 bytes each.
pub const RUNS_RESOLVED_KEPT_MAX: usize = 2 * RUN_STATES_MAX;

// The orchestrator -----------------------------------------------------------------------------

/// How long one try to ask the orchestrator may take.
pub const ORCHESTRATOR_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a question to the orchestrator may take with all its tries: the publish that needs it waits,
/// and with it what its connection publishes after it.
pub const ORCHESTRATOR_DEADLINE: Duration = Duration::from_secs(4);
/// Tries of one question to the orchestrator.
pub const ORCHESTRATOR_TRIES_MAX: u32 = 3;
/// First step of the backoff between them. Full jitter.
pub const ORCHESTRATOR_BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Largest step of the backoff between them.
pub const ORCHESTRATOR_BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Questions to the orchestrator at once. Beyond: `slow_down`, for a queue would make all of them late.
pub const ORCHESTRATOR_IN_FLIGHT_MAX: usize = 64;
/// Bytes of the orchestrator's answer. It holds one thread's id.
pub const ORCHESTRATOR_ANSWER_BYTES_MAX: usize = 4 * 1024;
/// How long the orchestrator's answer is believed that it knows no such run: a publisher that tries again
/// and again is no storm on it, and a run that it has just learnt of is found soon.
pub const ORCHESTRATOR_UNKNOWN_TTL: Duration = Duration::from_secs(3);
/// Answers of the orchestrator that are kept for so long.
pub const ORCHESTRATOR_ANSWERS_KEPT_MAX: usize = 4_096;
/// An orchestrator that nobody has asked for so long is asked, so that its health is known.
pub const ORCHESTRATOR_PROBE_EVERY: Duration = Duration::from_secs(15);
/// Questions without an answer, one after the other, after which the orchestrator is left alone.
pub const BREAKER_FAILURES_MAX: u32 = 5;
/// How long it is left alone at first; doubled each time that it still does not answer.
pub const BREAKER_OPEN_MIN: Duration = Duration::from_secs(1);
/// How long it is left alone at most.
pub const BREAKER_OPEN_MAX: Duration = Duration::from_secs(30);

// A client -------------------------------------------------------------------------------------

/// Commands a client keeps while the server has not acknowledged them. Beyond: refused locally
/// with `outbox_full`.
pub const OUTBOX_MAX: usize = 1_024;
/// First step of the exponential backoff. Full jitter: the wait is random between 0 and the step.
pub const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// Largest step of the backoff.
pub const BACKOFF_MAX: Duration = Duration::from_secs(20);
/// How long a dial may take, and then how long `welcome` may take.
pub const DIAL_DEADLINE: Duration = Duration::from_secs(10);
/// A connection that stayed up for so long (and for the last step of the backoff) was a good one:
/// the backoff begins anew. A shorter life counts as a failed attempt, so that a server which takes
/// connections and drops them is not stormed.
pub const BACKOFF_STABLE: Duration = Duration::from_secs(1);
/// Word that the network is back, or the page in view, ends a wait, but never sooner than so long
/// after the last dial that has brought no connection: such words come in bursts.
pub const NUDGE_GAP: Duration = Duration::from_secs(1);
/// After such word a connection that looks alive is asked, and has so long to answer: a laptop that
/// was opened again must not wait two heartbeats to find its connection dead.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(5);
/// Times a command is sent again after `internal`. Other transient errors are retried for ever,
/// but a request that makes the server fail each time must end.
pub const INTERNAL_RETRIES_MAX: u32 = 5;
/// Runs that one served agent is known to work on; they are named when it comes back. Beyond, the
/// oldest is forgotten.
pub const RUNS_WORKED_MAX: usize = 1_024;
/// Batches that wait for one subscriber in a native client. Beyond, the thread is unsubscribed,
/// and asked for again from the cursor when the subscriber has made room.
pub const SUBSCRIBER_BATCHES_MAX: usize = 32;
/// Events that wait in one `Emitter`. Beyond, the emitting call waits.
pub const EMITTER_EVENTS_MAX: usize = 1_024;
/// Times that an `Emitter` publishes an event whose refusal may pass, such as `log_unavailable`, before
/// it reports it as undelivered. What the server asks to be sent later is not counted.
pub const EMITTER_TRIES: u32 = 3;

// Seeing ----------------------------------------------------------------------------------------

/// Characters of what a client calls itself in `hello` that the server remembers: enough for a name
/// and a version, for each connection has one.
pub const CLIENT_CHARS_MAX: usize = 64;
/// Entries of a page for operators when the request names no limit.
pub const ADMIN_PAGE_DEFAULT: usize = 100;
/// Entries of a page for operators: what a person scrolls and a script reads at once.
pub const ADMIN_PAGE_MAX: usize = 500;
/// Runs that one page for operators looks at: a filter that fits few must not read the whole registry
/// in one request. The page says where to go on.
pub const ADMIN_RUNS_SEEN_MAX: usize = 2_000;
/// Threads named for one connection in a page of connections; it says how many there are.
pub const ADMIN_THREADS_NAMED_MAX: usize = 16;
/// Bytes of an `X-Request-Id`. A UUID, a trace's id and a word beside it fit. Beyond, the server makes
/// one of its own.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// Characters of an address that the logs repeat: a thread's events, its id at its longest.
pub const ASKED_CHARS_MAX: usize = 192;
/// Refusals that operators can look back on: an hour of a publisher that tries each quarter of a minute.
pub const REFUSALS_KEPT_MAX: usize = 256;
/// Refusals that are logged in a second: a client that loops must not fill the disk with its errors.
/// Beyond, they are counted, and the log says how many it left out.
pub const REFUSALS_LOGGED_PER_SECOND_MAX: u32 = 20;
/// How often measured times are taken into their histograms: until then each is kept as it came, eight
/// bytes, at most some hundred thousand a second.
pub const METRICS_UPKEEP: Duration = Duration::from_secs(2);

// Shutdown -------------------------------------------------------------------------------------

/// How long open connections get to take their `goodbye` before the server stops anyway.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
/// `goodbye` spreads the clients' return over this time, so that a restart is not a stampede.
pub const GOODBYE_SPREAD: Duration = Duration::from_millis(1_000);

/// The limits that a client must keep to, as the server's `welcome` announces them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Announced {
    /// [`EVENT_BYTES_MAX`].
    pub event_bytes: usize,
    /// [`FRAME_BYTES_MAX`].
    pub frame_bytes: usize,
    /// [`PUBLISH_EVENTS_MAX`].
    pub publish_events: usize,
    /// [`PUBLISHES_IN_FLIGHT_MAX`].
    pub publishes_in_flight: usize,
    /// [`SUBSCRIPTIONS_MAX`].
    pub subscriptions: usize,
    /// [`MESSAGE_BYTES_MAX`].
    pub message_bytes: usize,
}

impl Default for Announced {
    fn default() -> Self {
        Self {
            event_bytes: EVENT_BYTES_MAX,
            frame_bytes: FRAME_BYTES_MAX,
            publish_events: PUBLISH_EVENTS_MAX,
            publishes_in_flight: PUBLISHES_IN_FLIGHT_MAX,
            subscriptions: SUBSCRIPTIONS_MAX,
            message_bytes: MESSAGE_BYTES_MAX,
        }
    }
}
