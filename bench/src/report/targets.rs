//! What the project has set itself to reach, and whether this run has.

use std::fmt::Write;

use super::{Results, number};
use crate::{contender::Contender, pace::CARRIED};

/// One target, as measured.
#[derive(Debug)]
pub(crate) struct Target {
    /// What is wanted.
    pub(crate) wanted: String,
    /// What was measured, if it was.
    pub(crate) measured: Option<String>,
    /// Whether that is enough.
    pub(crate) is_met: Option<bool>,
}

impl Target {
    /// In a word.
    pub(crate) fn verdict(&self) -> &'static str {
        match self.is_met {
            Some(true) => "met",
            Some(false) => "missed",
            None => "not measured",
        }
    }

    fn at_least(wanted: impl Into<String>, least: f64, value: Option<f64>, unit: &str) -> Self {
        Self::new(wanted, value.map(|value| (value, value >= least)), unit)
    }

    fn at_most(wanted: impl Into<String>, most: f64, value: Option<f64>, unit: &str) -> Self {
        Self::new(wanted, value.map(|value| (value, value <= most)), unit)
    }

    fn new(wanted: impl Into<String>, value: Option<(f64, bool)>, unit: &str) -> Self {
        Self {
            wanted: wanted.into(),
            measured: value.map(|(value, _)| format!("{}{unit}", number(value))),
            is_met: value.map(|(_, is_met)| is_met),
        }
    }
}

/// All targets.
pub(crate) fn all(results: &Results) -> Vec<Target> {
    let of = |case: &str, contender, name: &str| {
        results.find(case, contender, name).map(|spread| spread.median)
    };
    let ours = |case: &str, name: &str| of(case, Contender::Rethread, name);
    let by = |case: &str, contender, name: &str| {
        Some(ours(case, name)? / of(case, contender, name).filter(|other| *other > 0.0)?)
    };
    let mut targets = Vec::new();

    for case in ["fanout-50x20", "fanout-1x1000"] {
        for (contender, least) in
            [(Contender::Nchan, 4.0), (Contender::Bare, 4.0), (Contender::SocketIo, 8.0)]
        {
            targets.push(Target::at_least(
                format!("{case}: {least}x the deliveries per server CPU second of {contender}"),
                least,
                by(case, contender, "delivered per server CPU second"),
                "x",
            ));
        }
    }
    for case in ["light-50x20", "light-1x1000"] {
        for quantile in ["p50", "p99"] {
            let name = format!("publish to receive, {quantile}");
            let fsync = format!("this disk: 4 KiB write + fdatasync, {quantile}");
            let beyond = (|| {
                let nchan = of(case, Contender::Nchan, &name)?;
                Some((ours(case, &name)? - nchan) / ours(case, &fsync)?)
            })();
            targets.push(Target::at_most(
                format!("{case}: {quantile} no more than one fsync above nchan's"),
                1.0,
                beyond,
                " fsyncs above",
            ));
        }
        let p99 = ours(case, "publish to receive, p99");
        targets.push(Target::at_most(format!("{case}: p99 below 10 ms"), 10.0, p99, " ms"));
    }
    targets.extend(of_chats(&ours));
    let append = ["append-ws-1", "append-ws-1-large"];
    let append = append.iter().filter_map(|case| ours(case, "stored, durable"));
    targets.push(Target::at_least(
        "append: 150,000 durable events/s over one WebSocket, batched",
        150_000.0,
        append.reduce(f64::max),
        " events/s",
    ));
    targets.push(Target::at_most(
        "storm: all 5,000 caught up within 5 s",
        5.0,
        ours("storm", "until the last has caught up"),
        " s",
    ));
    targets.push(Target::at_most(
        "storm: p99 of those who stayed within 3x of calm",
        3.0,
        ours("storm", "those who stayed: p99, storm by calm"),
        "x",
    ));
    targets.push(Target::at_most(
        "idle: at most 10 KiB each",
        10.0,
        ours("idle", "memory each, with the most connections"),
        " KiB",
    ));
    targets.push(Target::at_most(
        "slow readers: the others' p99 within 1.2x",
        1.2,
        ours("slow", "the others' p99, beside by before"),
        "x",
    ));
    targets.push(Target::at_most(
        "slow readers: memory for each further one within 1.2x of the 10 KiB of a connection",
        12.0,
        ours("slow", "server memory for each further slow reader"),
        " KiB",
    ));
    for (case, what, end) in [
        ("growth-threads", "threads 1,000 to 100,000", 100_000),
        ("growth-length", "a thread's length 1,000 to 1,000,000", 1_000_000),
        ("growth-data", "the data folder to 5 GB", 5_000),
    ] {
        let costs = results.sweep(case, Contender::Rethread, "server CPU per event");
        // A sweep that has not come to its end says nothing of it.
        let is_whole = costs.last().is_some_and(|(at, _)| *at >= end);
        let costs = costs.iter().map(|(_, cost)| cost.median);
        let (least, most) = costs.fold((f64::INFINITY, 0.0_f64), |(least, most), cost| {
            (least.min(cost), most.max(cost))
        });
        targets.push(Target::at_most(
            format!("growth, {what}: cost per event within 1.5x"),
            1.5,
            (is_whole && most > 0.0).then_some(most / least),
            "x",
        ));
    }
    targets
}

