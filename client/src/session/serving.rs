use rethread_shared::{RunId, frame::Serve, limits::RUNS_WORKED_MAX};

/// The agents that this session offers, and the runs they work on.
#[derive(Debug, Default)]
pub(super) struct Serving(Vec<Serve>);

impl Serving {
    /// Adds an agent. False when it was there already.
    pub(super) fn add(&mut self, agent: String) -> bool {
        let new = self.0.iter().all(|served| served.agent != agent);
        if new {
            self.0.push(Serve { agent, runs: Vec::new() });
        }
        new
    }

    /// Forgets an agent. False when it was not there.
    pub(super) fn remove(&mut self, agent: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|served| served.agent != agent);
        self.0.len() < before
    }

    /// Takes work in. False when it is for nobody here, or is being worked on.
    pub(super) fn accept(&mut self, agent: &str, run: &RunId) -> bool {
        let Some(served) = self.0.iter_mut().find(|served| served.agent == agent) else {
            return false;
        };
        if served.runs.contains(run) {
            return false;
        }
        if served.runs.len() >= RUNS_WORKED_MAX {
            served.runs.remove(0);
        }
        served.runs.push(run.clone());
        true
    }

    /// A run is over.
    pub(super) fn release(&mut self, run: &RunId) {
        for served in &mut self.0 {
            served.runs.retain(|worked| worked != run);
        }
    }

    /// What to say after a reconnect.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Serve> {
        self.0.iter()
    }
}
