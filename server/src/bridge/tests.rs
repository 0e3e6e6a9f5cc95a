//! The bridge over a log in memory, told as stories.

use std::{collections::BTreeMap, time::Duration};

use rethread_shared::{
    Epoch, EventId, RunId,
    frame::{Outcome, Send},
};

use super::{
    desk::{ConnectionId, Inbox, Note, notes},
    publish::Publisher,
    *,
};
use crate::{
    log::{LocalLog, NewThread, PageLimit, engine::memory::MemoryEngine},
    metrics::meters::Transport,
    request::Request,
};

pub(super) struct World {
    pub(super) engine: Arc<MemoryEngine>,
    log: LocalLog,
    pub(super) bridge: Arc<Bridge>,
    pub(super) grant: Arc<Grant>,
    pub(super) thread: ThreadId,
}

pub(super) fn grant(user: &str, threads: &[&str]) -> Grant {
    Grant::local(user, "subscribe send publish serve", threads).unwrap()
}

const QUICK: Patience =
    Patience { grace: Duration::from_millis(40), start: Duration::from_millis(40) };
const SLOW: Patience =
    Patience { grace: Duration::from_secs(600), start: Duration::from_secs(600) };

impl World {
    async fn new(patience: Patience) -> Self {
        Self::made(Setup { patience, ..Setup::default() }).await
    }

    pub(super) async fn made(setup: Setup) -> Self {
        let engine = Arc::new(MemoryEngine::default());
        let thread: ThreadId = "thread_a".parse().unwrap();
        let world = Self::over(engine, setup, thread);
        world.thread_of("ann", "thread_a").await;
        world
    }

    pub(super) async fn thread_of(&self, owner: &str, thread: &str) -> ThreadId {
        let thread: ThreadId = thread.parse().unwrap();
        let new = NewThread {
            thread: thread.clone(),
            owner: owner.into(),
            title: None,
            created_at: 0,
            epoch: Epoch::generate([0; 4]),
        };
        self.bridge.log().create(new).await.unwrap();
        thread
    }

    fn over(engine: Arc<MemoryEngine>, setup: Setup, thread: ThreadId) -> Self {
        let log = LocalLog::over(Arc::new(engine.clone()), 0).unwrap();
        let bridge = Bridge::with(Arc::new(log.clone()), setup);
        Self { engine, log, bridge, grant: grant("ann", &[]).into(), thread }
    }

    /// The same log under a new process.
    async fn restart(self, patience: Patience) -> Self {
        self.restarted(Setup { patience, ..Setup::default() }).await
    }

    pub(super) async fn restarted(self, setup: Setup) -> Self {
        let Self { engine, log, thread, .. } = self;
        log.close();
        let world = Self::over(engine, setup, thread);
        world.bridge.recover().await.unwrap();
        world
    }

    pub(super) async fn publish(&self, events: &[String]) -> Vec<Result<(u64, bool), String>> {
        self.publish_over(None, events).await
    }

    async fn publish_over(
        &self,
        connection: Option<ConnectionId>,
        events: &[String],
    ) -> Vec<Result<(u64, bool), String>> {
        let by =
            Publisher { grant: &self.grant, connection, request: &Request::new(Transport::Http) };
        let texts: Vec<&str> = events.iter().map(String::as_str).collect();
        let outcomes = self.bridge.publish(by, &texts).await.await;
        outcomes.into_iter().map(brief).collect()
    }

    pub(super) async fn kinds(&self) -> Vec<String> {
        let all = PageLimit { events: usize::MAX, bytes: usize::MAX };
        let records = self.bridge.log().read(&self.thread, 0, all).await.unwrap();
        let kind = |body: &[u8]| {
            let event: BTreeMap<String, serde_json::Value> = serde_json::from_slice(body).unwrap();
            event["type"].as_str().unwrap().to_owned()
        };
        records.iter().map(|record| kind(&record.body)).collect()
    }

