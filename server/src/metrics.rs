//! What the server counts and measures, for Prometheus at `GET /metrics`.
//!
//! - [`table`]: every metric with its name, kind, unit, labels and meaning; add yours there;
//! - [`meters`]: handles for what is counted often, made once and kept by who counts;
//! - `process`: what the operating system says of this process.
//!
//! **One recorder for a process.** The `metrics` crate sends what is counted to the recorder of the
//! process. [`install`] makes that a Prometheus recorder unless the process has one already: an
//! application that embeds the server and has a recorder of its own finds these metrics there, and
//! its own way to show them; several servers in one process count together. Handles that were made
//! before there was a recorder count nothing, so it comes first: before a log is opened, before a
//! bridge is made.
//!
//! **What it may cost.** An increment through a handle is one atomic addition; `counter!` with a name
//! looks the metric up, which is for what happens seldom. Nothing is counted per event on the way to
//! subscribers: per commit, per frame, per write.
//!
//! **Labels** take their values from the code (an error code, a step, a transport), never from outside:
//! no ids, no users, no addresses.

pub mod meters;
mod process;
pub mod table;

use std::{sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use rethread_shared::limits::METRICS_UPKEEP;
use serde::{Deserialize, Serialize};

use crate::config::{Setting, settings};

pub use ::metrics::{counter, gauge, histogram};
pub use table::*;

settings! {
    /// Settings of the metrics.
    pub struct Settings {
        /// Who may read `GET /metrics`: open, admin or off.
        access: Access = Access::Open;
    }
}

/// Who may read `GET /metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Whoever reaches it. The default: it holds numbers, no ids, and Prometheus needs no token then.
    #[default]
    Open,
    /// Whoever has a token with the scope `admin`.
    Admin,
    /// Nobody; it answers as an address that does not exist.
    Off,
}

impl Setting for Access {
    const EXPECTED: &'static str = "open, admin or off";
}

/// The way to this process's metrics as text.
#[derive(Clone, Debug)]
pub struct Exposition {
    /// `None` where the process has a recorder of its own.
    recorder: Option<PrometheusHandle>,
}

/// Sees that this process has a recorder, and describes every metric to it. Can be called again.
pub fn install() -> Exposition {
    static OURS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let recorder = OURS.get_or_init(|| {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        let ours = ::metrics::set_global_recorder(recorder).ok().map(|()| handle);
        for metric in TABLE {
            metric.describe();
        }
        meters::show_zeros();
        gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        gauge!(PROCESS_START_TIME_SECONDS).set(crate::now::unix_ms() as f64 / 1_000.0);
        ours
    });
    Exposition { recorder: recorder.clone() }
}

fn builder() -> PrometheusBuilder {
    TABLE.iter().fold(PrometheusBuilder::new(), |builder, metric| match metric.kind {
        Kind::Histogram(buckets) => builder
            .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)
            .expect("a histogram of the table has buckets"),
        Kind::Counter | Kind::Gauge => builder,
    })
}

impl Exposition {
    /// Everything counted so far, in Prometheus' text format; `None` where the application has a
    /// recorder of its own, which shows it.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let recorder = self.recorder.as_ref()?;
        process::measure();
        Some(recorder.render())
    }

    /// Takes what was measured into the histograms now and then, for ever: between two scrapes every
    /// measurement is kept as it came.
    pub async fn keep_up(self) {
        let Some(recorder) = self.recorder else { return };
        loop {
            tokio::time::sleep(METRICS_UPKEEP).await;
            recorder.run_upkeep();
        }
    }
}

/// Seconds, the unit of every measured time.
#[must_use]
pub fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_follows_the_conventions_of_prometheus() {
        for (place, metric) in TABLE.iter().enumerate() {
            let name = metric.name;
            let is_standard = name.starts_with("process_");
            assert!(is_standard || name.starts_with("rethread_"), "{name}: whose is it?");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{name}: snake case"
            );
            let is_counter = metric.kind == Kind::Counter;
            assert_eq!(name.ends_with("_total"), is_counter, "{name}: `_total` is for counters");
            let stem = name.trim_end_matches("_total");
            match metric.unit {
                Unit::Seconds => assert!(stem.ends_with("_seconds"), "{name}: names its unit"),
                Unit::Bytes => assert!(stem.ends_with("_bytes"), "{name}: names its unit"),
                Unit::Count => {}
            }
            assert!(!metric.help().is_empty() && !metric.help().contains('\n'), "{name}: help");
            assert!(TABLE[..place].iter().all(|other| other.name != name), "{name} stands twice");
            if let Kind::Histogram(buckets) = metric.kind {
                assert!(buckets.is_sorted(), "{name}: buckets rise");
            }
            for label in metric.labels {
                assert!(
                    !["id", "user", "thread", "run", "address"].contains(label),
                    "{name}: `{label}` has no bound"
                );
            }
        }
    }

    #[test]
    fn the_operators_page_lists_every_metric() {
        let page = include_str!("../../docs/operating.md");
        for metric in TABLE {
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram(_) => "histogram",
            };
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let row = format!(
                "| `{}` | {kind} | {} | {} |",
                metric.name,
                labels.join(", "),
                metric.help()
            );
            assert!(
                page.contains(&row),
                "docs/operating.md, section Metrics, needs the row\n{row}"
            );
        }
    }

    #[test]
    fn what_is_counted_is_shown_with_its_meaning() {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        ::metrics::with_local_recorder(&recorder, || {
            for metric in TABLE {
                metric.describe();
            }
            let publishing = meters::Publishing::default();
            publishing.stored.increment(3);
            publishing.refused.count(&rethread_shared::ErrorCode::RunOrder);
            meters::Commits::default().duration.record(0.003);
        });
        let text = handle.render();
        for line in [
            "# TYPE rethread_events_stored_total counter",
            "rethread_events_stored_total 3",
            r#"rethread_events_refused_total{code="run_order"} 1"#,
            r#"rethread_events_refused_total{code="run_ended"} 0"#,
            r#"rethread_commit_duration_seconds_bucket{le="0.005"} 1"#,
            r#"rethread_commit_duration_seconds_bucket{le="0.0025"} 0"#,
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is missing in\n{text}");
        }
        assert!(text.contains("# HELP rethread_events_stored_total Events"), "{text}");
    }
}
