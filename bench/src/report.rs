//! What is printed: for each measure the median of the repetitions, and their range.

use std::fmt::Write;

/// What one repetition of a case has measured.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    /// What it is.
    pub(crate) name: &'static str,
    /// In which unit.
    pub(crate) unit: &'static str,
    /// How much.
    pub(crate) value: f64,
}

impl Measure {
    /// A measure.
    pub(crate) fn new(name: &'static str, unit: &'static str, value: f64) -> Self {
        Self { name, unit, value }
    }
}

/// The repetitions of one case.
#[derive(Debug)]
pub(crate) struct Rows {
    /// The case.
    pub(crate) case: &'static str,
    /// What it does.
    pub(crate) about: String,
    /// Its repetitions.
    pub(crate) repetitions: Vec<Vec<Measure>>,
}

/// The table.
pub(crate) fn table(cases: &[Rows]) -> String {
    let mut text = String::new();
    for rows in cases {
        let Some(first) = rows.repetitions.first() else { continue };
        let _ = writeln!(text, "\n{}  ({})", rows.case, rows.about);
        let _ = writeln!(
            text,
            "  {:<42} {:>12}   {:>25}   unit",
            "",
            "median",
            format!("range of {}", rows.repetitions.len())
        );
        for (place, measure) in first.iter().enumerate() {
            let mut values: Vec<f64> = rows.repetitions.iter().map(|r| r[place].value).collect();
            values.sort_by(f64::total_cmp);
            let range = format!("{} .. {}", number(values[0]), number(values[values.len() - 1]));
            let _ = writeln!(
                text,
                "  {:<42} {:>12}   {range:>25}   {}",
                measure.name,
                number(median(&values)),
                measure.unit
            );
        }
    }
    text
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// Three digits that matter; thousands apart.
fn number(value: f64) -> String {
    match value {
        tiny if tiny < 1.0 => format!("{tiny:.3}"),
        small if small < 10.0 => format!("{small:.2}"),
        medium if medium < 100.0 => format!("{medium:.1}"),
        large => {
            let digits = format!("{large:.0}");
            let mut apart = String::new();
            for (place, digit) in digits.chars().enumerate() {
                if place > 0 && (digits.len() - place).is_multiple_of(3) {
                    apart.push(',');
                }
                apart.push(digit);
            }
            apart
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_ranges_and_numbers_read_well() {
        assert_eq!(number(0.1234), "0.123");
        assert_eq!(number(1.234), "1.23");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(999.6), "1,000");
        assert_eq!(number(1_234_567.0), "1,234,567");
        let repetitions =
            [3.0, 1.0, 2.0].map(|value| vec![Measure::new("speed", "events/s", value)]).to_vec();
        let rows = Rows { case: "case", about: "about".into(), repetitions };
        let table = table(&[rows]);
        let line = table.lines().last().unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words, ["speed", "2.00", "1.00", "..", "3.00", "events/s"]);
    }
}