    async fn wait_for(&self, last: &str) {
        let seen = async {
            while self.kinds().await.last().map(String::as_str) != Some(last) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), seen).await;
        assert!(waited.is_ok(), "waited for {last} at the log's end: {:?}", self.kinds().await);
    }

    /// Waits until everything that was to happen after the bridge's patience has happened: an agent
    /// that goes away now is given up later than all that went before.
    async fn patience_is_over(&self) {
        let thread: ThreadId = "thread_control".parse().unwrap();
        let new = NewThread {
            thread: thread.clone(),
            owner: "ann".into(),
            title: None,
            created_at: 0,
            epoch: Epoch::generate([0; 4]),
        };
        self.bridge.log().create(new).await.unwrap();
        let run = self.bridge.mint_run(&thread, &self.grant).await.unwrap();
        let (agent, _notes) = self.agent(1_000);
        let started = event(&run, 200, "agent_started", r#"{"agent":"control"}"#);
        assert!(self.publish_over(Some(agent), &[started]).await[0].is_ok());
        self.bridge.disconnected(agent);
        let control = async {
            while self.bridge.log().thread(&thread).unwrap().unwrap().head < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), control).await;
        assert!(waited.is_ok(), "the control's agent was not given up");
    }

    fn agent(&self, id: u64) -> (ConnectionId, Inbox) {
        let (notes, inbox) = notes(8);
        self.bridge.connected(ConnectionId(id), notes, &self.grant);
        (ConnectionId(id), inbox)
    }

    pub(super) async fn send(&self, n: u8) -> rethread_shared::frame::Sent {
        self.bridge.send(self.ask(n), &self.grant).await.unwrap().await.unwrap()
    }

    fn ask(&self, n: u8) -> Send {
        Send {
            req: u64::from(n),
            thread: self.thread.clone(),
            message_id: EventId::generate(1_000 + u64::from(n), [n; 10]),
            text: format!("question {n}"),
            agent: None,
        }
    }
}

pub(super) fn brief(outcome: Outcome) -> Result<(u64, bool), String> {
    match outcome {
        Outcome::Stored { seq, duplicate, .. } => Ok((seq, duplicate)),
        Outcome::Refused { error, .. } => Err(error.code.to_string()),
    }
}

