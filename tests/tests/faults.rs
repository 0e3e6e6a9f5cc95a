//! The disk lets the server down: full, or read-only. Health says so, nothing that was acknowledged is
//! lost, and the server goes on by itself when the cause has gone.
//!
//! These tests mount file systems of their own, for which they must be root.

use std::{
    collections::HashMap,
    fs::File,
    io::{ErrorKind, Write},
    path::Path,
    process::Command,
};

use rethread_tests::{
    api::Api, follower::Follower, make, publisher::Publisher, server::Server, until,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A small file system in memory.
struct Disk {
    place: TempDir,
}

impl Disk {
    /// `None`, said loudly, where mounting is not allowed.
    fn mount(mib: u32) -> Option<Self> {
        let place = tempfile::tempdir().expect("a temporary folder");
        let options = format!("size={mib}m");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(place.path())
            .output()
            .expect("mount runs");
        if output.status.success() {
            return Some(Self { place });
        }
        let why = String::from_utf8_lossy(&output.stderr);
        eprintln!("SKIPPED: a file system must be mounted, as root: {}", why.trim());
        None
    }

    fn data(&self) -> std::path::PathBuf {
        self.place.path().join("data")
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let status = Command::new("mount").args(["-o", &options]).arg(self.place.path()).status();
        assert!(status.expect("mount runs").success(), "remount {how}");
    }

    /// Writes until `left` MiB are free; all when there are to be none.
    fn fill(&self, left: u64) {
        let ballast = self.place.path().join("ballast");
        let mut file = File::options().create(true).append(true).open(ballast).expect("a file");
        let block = vec![b'x'; 512 * 1024];
        loop {
            if left > 0 && free_mib(self.place.path()) <= left {
                return;
            }
            match file.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.place.path().join("ballast")).expect("the ballast goes");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a server that is killed at the same time may not be gone yet.
        let _ = Command::new("umount").arg("-l").arg(self.place.path()).status();
    }
}

fn free_mib(path: &Path) -> u64 {
    let output = Command::new("df").args(["--output=avail", "-m"]).arg(path).output();
    let text = String::from_utf8(output.expect("df runs").stdout).expect("text");
    text.lines().last().and_then(|line| line.trim().parse().ok()).expect("a number")
}

/// Waits until the log's health is in a state, and gives its reason.
async fn log_is(operator: &Api, state: &str) -> String {
    let what = format!("the log to be {state}");
    let log = until(&what, || async {
        let health = operator.get("/v1/admin/health").await;
        assert_eq!(health.status, 200, "{health:?}");
        let log = health.body["parts"]["log"].clone();
        (log["state"] == state).then_some(log)
    });
    log.await["reason"].as_str().unwrap_or_default().to_owned()
}

async fn ready(api: &Api) -> (u16, Value) {
    let answer = api.get("/readyz").await;
    (answer.status, answer.body)
}

async fn counted(api: &Api, name: &str) -> f64 {
    let metrics = api.get("/metrics").await.body;
    let text = metrics.as_str().expect("metrics are text");
    let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

fn ids(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["id"].as_str().expect("an id")).collect()
}

/// Publishers at full speed and a follower through a full disk, with and without a reserve.
async fn full_disk(reserve: &str, left: u64) -> Option<(Server, Disk)> {
    let disk = Disk::mount(96)?;
    let args = ["--log-reserve", reserve, "--health-low-space", "48MiB", "--health-probe", "1s"];
    let server = Server::start_on(&disk.data(), &args);
    let (url, token, api, operator) =
        (server.url(), server.token(), server.api(), server.operator());
    let thread = api.thread().await;
    let mut publishers =
        [Publisher::over_http(&url, &token, &thread), Publisher::over_http(&url, &token, &thread)];
    let mut follower = Follower::start(&url, &token, &thread);
    for publisher in &mut publishers {
        publisher.wait_beyond(0).await;
    }
    disk.fill(30);
    let reason = log_is(&operator, "degraded").await;
    assert!(reason.contains("MiB are free") && reason.contains("make room"), "{reason}");
    assert_eq!(ready(&api).await.0, 200, "it still takes events");
    for publisher in &mut publishers {
        publisher.wait_beyond(publisher.highest()).await;
    }
    disk.fill(left);
    let reason = log_is(&operator, "failed").await;
    println!("full, with a reserve of {reserve}: {reason}");
    assert!(reason.contains("make room in the data folder"), "{reason}");
    let (status, body) = ready(&api).await;
    assert_eq!((status, &body["ready"]), (503, &json!(false)), "{body}");
    let refused = api.post("/v1/events", &make::started(&make::run(&thread))).await;
    assert_eq!((refused.status, refused.code()), (503, "log_unavailable"), "{refused:?}");
    assert!(refused.body["error"]["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0));
    let page = api.get(&format!("/v1/threads/{thread}/events?limit=1")).await;
    assert_eq!(page.status, 200, "what is stored can be read: {page:?}");
    assert_eq!(api.get("/healthz").await.status, 200, "it is alive");

    disk.empty();
    until("readiness", || async { (ready(&api).await.0 == 200).then_some(()) }).await;
    for publisher in &mut publishers {
        publisher.wait_beyond(publisher.highest()).await;
    }
    let mut made = 0;
    let mut acked: HashMap<String, u64> = HashMap::new();
    for publisher in publishers {
        let finished = publisher.finish().await;
        made += finished.events.len();
        acked.extend(finished.acked.seqs.iter().map(|(id, seq)| (id.clone(), *seq)));
    }
    let log = api.log(&thread).await;
    assert_eq!((log.len(), acked.len()), (made, made), "all is there once");
    for event in &log {
        let id = event["id"].as_str().expect("an id");
        assert_eq!(event["seq"].as_u64(), acked.get(id).copied(), "where it was acknowledged");
    }
    let record = follower.wait("the end", |record| record.events.len() >= log.len()).await;
    assert_eq!(ids(&record.events), ids(&log), "the follower has seen what is stored");
    assert_eq!((record.holes, record.resets), (0, 0));
    println!("{made} events, all stored once");
    Some((server, disk))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_the_log_in_time_and_it_goes_on_when_there_is_room() {
    let Some((server, _disk)) = full_disk("8MiB", 5).await else { return };
    assert_eq!(counted(&server.api(), "rethread_commits_failed_total").await, 0.0, "nothing broke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_broke_off_on_a_full_disk_is_opened_again_in_the_same_process() {
    let Some((mut server, disk)) = full_disk("0B", 0).await else { return };
    let api = server.api();
    assert!(counted(&api, "rethread_commits_failed_total").await > 0.0, "a write failed");
    assert!(counted(&api, "rethread_log_reopened_total").await > 0.0, "it was opened again");
    // What is on disk after that is whole.
    server.kill();
    server.restart();
    assert_eq!(ready(&server.api()).await.0, 200);
    drop(disk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_data_folder_is_waited_for() {
    let Some(disk) = Disk::mount(96) else { return };
    let args = ["--log-reserve", "1MiB", "--health-low-space", "2MiB"];
    let mut server = Server::start_on(&disk.data(), &args);
    let (api, operator) = (server.api(), server.operator());
    let thread = api.thread().await;
    let run = make::run(&thread);
    let events = make::whole_run(&run, 5);
    api.publish(&events[..3]).await;
    assert!(server.stop().await.success());
    disk.remount("ro");
    server.restart();
    let reason = log_is(&operator, "failed").await;
    println!("read-only: {reason}");
    assert!(reason.contains("read-only") && reason.contains("remount"), "{reason}");
    assert_eq!(ready(&api).await.0, 503);
    let refused = api.post("/v1/events", &events[3]).await;
    assert_eq!((refused.status, refused.code()), (503, "log_unavailable"), "{refused:?}");
    disk.remount("rw");
    log_is(&operator, "active").await;
    assert_eq!(ready(&api).await.0, 200);
    let results = api.publish(&events).await;
    let again = results.iter().filter(|result| result["duplicate"] == true).count();
    assert_eq!(again, 3, "what was acknowledged is there: {results:?}");
    assert_eq!(ids(&api.log(&thread).await), ids(&events));
}
