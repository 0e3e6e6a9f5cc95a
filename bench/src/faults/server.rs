//! As much of a server as the load generator needs, and a fault in it.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use anyhow::{Context, Result};
use memchr::memmem;

use crate::{
    dialect::{Dialect, Rethread},
    server::Target,
    wire::push_frame,
};

/// What is done wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wrong {
    Drop,
    Repeat,
    Swap,
}

/// Where.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// The log has it wrong, and numbers what it has as if it were right.
    Log,
    /// The log has it right; one subscriber gets it wrong.
    Way,
}

/// What, where, and with which event of all.
pub(super) type Planned = Option<(Wrong, Place, u64)>;

#[derive(Default)]
struct State {
    planned: Planned,
    /// Events of all threads.
    events: u64,
    threads: HashMap<String, Thread>,
    /// A word of the test: every thread's end is off by so much.
    pretended: u64,
}

#[derive(Default)]
struct Thread {
    log: Vec<Vec<u8>>,
    subscribers: Vec<TcpStream>,
}

/// Starts it, on a port of its own; it ends with the test's process.
pub(super) fn start(planned: Planned) -> Result<Target> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let state = Arc::new(Mutex::new(State { planned, ..State::default() }));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let state = state.clone();
            // A connection that ends has ended.
            thread::spawn(move || drop(serve(stream, &state)));
        }
    });
    let dialect = Dialect::Rethread(Rethread { token: "token".into() });
    Ok(Target { address, dialect })
}

/// From now on the server lies about where its threads end.
pub(super) fn pretend(target: &Target, by: u64) {
    let mut stream = TcpStream::connect(target.address).unwrap();
    write!(stream, "POST /pretend/{by} HTTP/1.1\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 12]).unwrap();
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
        }
        let head = String::from_utf8(head)?;
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(Ok(0), str::parse)?];
        reader.read_exact(&mut body)?;
        let path = head.split(' ').nth(1).context("a path")?;
        if path == "/v1/ws" {
            writer.write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n")?;
            return talk(reader, writer, state);
        }
        let answer = {
            let mut state = state.lock().unwrap();
            if let Some(by) = path.strip_prefix("/pretend/") {
                state.pretended = by.parse()?;
                String::new()
            } else if let Some(id) = path.strip_prefix("/v1/threads/") {
                let id = id.split('/').next().unwrap_or_default();
                let head = state.threads[id].log.len() as u64 + state.pretended;
                format!(r#"{{"head":{head}}}"#)
            } else {
                let made: serde_json::Value = serde_json::from_slice(&body)?;
                let id = made["thread"].as_str().context("an id")?;
                state.threads.entry(id.to_owned()).or_default();
                format!(r#"{{"thread":"{id}"}}"#)
            }
        };
        write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len())?;
    }
}

