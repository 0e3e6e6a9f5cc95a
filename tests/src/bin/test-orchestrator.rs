//! An orchestrator for tests, as a process of its own that can be stopped and killed. Knows the runs
//! that its arguments name: `RUN=THREAD`, `RUN=~MS,THREAD` (says so after so long), `RUN=!STATUS`,
//! `RUN=?BODY` (any body with status 200). `GET /asked` tells how often it was asked for a run.

use std::{
    collections::HashMap,
    env,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

fn main() {
    let mut args = env::args().skip(1);
    let port = args.next().expect("a port, or 0");
    let known: HashMap<String, String> = args
        .map(|arg| {
            let (run, answer) = arg.split_once('=').expect("RUN=ANSWER");
            (run.to_owned(), answer.to_owned())
        })
        .collect();
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("a free port");
    println!("{}", listener.local_addr().expect("an address").port());
    let (known, asked) = (Arc::new(known), Arc::new(Mutex::new(HashMap::new())));
    for stream in listener.incoming().flatten() {
        let (known, asked) = (known.clone(), asked.clone());
        thread::spawn(move || serve(stream, &known, &asked));
    }
}

fn serve(stream: TcpStream, known: &HashMap<String, String>, asked: &Mutex<HashMap<String, u64>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match path.strip_prefix("/api/runs/") {
        None => {
            let asked = asked.lock().expect("no panic");
            (200, asked.iter().map(|(run, times)| format!("{run} {times}\n")).collect())
        }
        Some(run) => {
            *asked.lock().expect("no panic").entry(run.to_owned()).or_insert(0) += 1;
            let is_known_to_us = head.to_ascii_lowercase().contains("authorization: bearer sesame");
            match known.get(run) {
                _ if !is_known_to_us => (401, String::new()),
                None => (404, r#"{"error":"no such run"}"#.to_owned()),
                Some(answer) => answered(answer),
            }
        }
    };
    let length = body.len();
    let mut stream = stream;
    let _ = write!(
        stream,
        "HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nlocation: /\r\nconnection: close\r\n\r\n{body}"
    );
}

fn answered(answer: &str) -> (u16, String) {
    if let Some(status) = answer.strip_prefix('!') {
        return (status.parse().expect("a status"), String::new());
    }
    if let Some(body) = answer.strip_prefix('?') {
        return (200, body.to_owned());
    }
    let Some((ms, thread)) = answer.strip_prefix('~').and_then(|rest| rest.split_once(',')) else {
        return (200, format!(r#"{{"thread":"{answer}"}}"#));
    };
    thread::sleep(Duration::from_millis(ms.parse().expect("milliseconds")));
    (200, format!(r#"{{"thread":"{thread}"}}"#))
}
