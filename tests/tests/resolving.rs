//! From a run to its thread, through a real server and a real orchestrator: every form of id, each step
//! winning once, each refusal; an orchestrator that is slow, stopped, dead and back; a registry that is
//! swept while the server is killed.

use std::{fmt::Write, time::Instant};

use rethread_tests::{
    api::Api,
    make,
    orchestrator::{Orchestrator, TOKEN},
    server::{SCOPES, Server, token},
    until,
};
use serde_json::{Value, json};

fn orchestrator(port: u16, answers: &[String]) -> Orchestrator {
    Orchestrator::start(env!("CARGO_BIN_EXE_test-orchestrator"), port, answers)
}

/// A server that asks this orchestrator, quickly disappointed.
fn server(orchestrator: &Orchestrator, more: &[&str]) -> Server {
    let url = orchestrator.url();
    let mut args = vec!["--orchestrator-url", &url, "--orchestrator-token", TOKEN];
    args.extend(["--orchestrator-timeout", "300ms", "--orchestrator-deadline", "900ms"]);
    args.extend(more);
    Server::start_with(&args)
}

fn admin(server: &Server) -> Api {
    let scopes = format!("{SCOPES},admin");
    Api::new(&server.url(), &token(&["--user", "root", "--scope", &scopes, "--all-threads"]))
}

async fn publish(api: &Api, run: &str) -> Value {
    let answer = api.post("/v1/events", &json!([make::started(run)])).await;
    answer.body["results"][0].clone()
}

