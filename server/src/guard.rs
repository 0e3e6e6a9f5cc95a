//! What one user and one address may take: connections at once, and requests a second.
//!
//! - [`address`]: who is at the other end, also behind proxies;
//! - `rate`: so many a second, of each of many.
//!
//! **Addresses.** Limits by address are for strangers. Loopback and private networks are not limited:
//! there are the proxies that nobody declared, the health checks and the benchmark. Addresses of IPv6
//! count by network (/64), for one host has as many as it likes.
//!
//! **Users.** A token with the scope `publish` or `serve` is a back end's: what it connects and sends is
//! not limited, and what it publishes only where the operator says so. All others are people's.

pub mod address;
mod rate;

use std::{
    collections::HashMap, hash::Hash, net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration,
};

use hyper::HeaderMap;
use metrics::{Counter, counter};
use parking_lot::Mutex;
use rethread_shared::{
    ErrorCode, WireError,
    limits::{
        ADDRESS_CONNECTIONS_MAX, ADDRESS_REQUESTS_AT_ONCE_MAX, ADDRESS_REQUESTS_PER_SECOND_MAX,
        LIMITED_SWEEP, USER_CONNECTIONS_MAX, USER_CONNECTS_AT_ONCE_MAX,
        USER_CONNECTS_PER_SECOND_MAX, USER_SENDS_AT_ONCE_MAX, USER_SENDS_PER_SECOND_MAX,
    },
};

use crate::{
    auth::{Grant, Scope},
    config::settings,
    metrics::RATE_LIMITED,
};
use address::{Network, Networks, ProxyHeader};
use rate::Rate;

settings! {
    /// What one user and one address may take. 0 stands for no limit.
    pub struct Limits {
        /// Connections at once from one address that is not in a private network.
        address_connections: u32 = ADDRESS_CONNECTIONS_MAX;
        /// Requests a second from one address that is not in a private network; a WebSocket is one.
        address_requests: u32 = ADDRESS_REQUESTS_PER_SECOND_MAX;
        /// Requests from one such address that may come at once.
        address_requests_burst: u32 = ADDRESS_REQUESTS_AT_ONCE_MAX;
        /// Sockets and streams of one user at once. Not for tokens that may publish or serve.
        user_connections: u32 = USER_CONNECTIONS_MAX;
        /// Sockets and streams that one user may open a second. Not for tokens that may publish or serve.
        user_connects: u32 = USER_CONNECTS_PER_SECOND_MAX;
        /// Sockets and streams that one user may open at once.
        user_connects_burst: u32 = USER_CONNECTS_AT_ONCE_MAX;
        /// Messages that one user may send a second. Not for tokens that may publish or serve.
        user_sends: u32 = USER_SENDS_PER_SECOND_MAX;
        /// Messages that one user may send at once.
        user_sends_burst: u32 = USER_SENDS_AT_ONCE_MAX;
        /// Events that one user may publish a second.
        user_publishes: u32 = 0;
        /// Events that one user may publish at once; at least what one publish holds.
        user_publishes_burst: u32 = 10_000;
        /// The proxies before this server, as addresses or networks (`10.0.0.0/8`). What they say of the
        /// client's address is believed; of others it is not.
        proxies: Networks = Networks::default();
        /// The header in which they say it. They must set it themselves, or add to it; others are ignored.
        proxy_header: ProxyHeader = ProxyHeader::XForwardedFor;
    }
}

/// Keeps the limits of users and addresses.
#[derive(Debug)]
pub struct Guard {
    address_connections: u32,
    by_address: Taken<IpAddr>,
    user_connections: u32,
    by_user: Taken<Arc<str>>,
    address_requests: Rate<IpAddr>,
    user_connects: Rate<Arc<str>>,
    user_sends: Rate<Arc<str>>,
    user_publishes: Rate<Arc<str>>,
    proxies: Vec<Network>,
    proxy_header: ProxyHeader,
    refused: [Counter; 4],
}

