use hyper::header::{FORWARDED, HeaderName, HeaderValue};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn limits(change: impl FnOnce(&mut Limits)) -> Guard {
    let mut limits = Limits::default();
    change(&mut limits);
    Guard::new(&limits)
}

fn ask(guard: &Guard, peer: Peer) -> Result<(), WireError> {
    guard.admit(Some(guard.client(peer, &HeaderMap::new())))
}

fn said(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
}

#[test]
fn what_is_near_is_not_limited_and_what_is_outside_is() {
    for near in ["127.0.0.1", "::1", "10.2.3.4", "172.20.0.1", "192.168.1.1", "fd00::1", "fe80::1"]
    {
        assert!(address::is_near(address::counted(ip(near))), "{near}");
    }
    for outside in ["203.0.113.9", "2001:db8::1", "172.32.0.1", "8.8.8.8"] {
        assert!(!address::is_near(address::counted(ip(outside))), "{outside}");
    }
    assert_eq!(address::counted(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
    assert_eq!(address::counted(ip("::ffff:203.0.113.9")), ip("203.0.113.9"));
}

#[test]
fn an_address_has_so_many_connections_and_one_that_left_makes_room() {
    let guard = limits(|limits| limits.address_connections = 2);
    let (outside, other) = (ip("203.0.113.9"), ip("203.0.113.10"));
    let mut seats = Vec::new();
    for is_over in [false, false, true, true] {
        let (peer, seat) = guard.accept(outside).expect("told that it is too many");
        assert_eq!(peer.is_over, is_over);
        seats.push(seat);
    }
    assert!(guard.accept(outside).is_none(), "far too many are closed at once");
    assert!(
        ask(&guard, guard.accept(other).unwrap().0).is_ok(),
        "another address is not concerned"
    );
    drop(seats);
    let (peer, seat) = guard.accept(outside).unwrap();
    assert!(!peer.is_over);
    assert!(ask(&guard, peer).is_ok());
    drop(seat);
    assert!(guard.by_address.lock().is_empty(), "who left is forgotten");
    for _ in 0..100 {
        assert!(!guard.accept(ip("10.0.0.1")).unwrap().0.is_over, "a proxy nobody declared");
    }
}

#[test]
fn requests_of_an_address_come_so_fast_and_no_faster() {
    let guard = limits(|limits| {
        (limits.address_requests, limits.address_requests_burst) = (1, 3);
    });
    let peer = guard.accept(ip("203.0.113.9")).unwrap().0;
    for _ in 0..3 {
        ask(&guard, peer).unwrap();
    }
    let refused = ask(&guard, peer).unwrap_err();
    assert_eq!(refused.code, ErrorCode::SlowDown);
    assert!((1..=1_000).contains(&refused.retry_after_ms.unwrap()), "{refused:?}");
}

fn behind(proxies: &str, header: ProxyHeader) -> Guard {
    limits(|limits| {
        limits.proxies = Networks(proxies.split(' ').map(|one| one.parse().unwrap()).collect());
        limits.proxy_header = header;
        (limits.address_requests, limits.address_requests_burst) = (1, 2);
        limits.address_connections = 1;
    })
}

fn client(guard: &Guard, peer: &str, headers: &HeaderMap) -> Client {
    guard.client(guard.accept(ip(peer)).unwrap().0, headers)
}

#[test]
fn only_a_declared_proxy_is_believed() {
    let said = said(&[("x-forwarded-for", "198.51.100.1, 203.0.113.9, 10.0.0.2")]);
    let address =
        |proxies, peer| client(&behind(proxies, ProxyHeader::XForwardedFor), peer, &said).address;
    assert_eq!(
        address("10.0.0.0/8", "10.0.0.1"),
        ip("203.0.113.9"),
        "the nearest that is not ours"
    );
    assert_eq!(address("10.0.0.0/8", "192.168.0.1"), ip("192.168.0.1"), "not declared");
    assert_eq!(address("10.0.0.1 fd00::/8", "10.0.0.1"), ip("10.0.0.2"));
}

#[test]
fn what_a_client_sends_itself_is_not_believed() {
    let usual = behind("10.0.0.0/8", ProxyHeader::XForwardedFor);
    let standard = behind("10.0.0.0/8", ProxyHeader::Forwarded);
    let address = |guard, headers| client(guard, "10.0.0.1", &headers).address;
    let both = || said(&[("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=198.51.100.1")]);
    assert_eq!(address(&usual, both()), ip("203.0.113.9"), "the other header is ignored");
    assert_eq!(address(&standard, both()), ip("198.51.100.1"));

    // Whatever stands before what the proxy wrote.
    for made_up in [&b"\xff\xfe, "[..], b"\"", b"for=\"", b"10.0.0.3, unknown, ", b",,, "] {
        let mut headers = said(&[]);
        let line = [made_up, b", 203.0.113.9"].concat();
        headers.append("x-forwarded-for", HeaderValue::from_bytes(&line).unwrap());
        assert_eq!(address(&usual, headers), ip("203.0.113.9"), "{made_up:?}");
        let mut headers = said(&[]);
        headers.append(FORWARDED, HeaderValue::from_bytes(made_up).unwrap());
        let line = [made_up, b", for=\"203.0.113.9:80\";host=\"a, for=1.1.1.1;\\\",for=2.2.2.2\""];
        headers.append(FORWARDED, HeaderValue::from_bytes(&line.concat()).unwrap());
        assert_eq!(address(&standard, headers), ip("203.0.113.9"), "{made_up:?}");
    }
    let v6 = said(&[("forwarded", r#"for=198.51.100.1, for="[2001:db8::7]:4711";proto=https"#)]);
    assert_eq!(address(&standard, v6), ip("2001:db8::7"));
}

#[test]
fn clients_that_a_proxy_does_not_name_are_limited_together() {
    for (header, value) in [
        (ProxyHeader::Forwarded, Some(&b"for=unknown"[..])),
        (ProxyHeader::Forwarded, Some(b"for=_secret")),
        (ProxyHeader::Forwarded, Some(b"proto=https")),
        (ProxyHeader::XForwardedFor, Some(b"203.0.113.9, \xff")),
        (ProxyHeader::XForwardedFor, Some(b"10.0.0.2")),
        (ProxyHeader::XForwardedFor, None),
    ] {
        let guard = behind("10.0.0.0/8", header);
        let mut headers = said(&[]);
        let name = match header {
            ProxyHeader::Forwarded => FORWARDED,
            ProxyHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        };
        if let Some(value) = value {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let one = client(&guard, "10.0.0.1", &headers);
        let other = client(&guard, "10.0.0.7", &headers);
        assert_eq!(one.address, ip("10.0.0.1"), "{headers:?}");
        guard.admit(Some(one)).unwrap();
        guard.admit(Some(other)).unwrap();
        assert!(guard.admit(Some(one)).is_err(), "{headers:?}");
        let _seat = guard.enter(Some(one)).unwrap().expect("a place is taken");
        assert!(guard.enter(Some(other)).is_err(), "{headers:?}");
    }
}

#[test]
fn networks_are_read_with_their_size() {
    for (network, inside, outside) in [
        ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
        ("0.0.0.0/0", "203.0.113.9", "::1"),
    ] {
        let network: Network = network.parse().unwrap();
        assert!(network.contains(ip(inside)) && !network.contains(ip(outside)), "{network}");
    }
    for wrong in ["", "10.0.0.0/33", "10.0.0/8", "localhost", "::/129", "10.0.0.1/x"] {
        assert!(wrong.parse::<Network>().is_err(), "{wrong}");
    }
}

#[test]
fn a_person_is_limited_and_a_back_end_is_not() {
    let guard = limits(|limits| {
        (limits.user_sends, limits.user_sends_burst) = (1, 2);
        (limits.user_publishes, limits.user_publishes_burst) = (10, 20);
    });
    let grant = |user: &str, scope: &str| crate::auth::Grant::local(user, scope, &[]).unwrap();
    let (ada, bob, agent) =
        (grant("ada", "send"), grant("bob", "send"), grant("bot", "send publish"));
    for _ in 0..2 {
        guard.send(&ada).unwrap();
    }
    let refused = guard.send(&ada).unwrap_err();
    assert!(refused.retry_after_ms.is_some_and(|ms| ms <= 1_000), "{refused:?}");
    guard.send(&bob).unwrap();
    for _ in 0..100 {
        guard.send(&agent).unwrap();
        guard.connect(&agent).unwrap();
    }
    guard.publish(&agent, 15).unwrap();
    let refused = guard.publish(&agent, 15).unwrap_err();
    assert!(refused.retry_after_ms.is_some_and(|ms| (500..=1_100).contains(&ms)), "{refused:?}");
    assert!(Guard::default().publish(&agent, 1_000_000).is_ok(), "unlimited unless it is set");
}

#[test]
fn a_user_has_so_many_connections_and_one_that_left_makes_room() {
    let guard = limits(|limits| limits.user_connections = 2);
    let grant = |user: &str, scope: &str| crate::auth::Grant::local(user, scope, &[]).unwrap();
    let ada = grant("ada", "subscribe");
    let (first, _second) = (guard.connect(&ada).unwrap(), guard.connect(&ada).unwrap());
    assert_eq!(guard.connect(&ada).unwrap_err().code, ErrorCode::SlowDown);
    guard.connect(&grant("bob", "subscribe")).unwrap();
    assert!(guard.connect(&grant("ada", "publish")).unwrap().is_none(), "a back end");
    drop(first);
    guard.connect(&ada).unwrap();
}

#[test]
fn keys_that_were_quiet_are_forgotten() {
    let rate: Rate<u32> = Rate::new(1_000_000, 1);
    let once = NonZeroU32::MIN;
    for key in 0..1_000 {
        rate.check(&key, once).unwrap();
    }
    let known = || rate.limiter.as_ref().unwrap().len();
    assert_eq!(known(), 1_000);
    std::thread::sleep(Duration::from_millis(5));
    rate.sweep();
    assert_eq!(known(), 0);
}

#[test]
fn one_key_stays_limited_however_often_it_asks() {
    let rate: Rate<u32> = Rate::remembering(8, 1, 1);
    let once = NonZeroU32::MIN;
    rate.check(&7, once).unwrap();
    for asked in 0..100 {
        assert!(rate.check(&7, once).is_err(), "let through after {asked}");
    }
}

#[test]
fn keys_beyond_the_most_pass_until_others_are_forgotten() {
    let rate: Rate<u32> = Rate::remembering(8, 1, 1);
    let once = NonZeroU32::MIN;
    for key in 0..100 {
        rate.check(&key, once).unwrap();
    }
    let known = || rate.limiter.as_ref().unwrap().len();
    assert_eq!(known(), 8, "memory is bounded");
    rate.check(&0, once).expect("nobody is limited while there are too many");

    // These are quiet again at once: they make room when it is needed, not only at the next sweep.
    let rate: Rate<u32> = Rate::remembering(8, 1_000_000_000, 1);
    for key in 0..100 {
        rate.check(&key, once).unwrap();
    }
    assert!(!rate.is_full());
}
