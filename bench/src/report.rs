//! What is measured, and how it is put together: medians and ranges of the repetitions.

pub(crate) mod document;
mod number;
#[cfg(feature = "pictures")]
mod pictures;
pub(crate) mod table;
pub(crate) mod targets;

use crate::contender::Contender;

pub(crate) use number::number;

/// What one repetition of a case has measured.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    /// What it is.
    pub(crate) name: &'static str,
    /// At which point of a sweep, if it is one of several: a number and what it counts.
    pub(crate) at: Option<(u64, &'static str)>,
    /// In which unit.
    pub(crate) unit: &'static str,
    /// How much.
    pub(crate) value: f64,
}

impl Measure {
    /// A measure.
    pub(crate) fn new(name: &'static str, unit: &'static str, value: f64) -> Self {
        Self { name, at: None, unit, value }
    }

    /// One of several.
    pub(crate) fn at(self, number: u64, what: &'static str) -> Self {
        Self { at: Some((number, what)), ..self }
    }

    /// What stands in the table.
    pub(crate) fn title(&self) -> String {
        match self.at {
            Some((at, what)) => format!("{}, {} {what}", self.name, number(at as f64)),
            None => self.name.to_owned(),
        }
    }
}

/// All repetitions of one case.
#[derive(Debug)]
pub(crate) struct Rows {
    /// The case.
    pub(crate) case: &'static str,
    /// What it does.
    pub(crate) about: &'static str,
    /// Each contender's repetitions, in the order in which contenders are shown.
    pub(crate) of: Vec<(Contender, Vec<Vec<Measure>>)>,
}

/// One measure of one contender over all repetitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The middle one.
    pub(crate) median: f64,
    /// The least.
    pub(crate) least: f64,
    /// The most.
    pub(crate) most: f64,
    /// How many there were.
    pub(crate) count: usize,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, least, most, count: values.len() })
    }
}

/// What a whole run has measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// Each case that was run.
    pub(crate) cases: Vec<Rows>,
}

impl Results {
    /// Takes one repetition.
    pub(crate) fn add(
        &mut self,
        (case, about): (&'static str, &'static str),
        contender: Contender,
        measured: Vec<Measure>,
    ) {
        self.name((case, about));
        let rows = self.cases.iter_mut().find(|rows| rows.case == case);
        let of = &mut rows.expect("it was named").of;
        match of.iter_mut().find(|(known, _)| *known == contender) {
            Some((_, repetitions)) => repetitions.push(measured),
            None => {
                of.push((contender, vec![measured]));
                of.sort_by_key(|(contender, _)| {
                    Contender::ALL.iter().position(|known| known == contender)
                });
            }
        }
    }

    /// Notes that a case was run, whatever came of it.
    pub(crate) fn name(&mut self, (case, about): (&'static str, &'static str)) {
        if !self.cases.iter().any(|rows| rows.case == case) {
            self.cases.push(Rows { case, about, of: Vec::new() });
        }
    }

    /// A measure, if it was taken.
    pub(crate) fn find(&self, case: &str, contender: Contender, name: &str) -> Option<Spread> {
        let rows = self.cases.iter().find(|rows| rows.case == case)?;
        rows.spread(contender, name, None)
    }

    /// A measure at each point of its sweep.
    pub(crate) fn sweep(&self, case: &str, contender: Contender, name: &str) -> Vec<(u64, Spread)> {
        let Some(rows) = self.cases.iter().find(|rows| rows.case == case) else {
            return Vec::new();
        };
        let mut points: Vec<u64> = rows
            .measures()
            .filter(|measure| measure.name == name)
            .filter_map(|measure| measure.at.map(|(at, _)| at))
            .collect();
        points.sort_unstable();
        points.dedup();
        let spread = |at| Some((at, rows.spread(contender, name, Some(at))?));
        points.into_iter().filter_map(spread).collect()
    }
}

impl Rows {
    fn measures(&self) -> impl Iterator<Item = &Measure> {
        self.of.iter().flat_map(|(_, repetitions)| repetitions).flatten()
    }

    /// Every measure of any contender, once, in order: its title, its unit and what finds it.
    fn lines(&self) -> Vec<Measure> {
        let mut lines: Vec<Measure> = Vec::new();
        for (_, repetitions) in &self.of {
            // A later contender may have more points than an earlier; each goes behind the one that
            // stands before it where it was measured.
            for measures in repetitions {
                let mut behind = 0;
                for measure in measures {
                    let same = |line: &Measure| line.name == measure.name && line.at == measure.at;
                    if let Some(place) = lines.iter().position(same) {
                        behind = place + 1;
                    } else {
                        lines.insert(behind, measure.clone());
                        behind += 1;
                    }
                }
            }
        }
        lines
    }

    fn spread(&self, contender: Contender, name: &str, at: Option<u64>) -> Option<Spread> {
        let (_, repetitions) = self.of.iter().find(|(known, _)| *known == contender)?;
        let is_it =
            |measure: &&Measure| measure.name == name && measure.at.map(|(number, _)| number) == at;
        Spread::of(repetitions.iter().flatten().filter(is_it).map(|found| found.value).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_is_found_and_its_median_and_range_are_right() {
        let mut results = Results::default();
        for value in [3.0, 1.0, 2.0] {
            let sweep = Measure::new("p99", "ms", value).at(10, "events/s");
            let measured = vec![Measure::new("speed", "events/s", value), sweep];
            results.add(("case", "about"), Contender::Rethread, measured);
        }
        let spread = Spread { median: 2.0, least: 1.0, most: 3.0, count: 3 };
        assert_eq!(results.find("case", Contender::Rethread, "speed"), Some(spread));
        assert_eq!(results.find("case", Contender::Nchan, "speed"), None);
        assert_eq!(results.sweep("case", Contender::Rethread, "p99"), [(10, spread)]);
        let titles: Vec<_> = results.cases[0].lines().iter().map(Measure::title).collect();
        assert_eq!(titles, ["speed", "p99, 10 events/s"]);
    }
}
