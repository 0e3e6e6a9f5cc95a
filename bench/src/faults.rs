//! The load generator against a server that does one thing wrong in 100,000 events, over real
//! sockets: it must find that, and nothing in a server that is right.

mod server;

use std::time::Duration;

use anyhow::Result;

use crate::{
    check::Fault,
    events::Random,
    load::{Begin, Load, Plan},
    server::Target,
};
use server::{Place, Wrong};

const EVENTS: u64 = 100_000;
const THREADS: usize = 4;
/// Of each thread.
const SUBSCRIBERS: usize = 2;
const BATCH: u64 = 250;

/// What the cases do: threads, subscribers, publishes, an end that is compared.
fn measure(target: &Target) -> Result<u64> {
    let mut load = Load::new(target, Plan::threads(THREADS))?;
    load.subscribe(THREADS * SUBSCRIBERS, Begin::Start)?;
    let mut left = EVENTS;
    while left > 0 {
        for thread in 0..load.threads() {
            if left >= BATCH && load.room(thread, 4 * BATCH) >= BATCH {
                load.publish(thread, BATCH, 0)?;
                left -= BATCH;
            }
        }
        load.turn(Duration::from_millis(20), |_| ())?;
    }
    load.drain()?;
    let deliveries = load.book.deliveries;
    load.finish()?;
    Ok(deliveries)
}

#[test]
fn a_server_that_is_right_passes() {
    let server = server::start(None).unwrap();
    let deliveries = measure(&server).unwrap();
    assert_eq!(deliveries, (EVENTS + THREADS as u64) * SUBSCRIBERS as u64);
}

#[test]
fn one_event_in_100_000_that_is_dropped_repeated_or_swapped_is_found() {
    let seed = rand_seed();
    let mut random = Random::new(seed);
    for wrong in [Wrong::Drop, Wrong::Repeat, Wrong::Swap] {
        for place in [Place::Log, Place::Way] {
            // Not the very last: of what comes behind it the fault is to be seen.
            let at = 10 + random.below(EVENTS - 2_000);
            let said = format!("{wrong:?} in the {place:?} at event {at}, seed {seed}");
            let server = server::start(Some((wrong, place, at))).unwrap();
            let error = measure(&server).expect_err(&said);
            let fault = error.chain().find_map(|cause| cause.downcast_ref::<Fault>());
            assert!(fault.is_some(), "{said}: found by chance only: {error:#}");
        }
    }
}

#[test]
fn an_end_that_is_never_delivered_is_found_by_the_comparison() {
    let server = server::start(Some((Wrong::Drop, Place::Way, EVENTS + 4))).unwrap();
    let mut load = Load::new(&server, Plan::threads(1)).unwrap();
    load.subscribe(1, Begin::Start).unwrap();
    load.publish(0, 5, 0).unwrap();
    load.drain().unwrap();
    // What the server says of its own end is not what was published.
    server::pretend(&server, 1);
    let error = load.finish().unwrap_err();
    assert!(error.to_string().contains("head is"), "{error:#}");
}

/// Another one each time; a failure prints it.
fn rand_seed() -> u64 {
    crate::events::unix_ms()
}
