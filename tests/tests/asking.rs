//! A person asks, an agent works, and whatever happens to either, the log says how it ended.

use rethread_tests::{
    api::Api,
    make,
    server::Server,
    socket::{Incoming, Socket},
    until,
};
use serde_json::{Value, json};

fn send(thread: &str, text: &str) -> Value {
    json!({ "op": "send", "thread": thread, "message_id": make::id(), "text": text })
}

/// A connection that serves an agent.
async fn agent(server: &Server, name: &str) -> Socket {
    let mut socket = server.socket().await;
    socket.send(json!({ "op": "serve", "agent": name })).await;
    socket
}

fn run_of(frame: &Value) -> String {
    frame["run"].as_str().expect("a run").to_owned()
}

/// Waits until a run has ended in the log; gives the event that ended it.
async fn end_of(api: &Api, thread: &str, run: &str) -> Value {
    until("the run's end", || async {
        let log = api.log(thread).await;
        let mut ends = log.into_iter().filter(|event| {
            let kind = event["type"].as_str().unwrap_or_default();
            event["run"] == run
                && matches!(kind, "agent_completed" | "agent_failed" | "agent_cancelled")
        });
        ends.next()
    })
    .await
}

#[tokio::test]
async fn a_question_becomes_work_and_the_answer_comes_back() {
    let server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let mut docs = agent(&server, "docs").await;
    let mut person = server.socket().await;
    person.send(json!({ "op": "subscribe", "thread": thread })).await;
    person.expect("subscribed").await;

    let mut question = send(&thread, "What is a thread?");
    question["agent"] = json!("docs");
    let sent = person.ask(question.clone()).await;
    assert_eq!((&sent["op"], &sent["seq"]), (&json!("sent"), &json!(1)), "{sent}");
    let run = run_of(&sent);
    assert!(run.starts_with(&format!("{thread}_run_")), "{run}");

    let work = docs.expect("work").await;
    assert_eq!(
        work,
        json!({
            "op": "work", "agent": "docs", "run": run, "thread": thread,
            "message": {
                "message_id": question["message_id"], "text": "What is a thread?",
                "by": "ada", "seq": 1,
            },
        })
    );
    docs.publish(&make::whole_run(&run, 3)).await;
    let seen = person.events_until(&thread, 1, 6).await;
    assert_eq!(seen[0]["type"], "user_message");
    assert_eq!(
        seen[0]["data"],
        json!({
            "message_id": question["message_id"], "text": "What is a thread?",
            "agent": "docs", "by": "ada",
        })
    );
    assert_eq!(seen[5]["type"], "agent_completed");
    assert!(seen.iter().all(|event| event["run"] == *run));
    assert_eq!(seen, api.log(&thread).await);
}

#[tokio::test]
async fn work_waits_for_its_agent_also_across_a_crash() {
    let mut server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let mut person = server.socket().await;
    let mut to_docs = send(&thread, "for docs");
    to_docs["agent"] = json!("docs");
    let for_docs = person.ask(to_docs).await;
    let for_any = person.ask(send(&thread, "for any")).await;
    server.kill();
    server.restart();
    // Another agent gets what is for any, and not what is for docs.
    let mut other = agent(&server, "other").await;
    assert_eq!(run_of(&other.expect("work").await), run_of(&for_any));
    let mut docs = agent(&server, "docs").await;
    let work = docs.expect("work").await;
    assert_eq!((run_of(&work), &work["message"]["text"]), (run_of(&for_docs), &json!("for docs")));
    assert_eq!(work["message"]["by"], "ada");
    docs.publish(&make::whole_run(&run_of(&for_docs), 0)).await;
    let mut person = server.socket().await;
    let next = person.ask(send(&thread, "next")).await;
    // The idle one gets the next; what it has started is not handed out again.
    assert_eq!(run_of(&docs.expect("work").await), run_of(&next));
}

#[tokio::test]
async fn asking_again_gives_the_same_answer_and_starts_nothing() {
    let mut server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let mut docs = agent(&server, "docs").await;
    let question = send(&thread, "once");
    let mut person = server.socket().await;
    let first = person.ask(question.clone()).await;
    // All at once, too.
    for req in 100..110 {
        let mut again = question.clone();
        again["req"] = json!(req);
        person.send(again).await;
    }
    for req in 100..110 {
        let again = person.expect_where("sent", |frame| frame["req"] == req).await;
        assert_eq!((&again["run"], &again["seq"]), (&first["run"], &first["seq"]));
    }
    assert_eq!(run_of(&docs.expect("work").await), run_of(&first));
    server.kill();
    server.restart();
    let mut person = server.socket().await;
    let again = person.ask(question).await;
    assert_eq!((&again["run"], &again["seq"]), (&first["run"], &first["seq"]));
    assert_eq!(api.log(&thread).await.len(), 1);
    let mut docs = agent(&server, "docs").await;
    assert_eq!(run_of(&docs.expect("work").await), run_of(&first), "it had not been started");
    let next = person.ask(send(&thread, "next")).await;
    assert_eq!(run_of(&docs.expect("work").await), run_of(&next), "and is handed out once");
}

