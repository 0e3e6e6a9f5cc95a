//! The view in the browser. A module of its own beside the client's, because a page downloads it only
//! when it asks for a view.
//!
//! The fold is [`rethread_shared::view`]'s. This crate reads events, which are objects that
//! `JSON.parse` made, and hands out what has changed; `js/view.js` puts that into views that share what
//! has not.
#![deny(missing_docs)]

mod event;

use std::{cell::RefCell, fmt};

use js_sys::Array;
use rethread_shared::view::{Ending, Part, Parts, Run, RunState, Touched, View};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use event::{Json, Members};

/// See the same in `rethread-client-wasm`.
// SAFETY: `new_global` must be used once and as the global allocator, on a target with one thread.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)]
#[global_allocator]
static ALLOCATOR: talc::TalckWasm = unsafe { talc::TalckWasm::new_global() };

/// The fold of one thread.
#[wasm_bindgen]
#[derive(Default)]
pub struct Fold(RefCell<Inner>);

#[derive(Default)]
struct Inner {
    view: View<Json>,
    /// What has changed since it was last asked.
    changed: Vec<Changed>,
}

/// The place of a run that has changed, and the places of its changed parts, or all of them.
struct Changed {
    run: usize,
    parts: Vec<usize>,
    all: bool,
}

/// A run that has changed: what [`Run`] has, with the parts that have changed only.
#[derive(Serialize)]
struct Change<'a> {
    /// The run's place in the view.
    place: usize,
    /// The run without its parts.
    run: Head<'a>,
    /// The parts that are new or have changed, with their places.
    parts: Vec<(usize, &'a Part<Json>)>,
}

#[derive(Serialize)]
struct Head<'a> {
    id: &'a str,
    state: RunState,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<&'a Ending>,
}

#[wasm_bindgen]
impl Fold {
    /// The fold of no events.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the events of `events` from `from` up to `until`, a thread's next ones.
    pub fn take(&self, events: &Array, from: u32, until: u32) {
        for place in from..until {
            let event: Members = events.get(place).unchecked_into();
            let inner = &mut *self.0.borrow_mut();
            let touched = event::fold_into(&mut inner.view, &event);
            inner.note(touched);
        }
    }

    /// What has changed since this was last asked: `[{place, run, parts: [[place, part], …]}, …]`.
    pub fn changes(&self) -> JsValue {
        let Inner { view, changed } = &mut *self.0.borrow_mut();
        let changes: Vec<_> = std::mem::take(changed)
            .into_iter()
            .map(|changed| change(&view.runs[changed.run], changed))
            .collect();
        let serializer = serde_wasm_bindgen::Serializer::new();
        changes.serialize(&serializer).unwrap_or_default()
    }

    /// The text of the first message that a person wrote, once there is one.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn opening(&self) -> Option<String> {
        self.0.borrow().view.opening.as_deref().map(Into::into)
    }
}

impl fmt::Debug for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fold")
    }
}

impl Inner {
    fn note(&mut self, Touched { run, parts }: Touched) {
        let known = self.changed.iter().rposition(|changed| changed.run == run);
        let at = known.unwrap_or_else(|| {
            self.changed.push(Changed { run, parts: Vec::new(), all: false });
            self.changed.len() - 1
        });
        let changed = &mut self.changed[at];
        match parts {
            Parts::One(part) if !changed.all => {
                if let Err(place) = changed.parts.binary_search(&part) {
                    changed.parts.insert(place, part);
                }
            }
            Parts::Any => changed.all = true,
            Parts::One(_) | Parts::None => {}
        }
    }
}

fn change(run: &Run<Json>, changed: Changed) -> Change<'_> {
    let Run { id, state, agent, started_at, ended_at, ending, parts } = run;
    let places = if changed.all { (0..parts.len()).collect() } else { changed.parts };
    Change {
        place: changed.run,
        run: Head {
            id,
            state: *state,
            agent: agent.as_deref(),
            started_at: *started_at,
            ended_at: *ended_at,
            ending: ending.as_ref(),
        },
        parts: places.into_iter().map(|place| (place, &parts[place])).collect(),
    }
}
