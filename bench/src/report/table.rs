//! What is printed: for each measure the median of the repetitions, their range, and how Rethread
//! stands to each peer.

use std::fmt::Write;

use super::{Results, Rows, Spread, number};
use crate::contender::Contender;

/// What the names of measures begin with, or have in them, that say what an event costs.
const CPU: &str = "server CPU per";

/// A line of a table: a measure of one contender.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) title: String,
    pub(super) unit: &'static str,
    pub(super) contender: Contender,
    pub(super) spread: Spread,
    /// Rethread's median by this contender's.
    pub(super) ratio: Option<f64>,
    /// True for the first line of a measure.
    pub(super) is_first: bool,
    /// True for a point of several.
    pub(super) is_of_sweep: bool,
}

/// The lines of a case.
pub(super) fn lines(rows: &Rows) -> Vec<Line> {
    let mut lines = Vec::new();
    for measure in rows.lines() {
        let at = measure.at.map(|(number, _)| number);
        let of = |contender| rows.spread(contender, measure.name, at);
        let ours = of(Contender::Rethread);
        let mut is_first = true;
        for (contender, _) in &rows.of {
            let Some(spread) = of(*contender) else { continue };
            let ratio = ours
                .filter(|_| *contender != Contender::Rethread && spread.median > 0.0)
                .map(|ours| ours.median / spread.median);
            lines.push(Line {
                title: measure.title(),
                unit: measure.unit,
                contender: *contender,
                spread,
                ratio,
                is_first,
                is_of_sweep: at.is_some(),
            });
            is_first = false;
        }
    }
    lines
}

/// What an event costs each contender in CPU time: a line for each case and contender, which a busy
/// machine changes least.
pub(super) fn of_cpu(results: &Results) -> Vec<(&'static str, Line)> {
    let is_cost = |line: &Line| line.title.contains(CPU) && !line.is_of_sweep;
    let of = |rows| lines(rows).into_iter().filter(is_cost);
    results.cases.iter().flat_map(|rows| of(rows).map(|line| (rows.case, line))).collect()
}

/// The same, as it is printed.
pub(crate) fn costs(results: &Results) -> String {
    let mut text = String::from("server CPU, microseconds\n");
    for (case, line) in of_cpu(results) {
        let Line { title, contender, spread: Spread { median, .. }, ratio, .. } = line;
        let what = title.trim_start_matches(CPU).trim_start();
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{}x", number(ratio)));
        let _ = writeln!(
            text,
            "  {case:<22} {what:<52} {contender:<10}{:>12}  {ratio:>12}",
            number(median)
        );
    }
    text
}

/// The tables of all cases.
pub(crate) fn tables(results: &Results) -> String {
    let mut text = String::new();
    for rows in &results.cases {
        let has_peers = rows.of.iter().any(|(contender, _)| *contender != Contender::Rethread);
        let _ = writeln!(text, "\n{}  ({})", rows.case, rows.about);
        let peers = if has_peers { format!("  {:>12}", "Rethread by") } else { String::new() };
        let of = if has_peers { format!("{:<10}", "") } else { String::new() };
        let _ = writeln!(text, "  {:<52} {of}{:>12}{peers}   {:>23}   unit", "", "median", "range");
        for line in lines(rows) {
            let title = if line.is_first { &*line.title } else { "" };
            let Spread { median, least, most, .. } = line.spread;
            let range = format!("{} .. {}", number(least), number(most));
            let of = if has_peers { format!("{:<10}", line.contender) } else { String::new() };
            let ratio = line.ratio.map_or_else(String::new, |ratio| format!("{}x", number(ratio)));
            let ratio = if has_peers { format!("  {ratio:>12}") } else { String::new() };
            let _ = writeln!(
                text,
                "  {title:<52} {of}{:>12}{ratio}   {range:>23}   {}",
                number(median),
                line.unit
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Measure;

    #[test]
    fn a_table_shows_medians_ranges_and_ratios() {
        let mut results = Results::default();
        for (contender, values) in
            [(Contender::Nchan, [4.0, 6.0, 5.0]), (Contender::Rethread, [10.0, 30.0, 20.0])]
        {
            for value in values {
                let measured = vec![Measure::new("speed", "events/s", value)];
                results.add(("case", "about"), contender, measured);
            }
        }
        let table = tables(&results);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let lines: Vec<_> = table.lines().map(words).collect();
        assert_eq!(lines[3], ["speed", "Rethread", "20", "10", "..", "30", "events/s"]);
        assert_eq!(lines[4], ["nchan", "5", "4x", "4", "..", "6", "events/s"]);
    }
}
