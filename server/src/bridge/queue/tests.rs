use futures_util::future::BoxFuture;
use rethread_shared::{Epoch, RunId, ThreadId, frame::Outcome};

use super::*;
use crate::{
    auth::Grant,
    bridge::{
        Bridge, Setup,
        publish::{Events, Publisher},
    },
    log::{LocalLog, Log, NewThread, PageLimit, engine::memory::MemoryEngine},
    metrics::meters::Transport,
    request::Request,
};

fn event(run: &RunId, kind: &str, data: &str) -> String {
    format!(r#"{{"run":"{run}","type":"{kind}","data":{data}}}"#)
}

fn delta(run: &RunId) -> String {
    event(run, "message_delta", r#"{"message_id":"m","text":"a piece"}"#)
}

struct World {
    engine: Arc<MemoryEngine>,
    log: LocalLog,
    bridge: Arc<Bridge>,
    grant: Grant,
    thread: ThreadId,
    run: RunId,
}

impl World {
    async fn new(settings: QueueSettings) -> Self {
        let engine = Arc::new(MemoryEngine::default());
        let log = LocalLog::open(engine.clone()).unwrap();
        let setup = Setup { queue: settings, ..Setup::default() };
        let bridge = Bridge::with(Arc::new(log.clone()) as Arc<dyn Log>, setup);
        let thread: ThreadId = "thread_a".parse().unwrap();
        let (owner, epoch) = ("ann".to_owned(), Epoch::generate([0; 4]));
        let new = NewThread { thread: thread.clone(), owner, title: None, created_at: 0, epoch };
        log.create(new).await.unwrap();
        let run = RunId::generate(&thread, now::unix_ms(), now::random());
        let grant = Grant::trusted("ann");
        let world = Self { engine, log, bridge, grant, thread, run };
        let started = event(&world.run, "agent_started", r#"{"agent":"a"}"#);
        assert!(matches!(world.publish(&[&started]).await.await[..], [Outcome::Stored { .. }]));
        world
    }

    async fn publish(&self, events: &[&str]) -> BoxFuture<'static, Vec<Outcome>> {
        let request = Request::new(Transport::Http);
        let by = Publisher { grant: &self.grant, connection: None, request: &request };
        Box::pin(self.bridge.publish(by, events).await)
    }
}

#[tokio::test]
async fn a_slow_log_takes_what_matters_and_asks_for_the_rest_later() {
    let settings = QueueSettings { events: 64, shed_after: Span::ms(20), ..Default::default() };
    let world = World::new(settings).await;
    let (piece, end) = (delta(&world.run), event(&world.run, "agent_completed", "{}"));
    let thinking = event(&world.run, "agent_thinking", r#"{"text":"hm"}"#);
    world.bridge.admit(&Events::Texts(&[&piece])).expect("a healthy log takes everything");

    // The disk stops to answer; what is sent to it waits.
    let hold = world.engine.hold_writes();
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(world.publish(&[&*piece; 10]).await);
    }
    let refused = loop {
        match world.bridge.admit(&Events::Texts(&[&piece, &thinking])) {
            Ok(()) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.code, ErrorCode::SlowDown);
    assert!((1..=2_000).contains(&refused.retry_after_ms.unwrap()), "{refused:?}");
    world
        .bridge
        .admit(&Events::Texts(&[&piece, &end]))
        .expect("a publish with an end in it comes whole");
    let tool = event(&world.run, "tool_executing", r#"{"call_id":"c","tool":"t"}"#);
    world.bridge.admit(&Events::Texts(&[&tool])).expect("a tool is taken");
    world
        .bridge
        .admit(&Events::Texts(&["nonsense"]))
        .expect("what is wrong is refused for what it is");
    let last = world.publish(&[&piece, &end]).await;

    // It answers again: everything that was taken is there, in its order, and all are welcome.
    drop(hold);
    let mut seqs = Vec::new();
    for publish in waiting.into_iter().chain([last]) {
        for outcome in publish.await {
            let Outcome::Stored { seq, .. } = outcome else { panic!("{outcome:?}") };
            seqs.push(seq);
        }
    }
    assert!(seqs.iter().copied().eq(2..=43), "{seqs:?}");
    let page = PageLimit { events: 100, bytes: usize::MAX };
    assert_eq!(world.log.read(&world.thread, 0, page).await.unwrap().len(), 43);
    world.bridge.admit(&Events::Texts(&[&piece])).expect("the pressure is gone");
}

#[tokio::test]
async fn the_room_is_bounded_in_bytes_too() {
    let settings =
        QueueSettings { bytes: Size(2_048), shed_after: Span::ms(0), ..Default::default() };
    let world = World::new(settings).await;
    let hold = world.engine.hold_writes();
    let large =
        event(&world.run, "agent_thinking", &format!(r#"{{"text":"{}"}}"#, "x".repeat(1_500)));
    let first = world.publish(&[&large]).await;
    assert!(world.bridge.admit(&Events::Texts(&[&large])).is_err(), "most of the room is taken");
    let again = [&*large];
    let second = world.publish(&again);
    let mut second = std::pin::pin!(second);
    let early = futures_util::future::poll_immediate(second.as_mut()).await;
    assert!(early.is_none(), "it waits for room");
    drop(hold);
    assert!(matches!(first.await[..], [Outcome::Stored { .. }]));
    assert!(matches!(second.await.await[..], [Outcome::Stored { .. }]));
}

#[tokio::test]
async fn a_full_room_that_moves_is_no_pressure() {
    let queue = Queue::new(&QueueSettings { events: 10, ..Default::default() });
    let _room = queue.enter(10, 0).await;
    assert_eq!(queue.pressure(), None, "it was taken just now");
    let bounds = (SHED_AFTER.as_millis() as u64, SHED_RETRY_MAX.as_millis() as u64);
    queue.waited.store(bounds.0 + 1, Ordering::Relaxed);
    assert!(queue.pressure().is_some_and(|wait| wait <= bounds.1), "what left had waited long");
}