/// The other end of a TCP connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    address: IpAddr,
    /// Its address has more connections than it may.
    is_over: bool,
}

/// The address that a request came from, be it through proxies.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The address; the proxy's where that names no client.
    pub address: IpAddr,
    /// What it counts as.
    counted: IpAddr,
    /// It came through a proxy.
    is_forwarded: bool,
    /// It has more connections than it may.
    is_over: bool,
}

/// How many connections each has.
type Taken<K> = Arc<Mutex<HashMap<K, u32>>>;

/// A place among the connections of an address or a user; given back when dropped.
#[derive(Debug)]
pub struct Seat<K: Hash + Eq = IpAddr> {
    key: K,
    taken: Taken<K>,
}

impl<K: Hash + Eq + Clone> Seat<K> {
    /// Takes one; says how many there are then.
    fn take(key: K, taken: &Taken<K>) -> (Self, u32) {
        let seat = Self { key, taken: taken.clone() };
        let mut taken = taken.lock();
        let count = taken.entry(seat.key.clone()).or_insert(0);
        *count += 1;
        let count = *count;
        drop(taken);
        (seat, count)
    }
}

impl<K: Hash + Eq> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(count) = taken.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

/// What was refused, as the label of a metric.
#[derive(Clone, Copy, Debug)]
enum Limited {
    Requests,
    Connections,
    Sends,
    Publishes,
}

impl Limited {
    const ALL: [&'static str; 4] = ["requests", "connections", "sends", "publishes"];
}

impl Default for Guard {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

impl Guard {
    /// Keeps these limits.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            address_connections: limits.address_connections,
            by_address: Arc::default(),
            user_connections: limits.user_connections,
            by_user: Arc::default(),
            address_requests: Rate::new(limits.address_requests, limits.address_requests_burst),
            user_connects: Rate::new(limits.user_connects, limits.user_connects_burst),
            user_sends: Rate::new(limits.user_sends, limits.user_sends_burst),
            user_publishes: Rate::new(limits.user_publishes, limits.user_publishes_burst),
            proxies: limits.proxies.0.clone(),
            proxy_header: limits.proxy_header,
            refused: Limited::ALL.map(|what| counter!(RATE_LIMITED, "what" => what)),
        }
    }

    /// Takes a TCP connection. One too many from its address is still told so; `None` for those far
    /// beyond that, which are closed without a word.
    #[must_use]
    pub fn accept(&self, address: IpAddr) -> Option<(Peer, Option<Seat>)> {
        let address = address.to_canonical();
        let (max, counted) = (self.address_connections, address::counted(address));
        if max == 0 || address::is_near(counted) || self.is_proxy(address) {
            return Some((Peer { address, is_over: false }, None));
        }
        let (seat, count) = Seat::take(counted, &self.by_address);
        if count > max {
            self.count(Limited::Connections);
        }
        let is_over = count > max;
        (count <= max.saturating_mul(2)).then_some((Peer { address, is_over }, Some(seat)))
    }

    /// Whose a request is. Those of a declared proxy that names no client are nobody's, and are limited
    /// together: else whoever makes a proxy's header unreadable would not be limited at all.
    #[must_use]
    pub fn client(&self, peer: Peer, headers: &HeaderMap) -> Client {
        let Peer { address, is_over } = peer;
        if !self.is_proxy(address) {
            let counted = address::counted(address);
            return Client { address, counted, is_forwarded: false, is_over };
        }
        let said = address::forwarded(headers, self.proxy_header, |hop| self.is_proxy(hop));
        Client {
            address: said.unwrap_or(address),
            counted: said.map_or(address::NOBODY, address::counted),
            is_forwarded: true,
            is_over,
        }
    }

    /// Lets a request pass.
    ///
    /// # Errors
    /// `slow_down`.
    pub fn admit(&self, client: Option<Client>) -> Result<(), WireError> {
        let Some(client) = client else { return Ok(()) };
        if client.is_over {
            return Err(self.too_many_connections());
        }
        if address::is_near(client.counted) {
            return Ok(());
        }
        self.check(Limited::Requests, &self.address_requests, &client.counted, 1, || {
            "requests come too fast from this address".to_owned()
        })
    }

