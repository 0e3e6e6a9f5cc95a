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

#[test]
fn only_a_declared_proxy_is_believed() {
    let behind = |proxies: &str, peer: &str, headers: HeaderMap| {
        let guard = limits(|limits| {
            limits.proxies = Networks(proxies.split(' ').map(|one| one.parse().unwrap()).collect());
        });
        let peer = guard.accept(ip(peer)).unwrap().0;
        guard.client(peer, &headers).address
    };
    let forwarded = || said(&[("x-forwarded-for", "198.51.100.1, 203.0.113.9, 10.0.0.2")]);
    let ours = "10.0.0.0/8";
    assert_eq!(
        behind(ours, "10.0.0.1", forwarded()),
        ip("203.0.113.9"),
        "the nearest that is not ours"
    );
    assert_eq!(behind(ours, "192.168.0.1", forwarded()), ip("192.168.0.1"), "not declared");
    assert_eq!(behind(ours, "10.0.0.1", HeaderMap::new()), ip("10.0.0.1"));
    let standard =
        said(&[("forwarded", r#"for=198.51.100.1, for="[2001:db8::7]:4711";proto=https"#)]);
    assert!(standard.contains_key(FORWARDED));
    assert_eq!(behind(ours, "10.0.0.1", standard), ip("2001:db8::7"));
    for hidden in ["for=unknown", "for=_secret", "proto=https"] {
        let mut headers = said(&[]);
        headers.append(FORWARDED, HeaderValue::from_static(hidden));
        assert_eq!(behind(ours, "10.0.0.1", headers), ip("10.0.0.1"), "{hidden}");
    }
    assert_eq!(behind("10.0.0.1 fd00::/8", "10.0.0.1", forwarded()), ip("10.0.0.2"));
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
