//! Does one part of the hot path so many times, for who counts instructions around it:
//! `cargo xtask bench --instructions`. Without arguments it names the parts.
#![allow(missing_docs)]

mod parts;

use std::{hint::black_box, process::ExitCode};

const PARTS: [&str; 6] = [
    "parse_run_id",
    "parse_event_id",
    "publish_check",
    "encode",
    "frame_of_64_events",
    "fan_out_to_20",
];

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match &arguments[..] {
        [] => PARTS.iter().for_each(|part| println!("{part}")),
        [part, times] if PARTS.contains(&&**part) => {
            let Ok(times) = times.parse() else { return ExitCode::FAILURE };
            repeat(part, times);
        }
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

fn repeat(part: &str, times: u32) {
    let text = parts::published();
    let checked = parts::check(&text);
    let stored = parts::stored();
    let frame = parts::frame(&stored);
    for _ in 0..times {
        match part {
            "parse_run_id" => drop(black_box(parts::parse_run())),
            "parse_event_id" => _ = black_box(parts::parse_event_id()),
            "publish_check" => drop(black_box(parts::check(&text))),
            "encode" => drop(black_box(parts::encode(&checked))),
            "frame_of_64_events" => drop(black_box(parts::frame(&stored))),
            _ => _ = black_box(parts::fan_out(&frame, &stored.0, stored.1)),
        }
    }
}
