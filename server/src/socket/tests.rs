//! Isolation, as a property: whatever happens, an event is delivered only to who may have it at that
//! moment. The histories are random; the tokens, the gate, the log and the deliveries are real; what may
//! be had is said a second time, plainly, by [`History::may_have`].

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use jsonwebtoken::{EncodingKey, Header, encode};
use rethread_shared::{Epoch, ErrorCode, EventId, ThreadId, frame::Start};
use serde_json::{Value, json};

use super::delivery::Deliveries;
use crate::{
    auth::{Access, Gate, Keys, Subject},
    bridge::{Bridge, Patience},
    connections::{Connections, Place},
    log::{LocalLog, Log, NewRecord, NewThread, engine::memory::MemoryEngine},
    metrics::meters::Transport,
    now,
};

const HISTORIES: u64 = 10_000;
const STEPS: u64 = 14;
/// Clocks may differ by so many seconds.
const LEEWAY: u64 = 5;
const USERS: [&str; 3] = ["ann", "bob", "cy"];
const THREADS: usize = 4;
const SECRET: &str = "a secret for tests, long enough for HS256";

/// Splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.roll(of.len() as u64) as usize]
    }
}

/// A token, and what it was made to say.
struct Token {
    text: String,
    user: &'static str,
    reads: bool,
    claim: Vec<String>,
    iat: u64,
    jti: String,
    is_expired: bool,
}

/// One client, as the loop of a socket holds it.
struct Client {
    token: usize,
    access: Access,
    deliveries: Deliveries,
    place: Place,
    /// What it follows, and the last event it was given of each.
    follows: BTreeMap<usize, u64>,
}

struct World {
    log: LocalLog,
    bridge: Arc<Bridge>,
    connections: Connections,
    signing: EncodingKey,
}

/// What has happened to a few users and threads.
struct History<'a> {
    world: &'a World,
    gate: Gate,
    threads: Vec<(ThreadId, &'static str)>,
    heads: u64,
    tokens: Vec<Token>,
    clients: Vec<Client>,
    revoked: BTreeMap<Subject, u64>,
    delivered: u64,
    refused: u64,
}