#[tokio::test]
async fn work_that_an_agent_did_not_start_goes_to_another() {
    let server = Server::start_with(&["--work-start", "300ms"]);
    let api = server.api();
    let thread = api.thread().await;
    let mut stuck = agent(&server, "docs").await;
    let mut person = server.socket().await;
    let sent = person.ask(send(&thread, "hello?")).await;
    assert_eq!(run_of(&stuck.expect("work").await), run_of(&sent));
    let mut awake = agent(&server, "docs").await;
    assert_eq!(run_of(&awake.expect("work").await), run_of(&sent));
    awake.publish(&[make::started(&run_of(&sent))]).await;
    // The stuck one was still there all the time; its start comes too late.
    let late = stuck.publish(&[make::started(&run_of(&sent))]).await;
    assert_eq!(late[0]["error"]["code"], "run_order");
}

#[tokio::test]
async fn work_of_an_agent_that_leaves_before_it_starts_goes_to_another() {
    let server = Server::start();
    let thread = server.api().thread().await;
    let mut leaver = agent(&server, "docs").await;
    let mut person = server.socket().await;
    let sent = person.ask(send(&thread, "hello?")).await;
    assert_eq!(run_of(&leaver.expect("work").await), run_of(&sent));
    let mut other = agent(&server, "docs").await;
    drop(leaver);
    assert_eq!(run_of(&other.expect("work").await), run_of(&sent));
}

#[tokio::test]
async fn an_agent_that_comes_back_goes_on_and_one_that_does_not_is_lost() {
    let server = Server::start_with(&["--agent-grace", "500ms"]);
    let api = server.api();
    let thread = api.thread().await;
    let mut person = server.socket().await;
    let mut first = agent(&server, "docs").await;
    let kept = run_of(&person.ask(send(&thread, "kept")).await);
    first.expect("work").await;
    first.publish(&[make::started(&kept)]).await;
    drop(first);
    let mut back = server.socket().await;
    back.send(json!({ "op": "serve", "agent": "docs", "runs": [kept] })).await;
    back.publish(&[make::thinking(&kept, "back")]).await;

    let lost = run_of(&person.ask(send(&thread, "lost")).await);
    let mut second = agent(&server, "docs").await;
    // Whoever is offered it hands it to the second, by leaving it unstarted.
    let mut offered = tokio::select! {
        work = back.expect("work") => (work, false),
        work = second.expect("work") => (work, true),
    };
    assert_eq!(run_of(&offered.0), lost);
    if !offered.1 {
        second.send(json!({ "op": "serve", "agent": "docs", "runs": [lost] })).await;
        offered.1 = true;
    }
    second.publish(&[make::started(&lost)]).await;
    drop(second);
    let end = end_of(&api, &thread, &lost).await;
    assert_eq!(
        (&end["type"], &end["data"]["code"]),
        (&json!("agent_failed"), &json!("agent_lost"))
    );
    // The grace of the one that came back was over before that of the lost one.
    let refused = back.publish(&[make::thinking(&lost, "late")]).await;
    assert_eq!(refused[0]["error"]["code"], "run_ended");
    let results = back.publish(&[make::completed(&kept)]).await;
    assert!(results[0]["seq"].is_u64(), "{results:?}");
}

#[tokio::test]
async fn an_agent_that_does_not_come_back_after_a_crash_is_lost() {
    let mut server = Server::start_with(&["--agent-grace", "400ms"]);
    let api = server.api();
    let thread = api.thread().await;
    let mut docs = agent(&server, "docs").await;
    let mut person = server.socket().await;
    let kept = run_of(&person.ask(send(&thread, "kept")).await);
    docs.expect("work").await;
    docs.publish(&[make::started(&kept)]).await;
    let lost = run_of(&person.ask(send(&thread, "lost")).await);
    docs.expect("work").await;
    docs.publish(&[make::started(&lost)]).await;
    server.kill();
    server.restart();
    let mut back = server.socket().await;
    back.send(json!({ "op": "serve", "agent": "docs", "runs": [kept] })).await;
    let end = end_of(&api, &thread, &lost).await;
    assert_eq!(end["data"]["code"], "agent_lost");
    let results = back.publish(&[make::completed(&kept)]).await;
    assert!(results[0]["seq"].is_u64(), "{results:?}");
}

