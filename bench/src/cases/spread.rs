//! What a delivery costs, depending on how many get the same event.

use anyhow::Result;

use super::{Run, fanout, swept};
use crate::report::Measure;

const SUBSCRIBERS: usize = 1_000;
/// Subscribers of each thread.
const POINTS: [usize; 5] = [1, 5, 20, 100, 1_000];

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Measure>> {
    let mut measures = Vec::new();
    let end = POINTS.into_iter().try_for_each(|subscribers| {
        let threads = SUBSCRIBERS / subscribers;
        let shape = fanout::Shape::new(threads, subscribers, 16);
        let point = fanout::run(run, shape)?.into_iter();
        let shown = ["server CPU per delivery", "delivered"];
        let point = point.filter(|measure| shown.contains(&measure.name));
        measures.extend(point.map(|measure| measure.at(subscribers as u64, "a thread")));
        Ok(())
    });
    swept(measures, end)
}
