//! Making threads, many at once: each is a write that is made durable, and they share it.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use memchr::memmem;
use serde_json::json;

use super::DRAIN;
use crate::{swarm::Swarm, wire::push_request};

/// Connections that ask at once.
const CONNECTIONS: usize = 64;

/// Makes threads of these ids.
///
/// # Errors
/// When the server refuses, or takes too long.
pub(crate) fn make(address: SocketAddr, token: &str, ids: &[String]) -> Result<()> {
    let mut swarm = Swarm::new(None)?;
    let mut asking = vec![None; CONNECTIONS.min(ids.len())];
    for _ in 0..asking.len() {
        swarm.dial_http(address)?;
    }
    let (mut asked, mut made) = (0, 0);
    let end = std::time::Instant::now() + DRAIN;
    while made < ids.len() {
        ensure!(std::time::Instant::now() < end, "{made} of {} threads are made", ids.len());
        for (link, asking) in asking.iter_mut().enumerate() {
            if asking.is_none() && asked < ids.len() {
                let body = json!({"thread": ids[asked]}).to_string();
                let mut request = Vec::new();
                push_request("POST", "/v1/threads", token, body.as_bytes(), &mut request);
                swarm.send(link, &request)?;
                *asking = Some(asked);
                asked += 1;
            }
        }
        swarm.turn(Duration::from_millis(20), |message| {
            let place = asking[message.link].take().context("an answer to what was not asked")?;
            let is_it = memmem::find(message.payload, ids[place].as_bytes()).is_some();
            let said = String::from_utf8_lossy(message.payload);
            ensure!(is_it, "{} was asked for, the answer is {said}", ids[place]);
            made += 1;
            Ok(None)
        })?;
    }
    Ok(())
}
