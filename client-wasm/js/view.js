import init, { Fold } from "./rethread_view.js";

/** Loads the WebAssembly of views, once for the page. Gives what makes them. */
export async function load(source) {
  await init(source === undefined ? undefined : { module_or_path: source });
  return { makeView: (changed) => new View(changed) };
}

/** What a view folds before it lets the page do something else, milliseconds. */
const SLICE_MS = 8;
/** Events folded between two looks at the clock. */
const STEP_EVENTS = 256;
/** A page that is out of view draws no frames; its views are made so often, milliseconds. */
const HIDDEN_MS = 1000;

const NOTHING = Object.freeze({ seq: 0, runs: Object.freeze([]) });

/**
 * The view of one thread. Events are folded at most once a frame, in slices that leave the page
 * alive, and `changed` is called with the new view after each.
 */
class View {
  #fold = new Fold();
  #view = NOTHING;
  #waiting = [];
  #from = 0;
  #frame = 0;
  #timer = 0;
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  /** The thread's next events. */
  push(events) {
    this.#waiting.push(events);
    this.#schedule();
  }

  /** What there was is void. */
  reset() {
    this.#fold.free();
    this.#fold = new Fold();
    this.#waiting = [];
    this.#from = 0;
    this.#view = NOTHING;
    this.#changed(this.#view);
  }

  /** Folds no more. */
  close() {
    this.#unschedule();
    this.#waiting = [];
    this.#fold.free();
  }

  #schedule() {
    if (this.#frame || this.#timer) return;
    const page = globalThis.document;
    if (page && !page.hidden) {
      this.#frame = requestAnimationFrame(() => this.#take());
      // A page that is hidden meanwhile draws no frame.
      this.#timer = setTimeout(() => this.#take(), HIDDEN_MS);
    } else {
      this.#timer = setTimeout(() => this.#take(), page ? HIDDEN_MS : 0);
    }
  }

  #unschedule() {
    if (this.#frame) cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = this.#timer = 0;
  }

  #take() {
    this.#unschedule();
    const until = performance.now() + SLICE_MS;
    let seq;
    while (this.#waiting.length > 0 && performance.now() < until) {
      const events = this.#waiting[0];
      const to = Math.min(events.length, this.#from + STEP_EVENTS);
      this.#fold.take(events, this.#from, to);
      seq = events[to - 1]?.seq;
      if (to < events.length) this.#from = to;
      else {
        this.#waiting.shift();
        this.#from = 0;
      }
    }
    if (this.#waiting.length > 0) this.#schedule();
    if (seq === undefined) return;
    this.#view = next(this.#view, seq, this.#fold.opening, this.#fold.changes());
    this.#changed(this.#view);
  }
}

/** The view with what has changed; all else stays the same objects. */
function next(view, seq, opening, changes) {
  const runs = [...view.runs];
  for (const { place, run, parts: changed } of changes) {
    const parts = changed.length > 0 ? [...(runs[place]?.parts ?? [])] : (runs[place]?.parts ?? []);
    for (const [at, part] of changed) parts[at] = part;
    run.parts = parts;
    runs[place] = run;
  }
  return opening === undefined ? { seq, runs } : { seq, opening, runs };
}
