//! Addresses: which are limited, how they are counted, and what proxies say of them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use hyper::{
    HeaderMap,
    header::{FORWARDED, HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize};

use crate::config::Setting;

/// What is counted for requests whose client nobody can name: one for all of them. No client has it.
pub(super) const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The address that is counted: a host's own in IPv4, its network's in IPv6.
pub(super) fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)))
        }
        other => other,
    }
}

/// True for loopback and for networks that are not reached from outside.
pub(super) fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// The header in which the proxies name a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// The usual one: addresses, separated by commas.
    #[default]
    XForwardedFor,
    /// That of RFC 7239.
    Forwarded,
}

impl Setting for ProxyHeader {
    const EXPECTED: &'static str = "x-forwarded-for or forwarded";
}

/// The nearest address in a request's header that is no proxy of ours. It is read from its end, and no
/// further than needed: what stands before may be made up by the client, and so may be anything. `None`
/// when no client is named: a hop hides or is not an address, and nothing before it can be believed.
pub(super) fn forwarded(
    headers: &HeaderMap,
    header: ProxyHeader,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> Option<IpAddr> {
    let name = match header {
        ProxyHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        ProxyHeader::Forwarded => FORWARDED,
    };
    let hop = match header {
        ProxyHeader::XForwardedFor => node,
        ProxyHeader::Forwarded => forwarded_for,
    };
    let lines = headers.get_all(name).iter().rev().map(HeaderValue::as_bytes);
    let addresses = lines.flat_map(|line| parts_from_the_end(line, b',')).map(hop);
    // An address that cannot be read is nobody's, and so no proxy's.
    addresses.map(|hop| hop.map(|ip| ip.to_canonical())).find(|hop| !hop.is_some_and(&is_proxy))?
}

/// The address in a hop of `Forwarded`: `for="[2001:db8::1]:80";proto=https`.
fn forwarded_for(hop: &[u8]) -> Option<IpAddr> {
    parts_from_the_end(hop, b';').find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let is_for = pair[..equals].trim_ascii().eq_ignore_ascii_case(b"for");
        let value = pair[equals + 1..].trim_ascii();
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        is_for.then(|| node(bare.unwrap_or(value)))
    })?
}

/// Splits a header at a separator that is not within quotes, the last part first: the quotes that a
/// proxy wrote are in pairs, those before them need not be.
fn parts_from_the_end(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut is_quoted = false;
        for place in (0..text.len()).rev() {
            match text[place] {
                b'"' if !is_escaped(&text[..place]) => is_quoted = !is_quoted,
                byte if byte == separator && !is_quoted => {
                    rest = Some(&text[..place]);
                    return Some(&text[place + 1..]);
                }
                _ => {}
            }
        }
        rest = None;
        Some(text)
    })
}

fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split(']').next()?.parse().ok();
    }
    text.parse().ok().or_else(|| text.split_once(':')?.0.parse().ok())
}

/// A network: its first address, and how many bits of it count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// True when the address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                ours.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                ours.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not an address or a network");
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(wrong()) } else { Ok(Self { address, bits }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Some networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Networks(pub Vec<Network>);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Setting for Networks {
    const EXPECTED: &'static str = "a list of addresses or networks, such as [\"10.0.0.0/8\"]";
}