async fn trail(admin: &Api, run: &str) -> Value {
    let answer = admin.get(&format!("/v1/admin/resolve/{run}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

async fn make_thread(api: &Api, thread: &str) {
    let made = api.post("/v1/threads", &json!({ "thread": thread })).await;
    assert_eq!(made.status, 201, "{made:?}");
}

/// One way through the chain.
struct Case {
    /// What is published.
    run: &'static str,
    /// The thread it is stored in, or the code it is refused with.
    to: Result<&'static str, &'static str>,
    /// The step that decides, and how it went.
    step: (&'static str, &'static str),
    /// What the refusal says, among other things.
    says: &'static [&'static str],
}

const fn found(run: &'static str, thread: &'static str, step: &'static str) -> Case {
    Case { run, to: Ok(thread), step: (step, "found"), says: &[] }
}

#[tokio::test]
async fn every_form_of_id_goes_its_way_and_every_refusal_helps() {
    let asked = orchestrator(
        0,
        &[
            "run_00000000000b=thread_a".into(),
            "run_00000000000c=thread_hidden".into(),
            "run_0000000000ff=thread_absent".into(),
            "run_00000000000d=!500".into(),
            "run_00000000000e=!302".into(),
            "run_00000000000f=?not json".into(),
            format!("run_000000000010=?{}", "x".repeat(100_000)),
            r#"run_000000000011=?{"thread":"nonsense"}"#.into(),
            "run_000000000012=~5000,thread_a".into(),
            "run_000000000013=~100,thread_a".into(),
            "run_a_000000000014=thread_b".into(),
        ],
    );
    // The breaker is another test's matter.
    let server =
        server(&asked, &["--orchestrator-about", "all", "--orchestrator-failures", "1000"]);
    let (ada, root) = (Api::new(&server.url(), &server.token_of("ada")), admin(&server));
    for thread in ["thread_a", "thread_b", "thread_a_run_b"] {
        make_thread(&ada, thread).await;
    }
    make_thread(&Api::new(&server.url(), &server.token_of("eve")), "thread_hidden").await;
    for (run, thread) in [("run_00000000000a", "thread_b"), ("run_0000000000aa", "thread_hidden")] {
        let migrated =
            root.post("/v1/admin/migrate", &json!({ "run": run, "thread": thread })).await;
        assert_eq!((migrated.status, &migrated.body["is_new"]), (200, &json!(true)));
    }
    let slow = &["does not say", "did not answer within", "again in a moment"][..];
    let unknown = &["no thread is known for run", "POST /v1/threads/", "rethread migrate"][..];
    let refused = |run, code, step, says| Case { run, to: Err(code), step, says };
    let cases = [
        found("run_00000000000a", "thread_b", "registry"),
        found("run_00000000000b", "thread_a", "orchestrator"),
        found("run_000000000013", "thread_a", "orchestrator"),
        found("thread_a", "thread_a", "direct"),
        found("thread_a_run_1756919162904_9adf1f09", "thread_a", "standard"),
        found("thread_a_run_b_run_0_9adf1f09", "thread_a_run_b", "standard"),
        found("run_a_0a1b2c3d", "thread_a", "legacy"),
        found("run_thread_b_0a1b2c3d0a1b2c3d", "thread_b", "legacy"),
        refused("run_5d1f0c9a77e2", "run_unresolved", ("orchestrator", "passed"), unknown),
        refused(
            "0f8fad5b-d9cb-469f-a165-70867728950e",
            "run_unresolved",
            ("legacy", "passed"),
            unknown,
        ),
        // Known, but to others.
        refused("run_0000000000aa", "run_unresolved", ("registry", "found"), unknown),
        refused("run_00000000000c", "run_unresolved", ("orchestrator", "found"), unknown),
        refused("run_0000000000ff", "run_unresolved", ("orchestrator", "found"), unknown),
        refused(
            "thread_hidden_run_1_0a1b2c3d",
            "thread_not_found",
            ("standard", "found"),
            &["there is no thread thread_hidden", "POST /v1/threads"],
        ),
        refused(
            "thread_absent_run_1_0a1b2c3d",
            "thread_not_found",
            ("standard", "found"),
            &["there is no thread thread_absent", "POST /v1/threads"],
        ),
        refused(
            "thread_absent",
            "thread_not_found",
            ("direct", "passed"),
            &["there is no thread thread_absent"],
        ),
        refused(
            "run_a_000000000014",
            "run_conflict",
            ("orchestrator", "conflict"),
            &["names thread_a", "a run of thread_b", "rethread resolve"],
        ),
        refused(
            "run_00000000000d",
            "orchestrator_unavailable",
            ("orchestrator", "unavailable"),
            &["HTTP status 500, expected 200 or 404", "(after 3 tries)"],
        ),
        refused(
            "run_00000000000e",
            "orchestrator_unavailable",
            ("orchestrator", "unavailable"),
            &["HTTP status 302", "(after 1 try)"],
        ),
        refused(
            "run_00000000000f",
            "orchestrator_unavailable",
            ("orchestrator", "unavailable"),
            &["its answer cannot be read", r#"expected {"thread":"thread_…"}"#],
        ),
        refused(
            "run_000000000010",
            "orchestrator_unavailable",
            ("orchestrator", "unavailable"),
            &["more than 4096 bytes"],
        ),
        refused(
            "run_000000000011",
            "orchestrator_unavailable",
            ("orchestrator", "unavailable"),
            &["expected `thread_{key}`"],
        ),
        refused(
            "run_000000000012",
            "orchestrator_unavailable",
            ("orchestrator", "unavailable"),
            slow,
        ),
    ];
    let mut book = String::new();
    for Case { run, to, step: (step, outcome), says } in &cases {
        let seen = trail(&root, run).await;
        let steps = seen["steps"].as_array().unwrap();
        let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
        assert_eq!(names, ["registry", "orchestrator", "direct", "standard", "legacy"]);
        let at = steps.iter().find(|seen| seen["step"] == *step).unwrap();
        assert_eq!(at["outcome"], *outcome, "{run}: {seen:#}");
        let result = publish(&ada, run).await;
        match to {
            Ok(thread) => {
                assert_eq!(result["thread"], *thread, "{run}: {result}");
                assert_eq!((&seen["thread"], &seen["step"]), (&json!(thread), &json!(step)));
                let again = trail(&root, run).await;
                assert_eq!(again["step"], "registry", "{run}: now the registry knows it");
                assert_eq!(again["thread"], *thread);
            }
            Err(code) => {
                let error = &result["error"];
                assert_eq!(error["code"], *code, "{run}: {result}");
                let message = error["message"].as_str().unwrap();
                for said in *says {
                    assert!(message.contains(said), "{run}: {message:?} should say {said:?}");
                }
                assert!(!result.to_string().contains("thread_hidden") || run.contains("hidden"));
                writeln!(book, "{run}\n  {code}: {message}").unwrap();
                for tried in error["tried"].as_array().into_iter().flatten() {
                    writeln!(book, "  - {}", tried.as_str().unwrap()).unwrap();
                }
                let is_transient = *code == "orchestrator_unavailable";
                assert_eq!(error["retry_after_ms"].is_u64(), is_transient);
            }
        }
    }
    println!("{book}");
    // What is registered and hidden, and what nobody knows, differ in the id alone.
    let refusal = |run: &'static str| {
        let ada = ada.clone();
        async move { publish(&ada, run).await["error"].to_string().replace(run, "RUN") }
    };
    let nobodys = refusal("run_5d1f0c9a77e2").await;
    for hidden in ["run_0000000000aa", "run_00000000000c", "run_0000000000ff"] {
        assert_eq!(refusal(hidden).await, nobodys, "{hidden}");
    }
    for bad in ["", "run_", "run_xyz", "thread_thread_a", "thread_a/b", "run_ü_0a1b2c3d"] {
        let result = publish(&ada, bad).await;
        assert_eq!(result["error"]["code"], "bad_id", "{bad:?}: {result}");
    }
}

#[tokio::test]
async fn an_orchestrator_is_asked_once_for_many_and_not_at_all_for_what_is_known() {
    let asked = orchestrator(0, &["run_0000000000b1=~200,thread_a".into()]);
    let server = server(&asked, &[]);
    let api = server.api();
    make_thread(&api, "thread_a").await;
    let run = "run_0000000000b1";
    let publishers = (0..20).map(|_| {
        let api = api.clone();
        tokio::spawn(async move { publish(&api, run).await })
    });
    let mut started = 0;
    for publisher in publishers.collect::<Vec<_>>() {
        let result = publisher.await.unwrap();
        started += u32::from(result["seq"] == 1);
        assert!(result["seq"] == 1 || result["error"]["code"] == "run_order", "{result}");
    }
    assert_eq!(started, 1, "twenty agents started one run");
    assert_eq!(asked.asked(run).await, 1, "one question for twenty askers");
    for _ in 0..3 {
        publish(&api, "run_0000000000b2").await;
    }
    assert_eq!(asked.asked("run_0000000000b2").await, 1, "it said a moment ago that it knows none");
    publish(&api, "thread_a_run_1_0a1b2c3d").await;
    assert_eq!(asked.asked("thread_a_run_1_0a1b2c3d").await, 0, "the id names its thread");
}

#[tokio::test]
async fn a_stopped_orchestrator_stops_only_what_nobody_else_knows_and_all_mends_itself() {
    let answers: Vec<String> = (0..100).map(|n| format!("run_0000000001{n:02}=thread_a")).collect();
    let asked = orchestrator(0, &answers);
    let server = server(&asked, &["--orchestrator-unknown-ttl", "0s"]);
    let (api, root) = (server.api(), admin(&server));
    make_thread(&api, "thread_a").await;
    let known = "run_000000000100";
    assert_eq!(publish(&api, known).await["thread"], "thread_a");
    asked.signal("STOP");
    let codes = std::sync::Mutex::new(Vec::new());
    let mut next = 1..;
    // Until the breaker lets nothing through any more, and health says so.
    until("the orchestrator to be known as failed", || {
        let (api, root, n) = (api.clone(), root.clone(), next.next().unwrap());
        let codes = &codes;
        async move {
            let result = publish(&api, &format!("run_0000000001{:02}", n % 99 + 1)).await;
            let code = result["error"]["code"].as_str().unwrap_or("stored").to_owned();
            codes.lock().unwrap().push(code);
            let health = root.get("/v1/admin/health").await.body;
            (health["parts"]["orchestrator"]["state"] == "failed").then_some(())
        }
    })
    .await;
    let codes = codes.into_inner().unwrap();
    assert!(codes.iter().all(|code| code == "orchestrator_unavailable"), "{codes:?}");
    let quick = Instant::now();
    let refused = publish(&api, "run_000000000150").await;
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("left alone for a while") || message.contains("did not answer"));
    println!("refused within {:?}: {message}", quick.elapsed());
    // All others go on: known runs, standard ids, legacy ids with their thread, other people's reading.
    let thinking = make::thinking(known, "on");
    assert_eq!(api.publish(&[thinking]).await[0]["seq"], 2);
    for run in ["thread_a_run_1_0a1b2c3d", "run_a_0a1b2c3d", "thread_a"] {
        assert_eq!(publish(&api, run).await["thread"], "thread_a", "{run}");
    }
    // Who may not use the thread cannot tell a run that is known from one that is not.
    let eve = Api::new(&server.url(), &server.token_of("eve"));
    for run in [known, "run_0000000001ff"] {
        let refused = publish(&eve, run).await;
        assert_eq!(refused["error"]["code"], "orchestrator_unavailable", "{run}: {refused}");
    }
    let ready = api.get("/readyz").await;
    assert_eq!((ready.status, &ready.body["state"]), (200, &json!("degraded")), "{ready:?}");
    asked.signal("CONT");
    until("the orchestrator to be active again, though nobody publishes", || async {
        let health = root.get("/v1/admin/health").await.body;
        (health["parts"]["orchestrator"]["state"] == "active").then_some(())
    })
    .await;
    assert_eq!(publish(&api, "run_000000000150").await["thread"], "thread_a");
    // Dead, and another one in its place.
    let port = asked.port();
    asked.kill();
    let refused = publish(&api, "run_000000000151").await;
    assert_eq!(refused["error"]["code"], "orchestrator_unavailable");
    let _second = orchestrator(port, &answers);
    until("a run that the second one knows", || async {
        (publish(&api, "run_000000000151").await["thread"] == "thread_a").then_some(())
    })
    .await;
    assert_eq!(api.log("thread_a").await.len(), 7, "what was acknowledged is there, and no more");
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_sweeps_has_lost_nothing() {
    const RUNS: usize = 400;
    let args = ["--registry-ttl", "100ms", "--registry-sweep", "50ms"];
    let mut server = Server::start_with(&args);
    let api = server.api();
    let thread = api.thread().await;
    let mut log = 0;
    let mut live = Vec::new();
    let mut ended = Vec::new();
    for round in 0..6 {
        let runs: Vec<_> = (0..RUNS).map(|_| make::run(&thread)).collect();
        let events: Vec<_> =
            runs.iter().flat_map(|run| [make::started(run), make::completed(run)]).collect();
        for batch in events.chunks(800) {
            let results = api.publish(batch).await;
            assert!(results.iter().all(|result| result["seq"].is_u64()), "{results:?}");
        }
        log += events.len();
        let going_on = make::run(&thread);
        assert!(api.publish(&[make::started(&going_on)]).await[0]["seq"].is_u64());
        log += 1;
        live.push(going_on);
        ended.push((runs[0].clone(), events[0].clone()));
        // The sweep of these runs is about to begin, under way, or done.
        tokio::time::sleep(std::time::Duration::from_millis(90 + 23 * round)).await;
        server.kill();
        server.restart();
    }
    assert_eq!(api.log(&thread).await.len(), log, "no event was lost");
    // It goes on where it was broken off, by itself.
    let admin = admin(&server);
    until("the registry to hold only what goes on", || async {
        let (run, _) = ended.last().unwrap();
        (trail(&admin, run).await["step"] == "standard").then_some(())
    })
    .await;
    for (run, started) in &ended {
        let again = api.publish(std::slice::from_ref(started)).await;
        assert_eq!(again[0]["duplicate"], true, "{again:?}");
        let late = api.post("/v1/events", &json!([make::started(run)])).await;
        assert_eq!(late.body["results"][0]["error"]["code"], "run_ended", "{late:?}");
    }
    for run in &live {
        assert_eq!(trail(&admin, run).await["step"], "registry", "a run that goes on is known");
        assert!(api.publish(&[make::completed(run)]).await[0]["seq"].is_u64());
    }
}

#[tokio::test]
async fn a_silent_run_is_ended_in_the_log_also_by_the_next_server() {
    let args = ["--runs-silence", "1s", "--registry-sweep", "50ms"];
    let mut server = Server::start_with(&args);
    let api = server.api();
    let thread = api.thread().await;
    let run = api.run(&thread).await;
    assert_eq!(api.publish(&[make::started(&run)]).await[0]["seq"], 1);
    server.kill();
    server.restart();
    let last = until("the end of a silent run", || async {
        let log = api.log(&thread).await;
        log.get(1).cloned()
    })
    .await;
    assert_eq!(
        (&last["type"], &last["data"]["code"]),
        (&json!("agent_failed"), &json!("agent_silent"))
    );
    println!("{}", last["data"]["message"]);
    let late = api.post("/v1/events", &json!([make::thinking(&run, "late")])).await;
    assert_eq!(late.body["results"][0]["error"]["code"], "run_ended");
}
