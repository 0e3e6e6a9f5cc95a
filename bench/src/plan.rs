//! Which case is run when, whether there is time for it, and what becomes of one that fails.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Error, Result};

use crate::{
    cases::{Case, Limit, Partial, Run, When},
    check::Fault,
    contender::{Contender, Home},
    report::Results,
    stop,
};

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// Where the servers are.
    pub(crate) home: &'a Home,
    /// The cases, in order.
    pub(crate) cases: &'a [Case],
    /// Who takes part.
    pub(crate) contenders: Vec<Contender>,
    /// How often each case is repeated, if there is time.
    pub(crate) repeat: u32,
    /// How long each repetition measures, where that is a question of time.
    pub(crate) length: Duration,
    /// False when a sweep takes fewer points and a fill is smaller.
    pub(crate) is_full: bool,
    /// How long all of it should take. What is quick is run once in any case; what takes long, and
    /// every repetition, only when there is time.
    pub(crate) budget: Option<Duration>,
}

/// A contender that has failed a case.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The case.
    pub(crate) case: &'static str,
    /// Who.
    pub(crate) contender: Contender,
    /// Why.
    pub(crate) why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed {}: {}", self.contender, self.case, self.why)
    }
}

/// What all repetitions came to.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// What was measured.
    pub(crate) results: Results,
    /// What failed.
    pub(crate) failures: Vec<Failure>,
    /// What failed by a hiccup: it was tried again at once, and did not fail again.
    pub(crate) hiccups: Vec<Failure>,
    /// Where a sweep came to the most that a contender carries.
    pub(crate) limits: Vec<Failure>,
    /// What there was no time for.
    pub(crate) untimely: Vec<String>,
    /// True when it was ended before its end.
    pub(crate) is_interrupted: bool,
}

/// How long things take, as far as is known.
#[derive(Debug, Default)]
struct Costs(HashMap<(&'static str, Contender), Duration>);

impl Costs {
    /// What a case with a contender may take: what it took; what the dearest of the others did; or
    /// what is known of the case beforehand.
    fn of(&self, case: &Case, contender: Contender) -> Duration {
        let others = || self.0.iter().filter(|((name, _), _)| *name == case.name);
        let known = self.0.get(&(case.name, contender)).copied();
        known
            .or_else(|| others().map(|(_, took)| *took).max())
            .unwrap_or(Duration::from_secs(case.seconds))
    }
}

impl Plan<'_> {
    /// Runs it; `save` is called whenever there is more to report.
    ///
    /// # Errors
    /// When `save` fails. A contender that fails does not end it.
    pub(crate) fn run(&self, mut save: impl FnMut(&Measured) -> Result<()>) -> Result<Measured> {
        let begun = Instant::now();
        let mut all = Measured::default();
        let mut costs = Costs::default();
        for turn in 0..self.repeat {
            for (place, case) in self.cases.iter().enumerate() {
                if turn > 0 && case.when == When::Once {
                    continue;
                }
                let order = self.order(case, turn, &all.failures);
                let takes: Duration = order.iter().map(|one| costs.of(case, *one)).sum();
                let left = self.budget.map(|budget| budget.saturating_sub(begun.elapsed()));
                if (turn > 0 || case.when == When::Once) && left.is_some_and(|left| left < takes) {
                    if turn == 0 {
                        let takes = takes.as_secs();
                        let said = format!("{}: it would take {takes} s more", case.name);
                        eprintln!("no time for {said}");
                        all.untimely.push(said);
                    }
                    continue;
                }
                for (done, contender) in order.iter().enumerate() {
                    let here = order[done..].iter().map(|one| costs.of(case, *one)).sum();
                    let later = self.later(turn, place, &costs, &all.failures) + here;
                    let left = left.map_or(later, |left| later.min(left.max(here)));
                    let start = Instant::now();
                    eprint!(
                        "[{}] {}/{} {:<22} {contender:<10} {:>5} left ",
                        clock(begun.elapsed()),
                        turn + 1,
                        self.repeat,
                        case.name,
                        clock(left)
                    );
                    let mut measured = case.run(&self.one(*contender));
                    let mut hiccup = None;
                    if let Err(error) = &measured
                        && may_be_tried_again(error)
                    {
                        hiccup = Some(format!("{error:#}"));
                        eprint!("again, for {error:#} ");
                        measured = case.run(&self.one(*contender));
                    }
                    let took = start.elapsed();
                    costs.0.insert((case.name, *contender), took);
                    eprintln!(" took {:5.1} s", took.as_secs_f64());
                    if let Some(why) = hiccup.filter(|_| measured.is_ok()) {
                        let contender = *contender;
                        all.hiccups.push(Failure { case: case.name, contender, why });
                    }
                    if let Err(error) = &measured
                        && stop::is_asked()
                    {
                        eprintln!("stopped: {error:#}");
                    } else {
                        all.take(case, *contender, measured);
                    }
                    if stop::is_asked() {
                        all.is_interrupted = true;
                        return Ok(all);
                    }
                    save(&all)?;
                }
            }
        }
        Ok(all)
    }

    fn one(&self, contender: Contender) -> Run<'_> {
        Run { home: self.home, contender, length: self.length, is_full: self.is_full }
    }

    /// Who takes part in a case, another one first each time; without peers that cannot do it.
    fn order(&self, case: &Case, turn: u32, failures: &[Failure]) -> Vec<Contender> {
        let mut order = self.contenders.clone();
        if !order.is_empty() {
            let turn = turn as usize % order.len();
            order.rotate_left(turn);
        }
        order.retain(|contender| {
            let is_it =
                |failure: &Failure| failure.case == case.name && failure.contender == *contender;
            // The one that it is all about is always asked.
            let is_asked = *contender == Contender::Rethread || !failures.iter().any(is_it);
            case.contenders.contains(contender) && is_asked
        });
        order
    }

    /// What is still to come behind a case.
    fn later(&self, turn: u32, place: usize, costs: &Costs, failures: &[Failure]) -> Duration {
        let mut later = Duration::ZERO;
        for another in turn..self.repeat {
            let first = if another == turn { place + 1 } else { 0 };
            for case in &self.cases[first..] {
                if another == 0 || case.when != When::Once {
                    let order = self.order(case, another, failures);
                    later += order.iter().map(|one| costs.of(case, *one)).sum::<Duration>();
                }
            }
        }
        later
    }
}