pub(super) fn event(run: &RunId, n: u8, kind: &str, data: &str) -> String {
    let id = EventId::generate(u64::from(n), [n; 10]);
    format!(r#"{{"id":"{id}","run":"{run}","type":"{kind}","data":{data}}}"#)
}

pub(super) fn whole_run(run: &RunId) -> Vec<String> {
    vec![
        event(run, 1, "agent_started", r#"{"agent":"x"}"#),
        event(run, 2, "tool_executing", r#"{"call_id":"c","tool":"t"}"#),
        event(run, 3, "tool_completed", r#"{"call_id":"c"}"#),
        event(run, 4, "message_delta", r#"{"message_id":"m","text":"hi"}"#),
        event(run, 5, "agent_completed", "{}"),
    ]
}

#[tokio::test]
async fn a_whole_run_published_twice_is_stored_once() {
    let world = World::new(SLOW).await;
    let run = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    let events = whole_run(&run);
    let first = world.publish(&events).await;
    assert_eq!(first, (1..=5).map(|seq| Ok((seq, false))).collect::<Vec<_>>());
    let again = (1..=5).map(|seq| Ok((seq, true))).collect::<Vec<_>>();
    assert_eq!(world.publish(&events).await, again);
    // One by one too: a delta of a run that has ended is a repetition, not a violation.
    assert_eq!(world.publish(&events[3..4]).await, [Ok((4, true))]);
    assert_eq!(
        world.publish(&[event(&run, 9, "message_delta", "{}")]).await,
        [Err("bad_event".into())]
    );
    let late = event(&run, 9, "message_delta", r#"{"message_id":"m","text":"late"}"#);
    assert_eq!(world.publish(&[late]).await, [Err("run_ended".into())]);
    let world = world.restart(SLOW).await;
    assert_eq!(world.publish(&events).await, again, "also after a restart");
    assert_eq!(world.kinds().await.len(), 5);
}

#[tokio::test]
async fn a_repetition_that_overtakes_its_answer_moves_no_state() {
    let world = World::new(SLOW).await;
    let run = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    let events = whole_run(&run);
    let request = &Request::new(Transport::Http);
    let by = Publisher { grant: &world.grant, connection: None, request };
    let texts: Vec<&str> = events.iter().map(String::as_str).collect();
    // Both are queued before either is durable.
    let first = world.bridge.publish(by, &texts).await;
    let second = world.bridge.publish(by, &texts).await;
    let second: Vec<_> = second.await.into_iter().map(brief).collect();
    let first: Vec<_> = first.await.into_iter().map(brief).collect();
    assert_eq!(first, (1..=5).map(|seq| Ok((seq, false))).collect::<Vec<_>>());
    assert_eq!(second, (1..=5).map(|seq| Ok((seq, true))).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_runs_order_is_known_after_a_restart() {
    let world = World::new(SLOW).await;
    let run = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    let events = whole_run(&run);
    world.publish(&events[..2]).await;
    let world = world.restart(SLOW).await;
    let again = event(&run, 7, "agent_started", r#"{"agent":"x"}"#);
    let other = event(&run, 8, "tool_completed", r#"{"call_id":"d"}"#);
    let refused = || Err("run_order".to_owned());
    assert_eq!(world.publish(&[again, other]).await, [refused(), refused()]);
    assert_eq!(world.publish(&events[2..3]).await, [Ok((3, false))]);
}

#[tokio::test]
async fn what_cannot_be_routed_is_refused_with_its_reason() {
    let world = World::new(SLOW).await;
    let start =
        |run: &str| format!(r#"{{"run":"{run}","type":"agent_started","data":{{"agent":"x"}}}}"#);
    let runs = [
        ("run_5d1f0c9a77e2", "run_unresolved"),
        ("nonsense", "bad_id"),
        ("thread_absent_run_1_00000000", "thread_not_found"),
        ("thread_a_run_1_00000000", "1"),
        ("run_a_0a1b2c3d", "2"),
        ("thread_a", "3"),
    ];
    for (run, expected) in runs {
        let got = match &world.publish(&[start(run)]).await[0] {
            Ok((seq, _)) => seq.to_string(),
            Err(code) => code.clone(),
        };
        assert_eq!(got, expected, "{run}");
    }
    let stranger = World { grant: grant("bob", &[]).into(), ..world };
    let refused = stranger.publish(&[start("thread_a_run_2_00000000")]).await;
    assert_eq!(refused, [Err("thread_not_found".into())], "as if it were not there");
    let guest = World { grant: grant("bob", &["thread_a"]).into(), ..stranger };
    assert!(guest.publish(&[start("thread_a_run_2_00000000")]).await[0].is_ok());
}

#[tokio::test]
async fn a_failed_write_is_no_acknowledgement() {
    let world = World::new(SLOW).await;
    let run = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    world.engine.fail_writes(true);
    let refused = world.publish(&whole_run(&run)).await;
    assert!(refused.iter().all(|outcome| *outcome == Err("log_unavailable".into())));
    world.engine.fail_writes(false);
    let world = world.restart(SLOW).await;
    assert!(world.kinds().await.is_empty());
    assert!(world.publish(&whole_run(&run)).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_message_waits_for_an_agent_and_is_sent_once() {
    let world = World::new(SLOW).await;
    let sent = world.send(1).await;
    let again = world.send(1).await;
    assert_eq!((sent.seq, &sent.run), (again.seq, &again.run));
    let title = world.bridge.log().thread(&world.thread).unwrap().unwrap().title;
    assert_eq!(title.as_deref(), Some("question 1"));
    // Also across a restart.
    let world = world.restart(SLOW).await;
    let (agent, notes) = world.agent(1);
    world.bridge.serve(agent, "docs", &[], &world.grant).await.unwrap();
    let Note::Work(work) = notes.next().await else { panic!("work") };
    assert_eq!((&work.run, work.agent.as_str()), (&sent.run, "docs"));
    assert_eq!((work.message.text.as_str(), work.message.by.as_str()), ("question 1", "ann"));
    assert!(world.publish_over(Some(agent), &whole_run(&sent.run)).await.iter().all(Result::is_ok));
    world.bridge.disconnected(agent);
    let (agent, notes) = world.agent(2);
    world.bridge.serve(agent, "docs", &[], &world.grant).await.unwrap();
    assert!(notes.take().is_none(), "work that is done is not handed out again");
}

#[tokio::test]
async fn work_that_was_not_started_goes_to_the_next_agent() {
    let world = World::new(QUICK).await;
    let (idle, idle_notes) = world.agent(1);
    world.bridge.serve(idle, "docs", &[], &world.grant).await.unwrap();
    let sent = world.send(1).await;
    assert!(matches!(idle_notes.next().await, Note::Work(_)));
    let (other, notes) = world.agent(2);
    world.bridge.serve(other, "docs", &[], &world.grant).await.unwrap();
    world.bridge.disconnected(idle);
    let Note::Work(work) = notes.next().await else { panic!("work") };
    assert_eq!(work.run, sent.run);
}

#[tokio::test]
async fn an_agent_that_comes_back_goes_on_and_one_that_does_not_is_lost() {
    let world = World::new(QUICK).await;
    let (agent, _notes) = world.agent(1);
    let sent = world.send(1).await;
    let events = whole_run(&sent.run);
    world.publish_over(Some(agent), &events[..2]).await;
    world.bridge.disconnected(agent);
    let (again, _more) = world.agent(2);
    world.bridge.serve(again, "docs", std::slice::from_ref(&sent.run), &world.grant).await.unwrap();
    world.patience_is_over().await;
    assert_eq!(world.publish_over(Some(again), &events[2..3]).await, [Ok((4, false))]);
    world.bridge.disconnected(again);
    world.wait_for("agent_failed").await;
    let refused = world.publish_over(Some(again), &events[3..4]).await;
    assert_eq!(refused, [Err("run_ended".into())]);
}

#[tokio::test]
async fn an_agent_away_since_before_a_restart_is_lost_too() {
    let world = World::new(SLOW).await;
    let (agent, _notes) = world.agent(1);
    let run = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    let over_http = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    world.publish(&[event(&over_http, 20, "agent_started", r#"{"agent":"x"}"#)]).await;
    world.publish_over(Some(agent), &whole_run(&run)[..2]).await;
    let world = world.restart(QUICK).await;
    world.wait_for("agent_failed").await;
    let more = event(&over_http, 21, "message_delta", r#"{"message_id":"m","text":"t"}"#);
    assert!(world.publish(&[more]).await[0].is_ok(), "who publishes over HTTP has no connection");
}

#[tokio::test]
async fn cancelling_ends_a_run_once_and_tells_its_agent() {
    let world = World::new(SLOW).await;
    let (agent, notes) = world.agent(1);
    world.bridge.serve(agent, "docs", &[], &world.grant).await.unwrap();
    let sent = world.send(1).await;
    assert!(matches!(notes.next().await, Note::Work(_)));
    let events = whole_run(&sent.run);
    world.publish_over(Some(agent), &events[..2]).await;
    let seq = world.bridge.cancel(&sent.run, Some("enough"), &world.grant).await.unwrap();
    let Note::Cancelled(note) = notes.next().await else { panic!("cancelled") };
    assert_eq!((note.run, note.seq), (sent.run.clone(), seq));
    assert_eq!(world.bridge.cancel(&sent.run, None, &world.grant).await.unwrap(), seq);
    let refused = world.publish_over(Some(agent), &events[2..3]).await;
    assert_eq!(refused, [Err("run_ended".into())]);
    let world = world.restart(SLOW).await;
    assert_eq!(world.bridge.cancel(&sent.run, None, &world.grant).await.unwrap(), seq);
    let stranger = grant("bob", &[]);
    let refused = world.bridge.cancel(&sent.run, None, &stranger).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::RunNotFound);
    let completed = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    let own: Vec<String> = whole_run(&completed).iter().map(|event| strip_id(event)).collect();
    assert!(world.publish(&own).await.iter().all(Result::is_ok));
    let ended = world.bridge.cancel(&completed, None, &world.grant).await.unwrap_err();
    assert_eq!(ended.code, ErrorCode::RunEnded);
}

/// The same event without an id of its own.
fn strip_id(event: &str) -> String {
    let run = event.find(r#""run""#).unwrap();
    format!("{{{}", &event[run..])
}

#[tokio::test]
async fn work_beyond_what_a_connection_holds_follows_when_it_has_room() {
    let world = World::new(SLOW).await;
    for n in 1..=20 {
        world.send(n).await;
    }
    let (agent, notes) = world.agent(1);
    world.bridge.serve(agent, "docs", &[], &world.grant).await.unwrap();
    let mut runs = std::collections::BTreeSet::new();
    for _ in 1..=20 {
        let Some(Note::Work(work)) = notes.take() else { panic!("after {}", runs.len()) };
        runs.insert(work.run);
        // As a socket does when it has taken a note.
        world.bridge.has_room();
    }
    assert_eq!(runs.len(), 20, "each once");
}

#[tokio::test]
async fn what_an_older_connection_still_says_takes_no_run_from_a_newer_one() {
    let world = World::new(QUICK).await;
    let run = world.bridge.mint_run(&world.thread, &world.grant).await.unwrap();
    let events = whole_run(&run);
    let (old, _old_notes) = world.agent(1);
    world.publish_over(Some(old), &events[..1]).await;
    let (new, _new_notes) = world.agent(2);
    // The newer connection repeats what the older one published; the older one speaks once more.
    assert_eq!(world.publish_over(Some(new), &events[..1]).await, [Ok((1, true))]);
    world.publish_over(Some(old), &events[1..2]).await;
    world.bridge.disconnected(old);
    world.patience_is_over().await;
    assert_eq!(world.publish_over(Some(new), &events[2..3]).await, [Ok((3, false))]);
}

#[tokio::test]
async fn an_agent_that_was_away_is_told_what_was_stopped_and_gets_no_old_work() {
    let world = World::new(QUICK).await;
    let (idle, idle_notes) = world.agent(1);
    world.bridge.serve(idle, "docs", &[], &world.grant).await.unwrap();
    let sent = world.send(1).await;
    assert!(matches!(idle_notes.next().await, Note::Work(_)));
    world.bridge.cancel(&sent.run, None, &world.grant).await.unwrap();
    assert!(matches!(idle_notes.next().await, Note::Cancelled(_)));
    world.patience_is_over().await;
    assert!(idle_notes.take().is_none(), "it is not handed out again");
    let (back, notes) = world.agent(2);
    let runs = std::slice::from_ref(&sent.run);
    world.bridge.serve(back, "docs", runs, &world.grant).await.unwrap();
    let Note::Cancelled(note) = notes.next().await else { panic!("cancelled") };
    assert_eq!((&note.run, note.seq), (&sent.run, 2));
}

#[tokio::test]
async fn a_token_that_may_not_serve_any_more_gets_no_more_work() {
    let world = World::new(SLOW).await;
    let (agent, notes) = world.agent(1);
    world.bridge.serve(agent, "docs", &[], &world.grant).await.unwrap();
    world.bridge.regranted(agent, &Arc::new(Grant::local("ann", "subscribe", &[]).unwrap()));
    world.send(1).await;
    assert!(notes.take().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishes_to_many_threads_at_once_do_not_wait_for_each_other() {
    const PUBLISHERS: u64 = 24;
    const THREADS: usize = 16;
    let world = Arc::new(World::new(SLOW).await);
    let mut runs = Vec::new();
    for n in 0..THREADS {
        let thread: ThreadId = format!("thread_many{n}").parse().unwrap();
        let new = NewThread {
            thread: thread.clone(),
            owner: "ann".into(),
            title: None,
            created_at: 0,
            epoch: Epoch::generate([0; 4]),
        };
        world.bridge.log().create(new).await.unwrap();
        let run = world.bridge.mint_run(&thread, &world.grant).await.unwrap();
        world.publish(&[event(&run, 1, "agent_started", r#"{"agent":"x"}"#)]).await;
        runs.push(run);
    }
    let publishers = (0..PUBLISHERS).map(|publisher| {
        let (world, runs) = (world.clone(), runs.clone());
        tokio::spawn(async move {
            // Each in another order of threads, and together far more than the log queues.
            let events: Vec<String> = (0..1_024)
                .map(|n| &runs[(n * (publisher as usize + 1) + n / THREADS) % THREADS])
                .map(|run| {
                    format!(r#"{{"run":"{run}","type":"agent_thinking","data":{{"text":"t"}}}}"#)
                })
                .collect();
            for _ in 0..4 {
                assert!(world.publish(&events).await.iter().all(Result::is_ok));
            }
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
}

mod healing;
mod registry;