#[tokio::test]
async fn every_event_delivered_is_granted_at_that_moment() {
    let seed = std::env::var("RETHREAD_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from_be_bytes(now::random()));
    println!("RETHREAD_SEED={seed}");
    let log = LocalLog::open(Arc::new(MemoryEngine::default())).unwrap();
    let bridge = Bridge::new(Arc::new(log.clone()) as Arc<dyn Log>, Patience::default());
    let signing = EncodingKey::from_secret(SECRET.as_bytes());
    let world = World { log, bridge, connections: Connections::default(), signing };
    let (mut delivered, mut refused) = (0, 0);
    for number in 0..HISTORIES {
        let mut dice = Dice(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        let history = History::play(&world, number, &mut dice).await;
        delivered += history.delivered;
        refused += history.refused;
    }
    println!("{HISTORIES} histories: {delivered} events delivered, {refused} requests refused");
    // A checker that sees nothing proves nothing.
    assert!(delivered > 2 * HISTORIES && refused > HISTORIES, "{delivered}, {refused}");
}

impl<'a> History<'a> {
    async fn play(world: &'a World, number: u64, dice: &mut Dice) -> Self {
        let threads = (0..THREADS).map(|place| {
            // Two teams; the beginning of one's ids begins the other's too.
            let team = ["t", "tt"][place % 2];
            let id = format!("thread_{number}_{team}_{place}").parse().unwrap();
            (id, *dice.pick(&USERS))
        });
        let mut history = Self {
            world,
            gate: Gate::new(Keys::from_secret(SECRET).unwrap()),
            threads: threads.collect(),
            heads: 0,
            tokens: Vec::new(),
            clients: Vec::new(),
            revoked: BTreeMap::new(),
            delivered: 0,
            refused: 0,
        };
        join_all(history.threads.iter().map(|(thread, owner)| {
            world.log.create(NewThread {
                thread: thread.clone(),
                owner: (*owner).into(),
                title: None,
                created_at: 0,
                epoch: Epoch::generate([7; 4]),
            })
        }))
        .await;
        for _ in 0..4 {
            history.make_token(number, dice);
        }
        for _ in 0..STEPS {
            history.step(dice).await;
        }
        history.publish().await;
        history.deliver().await;
        history
    }

    fn make_token(&mut self, number: u64, dice: &mut Dice) {
        let now = now::unix_ms() / 1_000;
        let mut claim = Vec::new();
        for _ in 0..dice.roll(3) {
            let (thread, _) = dice.pick(&self.threads);
            claim.push(match dice.roll(8) {
                0 => "*".into(),
                1 => format!("thread_{number}_t*"),
                2 => format!("thread_{number}_tt_*"),
                3 => format!("{}*", &thread.as_str()[..thread.as_str().len() - 1]),
                _ => thread.to_string(),
            });
        }
        let is_expired = dice.one_in(16);
        let token = Token {
            text: String::new(),
            user: USERS[dice.roll(3) as usize],
            reads: !dice.one_in(8),
            claim,
            // Some are made after what is revoked now, as far as their maker's clock goes.
            iat: if is_expired { now - 100 } else { now - 2 + 5 * dice.roll(2) },
            jti: format!("{number}-{}", self.tokens.len()),
            is_expired,
        };
        let claims = json!({
            "sub": token.user,
            "scope": if token.reads { "subscribe send" } else { "send" },
            "threads": token.claim,
            "iat": token.iat,
            "exp": if is_expired { now - 60 } else { now + 3_600 },
            "jti": token.jti,
        });
        let text = encode(&Header::default(), &claims, &self.world.signing).unwrap();
        self.tokens.push(Token { text, ..token });
    }

    async fn step(&mut self, dice: &mut Dice) {
        let token = dice.roll(self.tokens.len() as u64) as usize;
        let thread = dice.roll(THREADS as u64) as usize;
        let client = match self.clients.len() {
            0 => None,
            some => Some(dice.roll(some as u64) as usize),
        };
        match (dice.roll(12), client) {
            (0 | 1, _) | (_, None) => self.connect(token, &[]).await,
            (2..=5, Some(client)) => {
                let start = if dice.one_in(3) { Start::Now } else { Start::Beginning };
                self.subscribe(client, thread, start);
            }
            (6, Some(client)) => {
                self.clients[client].deliveries.unsubscribe(&self.threads[thread].0);
                self.clients[client].follows.remove(&thread);
            }
            (7, Some(client)) => self.greet_again(client, token).await,
            (8, Some(client)) => {
                let gone = self.clients.swap_remove(client);
                let followed: Vec<_> = gone.follows.keys().copied().collect();
                drop(gone.access);
                self.connect(gone.token, &followed).await;
            }
            (9, _) => {
                let subject = match dice.roll(3) {
                    0 => Subject::User((*dice.pick(&USERS)).into()),
                    1 => Subject::Token(self.tokens[token].jti.as_str().into()),
                    _ => Subject::Thread(self.threads[thread].0.clone()),
                };
                self.revoke(subject).await;
            }
            (10, _) if dice.one_in(3) => {
                let subject = self.revoked.keys().next().cloned();
                if let Some(subject) = subject {
                    assert!(self.gate.undo(&subject).await.unwrap().is_some());
                    self.revoked.remove(&subject);
                }
            }
            _ => {
                self.publish().await;
                self.deliver().await;
            }
        }
    }

    // What is asked of the server, as the socket's loop does it --------------------------------------

    async fn connect(&mut self, token: usize, follows: &[usize]) {
        let entered = match self.gate.check(&self.tokens[token].text).await {
            Ok(grant) => self.gate.enter(grant),
            Err(error) => Err(error),
        };
        match entered {
            Ok(access) => {
                assert_eq!(self.refusal(token), None, "a token was taken that does not count");
                let place = self.world.connections.enter(Transport::WebSocket, None).unwrap();
                let (deliveries, follows_none) = (Deliveries::default(), BTreeMap::new());
                let follower = Client { token, access, deliveries, place, follows: follows_none };
                self.clients.push(follower);
                for thread in follows {
                    self.subscribe(self.clients.len() - 1, *thread, Start::Beginning);
                }
            }
            Err(error) => {
                assert_eq!(self.refusal(token), Some(error.code), "a good token was refused");
                self.refused += 1;
            }
        }
    }

    async fn greet_again(&mut self, client: usize, token: usize) {
        let expected = self.refusal(token);
        let checked = self.gate.check(&self.tokens[token].text).await;
        assert_eq!(checked.as_ref().err().map(|error| error.code.clone()), expected);
        let same_user = self.tokens[token].user == self.tokens[self.clients[client].token].user;
        let (Ok(grant), true) = (checked, same_user) else {
            // The socket closes.
            self.clients.swap_remove(client);
            return;
        };
        let it = &mut self.clients[client];
        it.access.renew(grant.clone());
        it.deliveries.keep_granted(&self.world.bridge, &grant);
        it.token = token;
        self.forget_ungranted();
    }

    fn subscribe(&mut self, client: usize, thread: usize, start: Start) {
        let may = self.may_have(self.clients[client].token, thread);
        let it = &mut self.clients[client];
        let (id, _) = &self.threads[thread];
        let (grant, feeds) = (it.access.grant().clone(), self.world.connections.feeds());
        let card = it.place.card();
        let opened = it.deliveries.subscribe(&self.world.bridge, &grant, id, start, feeds, card);
        assert_eq!(opened.is_ok(), may, "{id} for {:?}: {opened:?}", grant.user());
        match opened {
            Ok(opening) => drop(it.follows.insert(thread, opening.subscribed.after)),
            Err(_) => self.refused += 1,
        }
    }

    async fn revoke(&mut self, subject: Subject) {
        let owner = match &subject {
            Subject::Thread(thread) => {
                self.threads.iter().find(|(id, _)| id == thread).map_or("", |(_, owner)| owner)
            }
            _ => "",
        };
        let by = Arc::from("olga");
        let (bridge, clients) = (&self.world.bridge, &mut self.clients);
        let react = async {
            clients.retain_mut(|client| {
                !client.access.is_questioned()
                    || client.deliveries.reconsider(bridge, &client.access).is_ok()
            });
        };
        let (cut, ()) = tokio::join!(self.gate.revoke(subject.clone(), &by, None, owner), react);
        let cut = cut.unwrap();
        assert!(cut.is_complete);
        self.revoked.insert(subject, cut.revocation.at);
        self.forget_ungranted();
    }

    async fn publish(&mut self) {
        self.heads += 1;
        let appended = self.threads.iter().map(|(thread, _)| {
            let id = EventId::generate(now::unix_ms(), now::random());
            let body = format!(r#"{{"id":"{id}","run":"x","type":"custom","at":1,"data":{{}}}}"#);
            self.world.log.append(thread, vec![NewRecord { id, body: body.into(), request: None }])
        });
        for appended in join_all(appended.collect::<Vec<_>>()).await {
            appended.unwrap();
        }
    }

    /// Delivers to everybody until each has all that it may have, and looks at each event.
    async fn deliver(&mut self) {
        for client in 0..self.clients.len() {
            loop {
                self.deliver_to(client).await;
                let it = &self.clients[client];
                if it.follows.values().all(|last| *last == self.heads) {
                    break;
                }
                // Followers are woken a little after the publisher has its answer.
                let due = poll_fn(|context| it.deliveries.poll(context));
                let due = tokio::time::timeout(Duration::from_secs(30), due);
                due.await.expect("what may be had is delivered");
            }
        }
    }

    async fn deliver_to(&mut self, client: usize) {
        let it = &mut self.clients[client];
        assert!(!it.access.is_questioned(), "each revocation was answered");
        let taken = it.deliveries.take(&self.world.log, it.place.id).await;
        for text in taken.frames {
            let frame: Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(frame["op"], "events", "{frame}");
            let is_it = |(id, _): &(ThreadId, _)| frame["thread"] == id.as_str();
            let thread = self.threads.iter().position(is_it).unwrap();
            let it = &self.clients[client];
            let token = &self.tokens[it.token];
            assert!(
                self.may_have(it.token, thread),
                "an event of {:?} was delivered to {}, whose token of {} says {:?}; revoked: {:?}",
                self.threads[thread],
                token.user,
                token.iat,
                token.claim,
                self.revoked,
            );
            let before = *it.follows.get(&thread).expect("only what is followed is delivered");
            let (first, last) = (frame["first"].as_u64().unwrap(), frame["last"].as_u64().unwrap());
            assert!(first <= before + 1, "a hole before {frame}");
            self.clients[client].follows.insert(thread, last);
            self.delivered += last - before;
        }
    }

    // What should be --------------------------------------------------------------------------------

    /// Why a token counts no longer, if so.
    fn refusal(&self, token: usize) -> Option<ErrorCode> {
        let token = &self.tokens[token];
        let until = self.revoked.get(&Subject::User(token.user.into()));
        let is_revoked = until.is_some_and(|at| token.iat <= *at + LEEWAY)
            || self.revoked.contains_key(&Subject::Token(token.jti.as_str().into()));
        match (token.is_expired, is_revoked) {
            (true, _) => Some(ErrorCode::TokenExpired),
            (false, true) => Some(ErrorCode::TokenRevoked),
            (false, false) => None,
        }
    }

    fn may_have(&self, token: usize, thread: usize) -> bool {
        let (id, owner) = &self.threads[thread];
        let it = &self.tokens[token];
        let names = |claim: &String| match claim.strip_suffix('*') {
            Some(beginning) => id.as_str().starts_with(beginning),
            None => id.as_str() == claim,
        };
        let until = self.revoked.get(&Subject::Thread(id.clone()));
        it.reads
            && self.refusal(token).is_none()
            && (*owner == it.user || it.claim.iter().any(names))
            && until.is_none_or(|at| it.iat > *at + LEEWAY)
    }

    fn forget_ungranted(&mut self) {
        let may: BTreeSet<(usize, usize)> = (0..self.tokens.len())
            .flat_map(|token| (0..THREADS).map(move |thread| (token, thread)))
            .filter(|(token, thread)| self.may_have(*token, *thread))
            .collect();
        for client in &mut self.clients {
            client.follows.retain(|thread, _| may.contains(&(client.token, *thread)));
        }
    }
}