impl Measured {
    /// Takes what a repetition came to.
    fn take(
        &mut self,
        case: &Case,
        contender: Contender,
        measured: Result<Vec<crate::report::Measure>, Error>,
    ) {
        let measured = measured.or_else(|error| {
            let why = format!("{error:#}");
            let error = match error.downcast::<Limit>() {
                Ok(limit) => {
                    eprintln!("{contender}: {why}");
                    self.limits.push(Failure { case: case.name, contender, why });
                    return Ok(limit.measures);
                }
                Err(error) => error,
            };
            eprintln!("{contender} has failed: {why}");
            self.failures.push(Failure { case: case.name, contender, why });
            // Of a sweep counts what came before.
            error.downcast::<Partial>().map(|partial| partial.measures)
        });
        if let Ok(measured) = measured {
            self.results.add((case.name, case.about), contender, measured);
        } else {
            self.results.name((case.name, case.about));
        }
    }
}

/// True for what a busy machine can bring about: a server that took too long, or that asked its
/// publishers to slow down. Not for events that are lost, repeated or out of order; nor for a sweep that
/// has measured something.
fn may_be_tried_again(error: &Error) -> bool {
    let has_measured = error.is::<Partial>() || error.is::<Limit>();
    let is_wrong = error.chain().any(|cause| cause.is::<Fault>());
    !has_measured && !is_wrong && !stop::is_asked()
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    format!("{:2}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_busy_machine_brings_about_is_tried_again_and_a_broken_promise_is_not() {
        let slow = anyhow::anyhow!("the server said slow_down").context("connection 3");
        assert!(may_be_tried_again(&slow));
        let lost = Error::new(Fault::Broken { last: 3, first: 5 }).context("connection 3");
        assert!(!may_be_tried_again(&lost));
    }

    #[test]
    fn time_is_estimated_from_what_is_known_of_the_same() {
        let case = &crate::cases::ALL[0];
        let mut costs = Costs::default();
        assert_eq!(costs.of(case, Contender::Nchan), Duration::from_secs(case.seconds));
        costs.0.insert((case.name, Contender::Rethread), Duration::from_secs(77));
        assert_eq!(costs.of(case, Contender::Nchan), Duration::from_secs(77));
        costs.0.insert((case.name, Contender::Nchan), Duration::from_secs(5));
        assert_eq!(costs.of(case, Contender::Nchan), Duration::from_secs(5));
    }
}