fn talk(
    mut reader: BufReader<TcpStream>,
    mut writer: TcpStream,
    state: &Mutex<State>,
) -> Result<()> {
    loop {
        let mut head = [0; 2];
        reader.read_exact(&mut head)?;
        let length = match head[1] & 0x7f {
            126 => {
                let mut long = [0; 2];
                reader.read_exact(&mut long)?;
                usize::from(u16::from_be_bytes(long))
            }
            127 => {
                let mut long = [0; 8];
                reader.read_exact(&mut long)?;
                usize::try_from(u64::from_be_bytes(long))?
            }
            short => usize::from(short),
        };
        // The mask, which the load generator fills with zeros.
        reader.read_exact(&mut [0; 4])?;
        let mut text = vec![0; length];
        reader.read_exact(&mut text)?;
        if text.starts_with(br#"{"op":"publish""#) {
            let answer = state.lock().unwrap().publish(&text)?;
            say(&mut writer, &answer)?;
            continue;
        }
        let said: serde_json::Value = serde_json::from_slice(&text)?;
        match said["op"].as_str() {
            Some("hello") => say(&mut writer, br#"{"op":"welcome"}"#)?,
            Some("subscribe") => {
                let id = said["thread"].as_str().context("a thread")?;
                let mut state = state.lock().unwrap();
                let thread = state.threads.get_mut(id).context("a known thread")?;
                let head = thread.log.len();
                let answer = format!(
                    r#"{{"op":"subscribed","thread":"{id}","epoch":"0000000a","head":{head},"after":0}}"#
                );
                say(&mut writer, answer.as_bytes())?;
                say(&mut writer, &frame(id, 1, &thread.log))?;
                thread.subscribers.push(writer.try_clone()?);
            }
            _ => {}
        }
    }
}

impl State {
    /// Stores the events of a publish, which are of one thread, and brings them to its subscribers.
    fn publish(&mut self, text: &[u8]) -> Result<Vec<u8>> {
        let number_at = br#"{"op":"publish","req":"#.len();
        let req: String = text[number_at..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .map(|b| *b as char)
            .collect();
        let from = memmem::find(text, b"[").context("events")? + 1;
        let mut events: Vec<Vec<u8>> = Vec::new();
        let mut rest = &text[from..text.len() - 2];
        while let Some(end) = memmem::find(rest, b"}},{").or(rest.len().checked_sub(2)) {
            events.push(rest[..end + 2].to_vec());
            rest = rest.get(end + 3..).unwrap_or_default();
        }
        let run = memmem::find(text, br#""run":""#).context("a run")? + 7;
        let id =
            &text[run..run + memmem::find(&text[run..], b"_run_").context("a run's thread")?];
        let id = std::str::from_utf8(id)?.to_owned();

        let count = events.len();
        let before = self.events;
        self.events += count as u64;
        let planned = self.planned.filter(|(_, _, at)| (before..self.events).contains(at));
        let thread = self.threads.get_mut(&id).context("a known thread")?;
        // The places that are promised, whatever is stored.
        let first = thread.log.len() + 1;
        let results: Vec<String> = (first..first + count)
            .map(|seq| format!(r#"{{"id":"i","thread":"t","seq":{seq}}}"#))
            .collect();

        let mut delivered = events.clone();
        if let Some((wrong, place, at)) = planned {
            let at = (at - before) as usize;
            let broken = if matches!(place, Place::Log) { &mut events } else { &mut delivered };
            match wrong {
                Wrong::Drop => drop(broken.remove(at)),
                Wrong::Repeat => broken.insert(at, broken[at].clone()),
                Wrong::Swap if at + 1 < count => broken.swap(at, at + 1),
                Wrong::Swap => broken.swap(at - 1, at),
            }
        }
        thread.log.extend(events.iter().cloned());
        let right = frame(&id, first, &events);
        let other = frame(&id, first, &delivered);
        for (place, subscriber) in thread.subscribers.iter_mut().enumerate() {
            let is_hit = matches!(planned, Some((_, Place::Way, _))) && place == 0;
            // One that has gone gets nothing.
            let _ = say(subscriber, if is_hit { &other } else { &right });
        }
        let answer =
            format!(r#"{{"op":"published","req":{req},"results":[{}]}}"#, results.join(","));
        Ok(answer.into_bytes())
    }
}

/// Events as they are delivered, numbered from `first`.
fn frame(id: &str, first: usize, events: &[Vec<u8>]) -> Vec<u8> {
    let last = first + events.len() - 1;
    let mut text = format!(
        r#"{{"op":"events","thread":"{id}","epoch":"0000000a","first":{first},"last":{last},"events":["#
    )
    .into_bytes();
    for (seq, event) in (first..).zip(events) {
        text.extend_from_slice(format!(r#"{{"seq":{seq},"#).as_bytes());
        text.extend_from_slice(&event[1..]);
        text.push(b',');
    }
    text.pop();
    text.extend_from_slice(b"]}");
    text
}

fn say(stream: &mut TcpStream, text: &[u8]) -> Result<()> {
    let mut masked = Vec::with_capacity(text.len() + 14);
    push_frame(text, &mut masked);
    // A server's frames have no mask.
    let head = masked.len() - text.len() - 4;
    let mut framed = masked[..head].to_vec();
    framed[1] &= 0x7f;
    framed.extend_from_slice(text);
    stream.write_all(&framed)?;
    Ok(())
}
