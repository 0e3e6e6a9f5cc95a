//! `rethread check` on real data folders: clean ones pass, also those of a killed server, and each
//! kind of damage is found where it was done.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use rethread_tests::{
    make,
    publisher::Publisher,
    server::{Server, binary},
    within,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A data folder with two threads, and what is in it.
struct Folder {
    dir: TempDir,
    /// The ids of its threads, in the order of their numbers.
    threads: Vec<String>,
}

impl Folder {
    /// Made by a real server that was stopped in order.
    async fn make() -> Self {
        let mut server = Server::start();
        let api = server.api();
        let mut threads = Vec::new();
        for _ in 0..2 {
            let thread = api.thread().await;
            for _ in 0..3 {
                api.publish(&make::whole_run(&api.run(&thread).await, 4)).await;
            }
            threads.push(thread);
        }
        assert!(server.stop().await.success());
        let dir = tempfile::tempdir().unwrap();
        copy(&server.data(), &dir.path().join("data"));
        Self { dir, threads }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A copy of it, damaged.
    fn damaged(&self, damage: impl FnOnce(&Tables)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let copied = Self { dir, threads: self.threads.clone() };
        copy(&self.data(), &copied.data());
        let tables = Tables::open(&copied.data());
        damage(&tables);
        tables.db.persist(PersistMode::SyncAll).unwrap();
        copied
    }

    fn check(&self, more: &[&str]) -> Output {
        Command::new(binary()).arg("check").arg(self.data()).args(more).output().unwrap()
    }

    /// What the check finds, and its exit code with it.
    fn findings(&self) -> Vec<Value> {
        let output = self.check(&["--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (summary, findings) = lines.split_last().expect("a summary");
        let findings: Vec<_> = findings.iter().map(|line| line["finding"].clone()).collect();
        assert_eq!(summary["summary"]["findings"], findings.len(), "{text}");
        assert_eq!(output.status.code(), Some(i32::from(!findings.is_empty())), "{text}");
        findings
    }

    /// The one thing that is wrong.
    fn finding(&self) -> Value {
        let mut findings = self.findings();
        assert_eq!(findings.len(), 1, "{findings:#?}");
        findings.remove(0)
    }
}

/// A folder's tables, opened as the server opens them.
struct Tables {
    db: Database,
    events: Keyspace,
    ids: Keyspace,
    runs: Keyspace,
    owners: Keyspace,
}

impl Tables {
    fn open(data: &Path) -> Self {
        let db = Database::builder(data.join("log")).open().unwrap();
        let open = |name| db.keyspace(name, KeyspaceCreateOptions::default).unwrap();
        let (events, ids, runs, owners) =
            (open("events"), open("ids"), open("runs"), open("owners"));
        Self { events, ids, runs, owners, db }
    }

    fn body(&self, no: u64, seq: u64) -> Vec<u8> {
        self.events.get(place(no, seq)).unwrap().expect("an event").to_vec()
    }

    fn event(&self, no: u64, seq: u64) -> Value {
        serde_json::from_slice(&self.body(no, seq)).unwrap()
    }

    fn put(&self, no: u64, seq: u64, event: &Value) {
        self.events.insert(place(no, seq), event.to_string()).unwrap();
    }

    fn index(&self, no: u64, event: &Value, seq: u64) {
        self.ids.insert(id_key(no, event), seq.to_be_bytes()).unwrap();
    }
}

fn place(no: u64, seq: u64) -> Vec<u8> {
    [no.to_be_bytes(), seq.to_be_bytes()].concat()
}

fn id_key(no: u64, event: &Value) -> Vec<u8> {
    let id: rethread_shared::EventId = event["id"].as_str().unwrap().parse().unwrap();
    [&no.to_be_bytes()[..], &id.to_bytes()].concat()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file below a folder, with a hash of what is in it, and when it was written.
fn contents(folder: &Path) -> BTreeMap<PathBuf, (u64, std::time::SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        let mut hasher = DefaultHasher::new();
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            fs::read(&path).unwrap().hash(&mut hasher);
        }
        files.insert(path, (hasher.finish(), written));
    }
    files
}

#[tokio::test]
async fn a_clean_folder_passes_and_not_a_byte_of_it_is_changed() {
    let folder = Folder::make().await;
    let before = contents(&folder.data());
    let output = folder.check(&[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        text.split(" (").next(),
        Some("2 threads, 36 events"),
        "it says what it looked at: {text}"
    );
    assert!(text.contains("6 runs: all is as it must be"), "{text}");
    assert_eq!(contents(&folder.data()), before, "nothing was written");
}

#[tokio::test]
async fn a_folder_of_a_server_that_was_killed_under_load_passes() {
    let mut server = Server::start();
    let (url, token) = (server.url(), server.token());
    let mut publishers = Vec::new();
    for over_socket in [true, false, true] {
        let thread = server.api().thread().await;
        publishers.push(match over_socket {
            true => Publisher::over_socket(&url, &token, &thread),
            false => Publisher::over_http(&url, &token, &thread),
        });
    }
    let folder = Folder { dir: tempfile::tempdir().unwrap(), threads: vec![] };
    for round in 0..3_u64 {
        for publisher in &mut publishers {
            let before = publisher.highest();
            publisher.wait_beyond(before + 100).await;
        }
        server.kill();
        let _ = fs::remove_dir_all(folder.data());
        copy(&server.data(), &folder.data());
        assert_eq!(folder.findings(), Vec::<Value>::new(), "after kill {round}");
        server.restart();
    }
    for publisher in publishers {
        within("the publisher's end", publisher.finish()).await;
    }
}

#[tokio::test]
async fn each_kind_of_damage_is_found_where_it_was_done() {
    let folder = Folder::make().await;
    let (first, second) = (folder.threads[0].as_str(), folder.threads[1].as_str());
    let says = |finding: &Value, part: &str, text: &str| {
        let found = finding[part].as_str().unwrap();
        assert!(found.contains(text), "{part} says {text:?}: {finding:#}");
    };
    let at = |finding: &Value| {
        let text = |name: &str| finding[name].as_str().map(str::to_owned);
        (text("law").unwrap(), text("thread").unwrap(), finding["seq"].as_u64())
    };
    let law = |law: &str, thread: &str, seq: Option<u64>| (law.to_owned(), thread.to_owned(), seq);

    // A hole. It was a thought, so that the order of its run stays good.
    let hole = folder
        .damaged(|tables| {
            let event = tables.event(2, 9);
            assert_eq!(event["type"], "agent_thinking");
            tables.events.remove(place(2, 9)).unwrap();
            tables.ids.remove(id_key(2, &event)).unwrap();
        })
        .finding();
    assert_eq!(at(&hole), law("hole", second, Some(10)));
    says(&hole, "expected", "seq 9");

    // A duplicate id: the event before once more, as the thread's last but in its own place.
    let duplicate = folder
        .damaged(|tables| {
            let (kept, replaced) = (tables.event(1, 2), tables.event(1, 3));
            tables.ids.remove(id_key(1, &replaced)).unwrap();
            tables.put(1, 3, &kept);
        })
        .finding();
    assert_eq!(at(&duplicate), law("duplicate_id", first, Some(3)));
    says(&duplicate, "found", "it is at seq 2 too");

    // A truncated record.
    let truncated = folder
        .damaged(|tables| {
            let body = tables.body(1, 4);
            tables.events.insert(place(1, 4), &body[..body.len() - 7]).unwrap();
        })
        .findings();
    assert_eq!(at(&truncated[0]), law("record", first, Some(4)));
    says(&truncated[0], "found", "cannot be read");

    // An event after the end of its run.
    let late = folder
        .damaged(|tables| {
            let run = tables.event(2, 6);
            assert_eq!(run["type"], "agent_completed");
            let late = make::thinking(run["run"].as_str().unwrap(), "one more thing");
            tables.put(2, 19, &late);
            tables.index(2, &late, 19);
        })
        .finding();
    assert_eq!(at(&late), law("run_order", second, Some(19)));
    says(&late, "found", "has ended with agent_completed");
}

#[tokio::test]
async fn what_does_not_agree_is_found_from_both_sides() {
    let folder = Folder::make().await;
    let laws = |folder: &Folder| -> Vec<String> {
        let laws = folder.findings().into_iter().map(|f| f["law"].as_str().unwrap().to_owned());
        laws.collect()
    };
    // An event that its id does not lead to, and an id that leads to no event.
    let unknown = folder.damaged(|tables| {
        tables.ids.remove(id_key(1, &tables.event(1, 2))).unwrap();
    });
    assert_eq!(laws(&unknown), ["id_index"]);
    let stray = folder.damaged(|tables| {
        tables.index(1, &json!({ "id": make::id() }), 99);
    });
    assert_eq!(laws(&stray), ["id_index"]);
    assert_eq!(stray.finding()["seq"], 99);
    // A run of the one thread in the other.
    let strange = folder.damaged(|tables| {
        let mut event = tables.event(1, 2);
        event["run"] = tables.event(2, 1)["run"].clone();
        tables.put(1, 2, &event);
    });
    assert!(laws(&strange).contains(&"wrong_thread".to_owned()), "{:?}", laws(&strange));
    // A run that the registry has for live though it has ended is repaired at the next start; one
    // that it has for ended though it goes on is not.
    let forgotten = folder.damaged(|tables| {
        let run = make::run(&folder.threads[0]);
        let event = make::started(&run);
        tables.put(1, 19, &event);
        tables.index(1, &event, 19);
    });
    assert_eq!(laws(&forgotten), ["registry"]);
    let unlisted = folder.damaged(|tables| {
        let (key, row) = tables.runs.iter().next().unwrap().into_inner().unwrap();
        let mut row: Value = serde_json::from_slice(&row).unwrap();
        row["live"] = json!(true);
        tables.runs.insert(key, row.to_string()).unwrap();
    });
    assert_eq!(laws(&unlisted), ["registry"]);
    // Events of no thread, and an owner's list without a thread of the owner's.
    let nobodys = folder.damaged(|tables| {
        let event = make::started(&make::run(&folder.threads[0]));
        tables.put(7, 1, &event);
        tables.index(7, &event, 1);
    });
    assert!(laws(&nobodys).contains(&"threads".to_owned()));
    let unowned = folder.damaged(|tables| {
        let (key, _) = tables.owners.iter().next().unwrap().into_inner().unwrap();
        tables.owners.remove(key).unwrap();
    });
    assert_eq!(laws(&unowned), ["threads"]);
}

#[tokio::test]
async fn what_cannot_be_checked_is_said() {
    let server = Server::start();
    let output = Command::new(binary()).arg("check").arg(server.data()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("another process has this data folder open"), "{text}");
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(binary()).arg("check").arg(empty.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("there is no log in"), "{text}");
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0, "it makes none");
}