#[tokio::test]
async fn a_run_is_stopped_from_anywhere_and_stays_stopped() {
    let mut server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let mut docs = agent(&server, "docs").await;
    let mut person = server.socket().await;
    let run = run_of(&person.ask(send(&thread, "stop")).await);
    docs.expect("work").await;
    docs.publish(&[make::started(&run), make::thinking(&run, "hm")]).await;

    let mut other_tab = server.socket().await;
    let cancel = json!({ "op": "cancel", "run": run, "reason": "enough" });
    let answer = other_tab.ask(cancel.clone()).await;
    assert_eq!(
        (&answer["op"], &answer["run"], &answer["seq"]),
        (&json!("cancelled"), &json!(run), &json!(4))
    );
    let word = docs.expect("cancelled").await;
    assert_eq!(word, json!({ "op": "cancelled", "run": run, "seq": 4 }), "word to the agent");
    let refused = docs.publish(&[make::thinking(&run, "late")]).await;
    assert_eq!(refused[0]["error"]["code"], "run_ended");
    let end = end_of(&api, &thread, &run).await;
    assert_eq!(end["data"], json!({ "by": "ada", "reason": "enough" }));

    let done = run_of(&person.ask(send(&thread, "done")).await);
    docs.expect("work").await;
    docs.publish(&make::whole_run(&done, 0)).await;
    for _ in 0..2 {
        let again = server.socket().await.ask(cancel.clone()).await;
        assert_eq!(
            (&again["op"], &again["seq"]),
            (&json!("cancelled"), &json!(4)),
            "the same answer"
        );
        let ended = server.socket().await.ask(json!({ "op": "cancel", "run": done })).await;
        assert_eq!(ended["code"], "run_ended", "{ended}");
        for nowhere in [make::run(&thread), "run_5d1f0c9a77e2".to_owned()] {
            let none = server.socket().await.ask(json!({ "op": "cancel", "run": nowhere })).await;
            assert_eq!(none["code"], "run_not_found", "{none}");
        }
        server.kill();
        server.restart();
    }
    assert_eq!(api.log(&thread).await.len(), 7);
}

#[tokio::test]
async fn a_run_that_nobody_has_started_can_be_stopped() {
    let mut server = Server::start();
    let api = server.api();
    let thread = api.thread().await;
    let mut person = server.socket().await;
    let stopped = run_of(&person.ask(send(&thread, "stopped")).await);
    assert_eq!(person.ask(json!({ "op": "cancel", "run": stopped })).await["op"], "cancelled");
    let after_crash = run_of(&person.ask(send(&thread, "stopped after a crash")).await);
    server.kill();
    server.restart();
    let mut person = server.socket().await;
    assert_eq!(person.ask(json!({ "op": "cancel", "run": after_crash })).await["op"], "cancelled");
    let next = run_of(&person.ask(send(&thread, "next")).await);
    let mut docs = agent(&server, "docs").await;
    assert_eq!(run_of(&docs.expect("work").await), next, "what was stopped is not handed out");
    let kinds: Vec<_> = api.log(&thread).await.iter().map(|event| event["type"].clone()).collect();
    let (asked, stopped) = ("user_message", "agent_cancelled");
    assert_eq!(kinds, [asked, stopped, asked, stopped, asked]);
}

#[tokio::test]
async fn a_message_must_say_something() {
    let server = Server::start();
    let thread = server.api().thread().await;
    let mut person = server.socket().await;
    for text in ["", " \n"] {
        assert_eq!(person.ask(send(&thread, text)).await["code"], "bad_event", "{text:?}");
    }
    let mut odd = send(&thread, "t");
    odd["agent"] = json!("");
    assert_eq!(person.ask(odd).await["code"], "bad_frame");
}

#[tokio::test]
async fn an_agent_gets_work_only_of_threads_that_it_may_use() {
    let server = Server::start();
    let ada = Api::new(&server.url(), &server.token_of("ada"));
    let thread = ada.thread().await;
    let mut spy = Socket::welcomed(&server.url(), &server.token_of("spy")).await;
    spy.send(json!({ "op": "serve", "agent": "docs" })).await;
    spy.send(json!({ "op": "jump" })).await;
    spy.expect("error").await;
    let mut person = Socket::welcomed(&server.url(), &server.token_of("ada")).await;
    let run = run_of(&person.ask(send(&thread, "a secret")).await);
    let mut docs = agent(&server, "docs").await;
    assert_eq!(run_of(&docs.expect("work").await), run);
    let own = Api::new(&server.url(), &server.token_of("spy")).thread().await;
    let own = run_of(&spy.ask(send(&own, "its own")).await);
    // The first thing it is given, if it is given anything, is its own.
    let first = tokio::select! {
        work = spy.expect("work") => work,
        work = docs.expect("work") => work,
    };
    assert_eq!(run_of(&first), own);
    let mut left = spy.ask(json!({ "op": "cancel", "run": own })).await;
    assert_eq!(left["op"].take(), "cancelled");
    while let Ok(Incoming::Frame(frame)) =
        tokio::time::timeout(std::time::Duration::from_millis(1), spy.next()).await
    {
        assert_ne!(frame["run"], run, "{frame}");
    }
}