/// What was due is not always what was wanted: a server may turn that away.
fn of_chats(ours: &impl Fn(&str, &str) -> Option<f64>) -> [Target; 2] {
    const WANTED: f64 = 100_000.0;
    let chats = |name| ours("chats", name);
    let due = chats("due");
    let of_due = |text: String| due.map(|due| format!("{text} of {}/s due", number(due)));
    let delivered = chats("delivered");
    let p99 = chats("publish to receive, p99");
    let most = chats("the most with p99 under 50 ms");
    let is_in_time = most.is_some_and(|most| most >= WANTED);
    let reached = match (p99, due, most) {
        (Some(p99), Some(due), Some(most)) if most < due => Some(format!(
            "{} ms at {}/s; under 50 ms up to {}/s",
            number(p99),
            number(due),
            number(most)
        )),
        (Some(p99), Some(due), _) => Some(format!("{} ms at {}/s", number(p99), number(due))),
        _ => None,
    };
    [
        Target {
            wanted: "chats: 100,000 durable deltas/s end to end".into(),
            measured: delivered.and_then(|delivered| of_due(number(delivered))),
            is_met: delivered.map(|delivered| delivered >= WANTED * CARRIED),
        },
        Target {
            wanted: "chats: p99 under 50 ms at 100,000 deltas/s".into(),
            measured: reached,
            is_met: p99.map(|_| is_in_time),
        },
    ]
}

/// As it is printed.
pub(crate) fn text(results: &Results) -> String {
    let mut text = String::from("\ntargets\n");
    for target in all(results) {
        let measured = target.measured.as_deref().unwrap_or("");
        let _ = writeln!(text, "  {:<68} {measured:>22}  {}", target.wanted, target.verdict());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Measure;

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let mut results = Results::default();
        let name = "delivered per server CPU second";
        for (contender, value) in
            [(Contender::Rethread, 10.0), (Contender::Nchan, 2.0), (Contender::Bare, 5.0)]
        {
            let measured = vec![Measure::new(name, "events", value)];
            results.add(("fanout-50x20", "about"), contender, measured);
        }
        let verdicts: Vec<_> = all(&results)[..4]
            .iter()
            .map(|target| (target.measured.clone(), target.verdict()))
            .collect();
        assert_eq!(
            verdicts,
            [
                (Some("5x".into()), "met"),
                (Some("2x".into()), "missed"),
                (None, "not measured"),
                (None, "not measured"),
            ]
        );
    }

    #[test]
    fn growth_is_judged_by_its_dearest_point() {
        let mut results = Results::default();
        let point = |at, value| Measure::new("server CPU per event", "us", value).at(at, "threads");
        let measured = vec![point(1_000, 5.0), point(10_000, 8.0), point(100_000, 6.0)];
        results.add(("growth-threads", "about"), Contender::Rethread, measured);
        let growth = all(&results);
        let threads = growth.iter().find(|target| target.wanted.contains("threads 1,000")).unwrap();
        assert_eq!((threads.measured.as_deref(), threads.is_met), (Some("1.60x"), Some(false)));
    }
}
