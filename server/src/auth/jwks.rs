//! Keys that are fetched: a JSON Web Key Set behind an address, as identity providers publish it.
//!
//! The set is fetched at the start and again from time to time. A token that names a key which is not in
//! it asks for a fetch at once, for that is what a rotation looks like: one fetch at a time, and never
//! more often than a minimum interval, so that nobody can make the server ask for ever by inventing
//! names. When a fetch fails, the keys of before stay.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use jsonwebtoken::jwk::Jwk;
use parking_lot::Mutex;
use rethread_shared::limits::{
    JWKS_BYTES_MAX, JWKS_DEADLINE, JWKS_GAP_MIN, JWKS_KEYS_MAX, JWKS_RETRY_MAX,
};
use serde::Deserialize;
use tokio::time::Instant;

use super::key::{Key, Rules};

pub(super) struct Jwks {
    url: reqwest::Url,
    http: reqwest::Client,
    rules: Rules,
    gap: Duration,
    keys: ArcSwap<Vec<Key>>,
    /// When the last fetch began. Held while one goes on: there is never a second.
    fetching: tokio::sync::Mutex<Option<Instant>>,
    /// Why the last fetch failed, if it did.
    trouble: Mutex<Option<String>>,
}

#[derive(Deserialize)]
struct Set {
    /// Read one by one: a kind of key that is not known is no reason to lose the others.
    keys: Vec<serde_json::Value>,
}

impl Jwks {
    /// Will fetch from `url`. Nothing is fetched yet.
    pub(super) fn new(url: &str, rules: Rules, gap: Duration) -> Result<Self, String> {
        let url: reqwest::Url = url.parse().map_err(|error| format!("{url:?}: {error}"))?;
        let is_local = match url.host_str() {
            Some("localhost" | "[::1]") => true,
            Some(host) => host.parse().is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback()),
            None => false,
        };
        // Whoever can change the answer on its way can make tokens.
        if url.scheme() != "https" && !(url.scheme() == "http" && is_local) {
            return Err(format!("{url} must begin with https://; plain http only on loopback"));
        }
        // Refused when there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(JWKS_DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            url,
            http,
            rules,
            gap,
            keys: ArcSwap::default(),
            fetching: tokio::sync::Mutex::default(),
            trouble: Mutex::new(Some("the keys have not been fetched yet".into())),
        })
    }

    /// The keys as last fetched.
    pub(super) fn keys(&self) -> Arc<Vec<Key>> {
        self.keys.load_full()
    }

    /// Why the keys could not be fetched last time, if they could not.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Fetches because a key is missing, unless that was done just now. True when there may be more
    /// keys than the caller has seen.
    pub(super) async fn refresh(&self, seen: &Arc<Vec<Key>>) -> bool {
        let mut began = self.fetching.lock().await;
        if !Arc::ptr_eq(&self.keys.load(), seen) {
            // Somebody fetched while this waited for its turn.
            return true;
        }
        if began.is_some_and(|began| began.elapsed() < self.gap) {
            return false;
        }
        *began = Some(Instant::now());
        self.fetch().await
    }

    async fn fetch(&self) -> bool {
        match self.fetched().await {
            Ok(keys) => {
                if self.trouble.lock().take().is_some() {
                    tracing::info!(url = %self.url, keys = keys.len(), "the keys for tokens are there");
                }
                self.keys.store(Arc::new(keys));
                true
            }
            Err(reason) => {
                let reason =
                    format!("the keys for tokens cannot be fetched from {}: {reason}", self.url);
                tracing::warn!("{reason}");
                *self.trouble.lock() = Some(reason);
                false
            }
        }
    }

    async fn fetched(&self) -> Result<Vec<Key>, String> {
        let words = |error: reqwest::Error| {
            let error = error.without_url();
            let causes = std::iter::successors(std::error::Error::source(&error), |e| e.source());
            causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
        };
        let mut response = self.http.get(self.url.clone()).send().await.map_err(words)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(format!("the answer is {}, expected 200", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(words)? {
            if body.len() + chunk.len() > JWKS_BYTES_MAX {
                return Err(format!("the answer has more than {JWKS_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        let set: Set = serde_json::from_slice(&body)
            .map_err(|error| format!("the answer is no key set ({{\"keys\":[…]}}): {error}"))?;
        let mut keys = Vec::new();
        for value in set.keys {
            let jwk = serde_json::from_value::<Jwk>(value).map_err(|error| error.to_string());
            match jwk.and_then(|jwk| Key::from_jwk(&jwk, &self.rules)) {
                Ok(key) => keys.push(key),
                Err(reason) => tracing::debug!(url = %self.url, reason, "a key is passed over"),
            }
        }
        if keys.is_empty() {
            return Err("the key set has no key that tokens may be signed with".into());
        }
        if keys.len() > JWKS_KEYS_MAX {
            return Err(format!("the key set has {} keys, at most {JWKS_KEYS_MAX}", keys.len()));
        }
        Ok(keys)
    }

    /// Fetches now, and from then on every `interval`; sooner again, with growing pauses, when it
    /// fails. Ends when nobody holds the set any more.
    pub(super) fn keep_fresh(this: &Arc<Self>, interval: Duration) {
        let weak: Weak<Self> = Arc::downgrade(this);
        tokio::spawn(async move {
            let mut failures = 0_u32;
            while let Some(jwks) = weak.upgrade() {
                let mut began = jwks.fetching.lock().await;
                *began = Some(Instant::now());
                failures = if jwks.fetch().await { 0 } else { failures.saturating_add(1) };
                drop(began);
                drop(jwks);
                let pause = match failures {
                    0 => interval,
                    _ => (JWKS_GAP_MIN * 2_u32.saturating_pow(failures - 1)).min(JWKS_RETRY_MAX),
                };
                tokio::time::sleep(pause.min(interval)).await;
            }
        });
    }
}
