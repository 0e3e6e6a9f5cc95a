//! How long the parts of the hot path take, each alone: `cargo xtask bench --micro`.
#![allow(missing_docs)]

mod parts;

use std::time::Duration;

use divan::{Bencher, Divan, counter::ItemsCount};

fn main() {
    Divan::from_args().min_time(Duration::from_millis(300)).main();
}

#[divan::bench]
fn parse_run_id() -> rethread_shared::RunId {
    parts::parse_run()
}

#[divan::bench]
fn parse_event_id() -> rethread_shared::EventId {
    parts::parse_event_id()
}

#[divan::bench]
fn publish_check(bencher: Bencher<'_, '_>) {
    let text = parts::published();
    bencher.bench_local(|| divan::black_box_drop(parts::check(&text)));
}

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let text = parts::published();
    let checked = parts::check(&text);
    bencher.bench_local(|| parts::encode(&checked));
}

#[divan::bench]
fn frame_of_64_events(bencher: Bencher<'_, '_>) {
    let stored = parts::stored();
    bencher.counter(ItemsCount::new(parts::GROUP)).bench_local(|| parts::frame(&stored));
}

#[divan::bench]
fn fan_out_of_a_frame_to_20(bencher: Bencher<'_, '_>) {
    let stored = parts::stored();
    let frame = parts::frame(&stored);
    let items = ItemsCount::new(parts::SUBSCRIBERS);
    bencher.counter(items).bench_local(|| parts::fan_out(&frame, &stored.0, stored.1));
}

#[divan::bench]
fn group_commit_of_64_events_in_memory(bencher: Bencher<'_, '_>) {
    let commit = std::cell::RefCell::new(parts::Commit::new());
    bencher
        .counter(ItemsCount::new(parts::GROUP))
        .with_inputs(|| commit.borrow_mut().group())
        .bench_local_values(|group| commit.borrow().append(group));
}