    /// A place for a socket or a stream of this client. Only what came through a proxy needs one: else
    /// its TCP connection has it.
    ///
    /// # Errors
    /// `slow_down`.
    pub fn enter(&self, client: Option<Client>) -> Result<Option<Seat>, WireError> {
        let Some(client) = client.filter(|client| client.is_forwarded) else { return Ok(None) };
        if self.address_connections == 0 || address::is_near(client.counted) {
            return Ok(None);
        }
        let (seat, count) = Seat::take(client.counted, &self.by_address);
        if count > self.address_connections {
            self.count(Limited::Connections);
            return Err(self.too_many_connections());
        }
        Ok(Some(seat))
    }

    /// Lets a user open one more socket or stream; what is returned is its place.
    ///
    /// # Errors
    /// `slow_down`.
    pub fn connect(&self, grant: &Grant) -> Result<Option<Seat<Arc<str>>>, WireError> {
        if is_back_end(grant) {
            return Ok(None);
        }
        self.check(Limited::Connections, &self.user_connects, grant.user(), 1, || {
            "this user opens connections too fast; keep one for all threads".to_owned()
        })?;
        let max = self.user_connections;
        if max == 0 {
            return Ok(None);
        }
        let (seat, count) = Seat::take(grant.user().clone(), &self.by_user);
        if count > max {
            self.count(Limited::Connections);
            let message = format!("this user has more connections than the {max} that it may have");
            return Err(WireError::new(ErrorCode::SlowDown, message).with_retry_after_ms(5_000));
        }
        Ok(Some(seat))
    }

    /// Lets a user send a message.
    ///
    /// # Errors
    /// `slow_down`.
    pub fn send(&self, grant: &Grant) -> Result<(), WireError> {
        if is_back_end(grant) {
            return Ok(());
        }
        self.check(Limited::Sends, &self.user_sends, grant.user(), 1, || {
            "this user sends messages too fast".to_owned()
        })
    }

    /// Lets a user publish so many events, all or none.
    ///
    /// # Errors
    /// `slow_down`.
    pub fn publish(&self, grant: &Grant, events: usize) -> Result<(), WireError> {
        self.check(Limited::Publishes, &self.user_publishes, grant.user(), events, || {
            format!("this user publishes too fast; none of the {events} events was taken")
        })
    }

    /// Forgets those that were quiet, now and then, for ever.
    pub async fn keep_up(&self) {
        loop {
            tokio::time::sleep(LIMITED_SWEEP).await;
            self.address_requests.sweep();
            self.user_connects.sweep();
            self.user_sends.sweep();
            self.user_publishes.sweep();
        }
    }

    fn check<K: Hash + Eq + Clone>(
        &self,
        what: Limited,
        rate: &Rate<K>,
        key: &K,
        amount: usize,
        message: impl FnOnce() -> String,
    ) -> Result<(), WireError> {
        let Some(amount) = NonZeroU32::new(u32::try_from(amount).unwrap_or(u32::MAX)) else {
            return Ok(());
        };
        rate.check(key, amount).map_err(|wait: Duration| {
            self.count(what);
            let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
            WireError::new(ErrorCode::SlowDown, message()).with_retry_after_ms(ms)
        })
    }

    fn too_many_connections(&self) -> WireError {
        let max = self.address_connections;
        let message = format!("this address has more connections than the {max} that it may have");
        WireError::new(ErrorCode::SlowDown, message).with_retry_after_ms(5_000)
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(address))
    }

    fn count(&self, what: Limited) {
        self.refused[what as usize].increment(1);
    }
}

fn is_back_end(grant: &Grant) -> bool {
    grant.require(Scope::Publish).is_ok() || grant.require(Scope::Serve).is_ok()
}

#[cfg(test)]
mod tests;
