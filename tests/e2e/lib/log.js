/** The thread's log, read over HTTP, and what it is compared with. */

import assert from "node:assert/strict";

/** Smaller than most logs here, so that reading takes several pages. */
const PAGE_EVENTS = 100;

/**
 * Reads a thread's log to its end, and checks that it is one: seq 1 to head, no id twice.
 *
 * @param {import("./server.js").Server} server
 * @param {string} thread
 */
export async function readLog(server, thread) {
  const events = [];
  let page;
  do {
    const after = events.at(-1)?.seq ?? 0;
    page = await server.request(`/v1/threads/${thread}/events?after=${after}&limit=${PAGE_EVENTS}`);
    events.push(...page.events);
  } while (page.more);
  checkLog(events, page.head);
  return { epoch: page.epoch, head: page.head, events };
}

/** Throws unless these are the events 1 to `head`, each once. */
export function checkLog(events, head) {
  assert.deepEqual(events.map(({ seq }) => seq), Array.from({ length: head }, (_, n) => n + 1), "the log's seqs");
  assert.equal(new Set(events.map(({ id }) => id)).size, events.length, "an id is twice in the log");
}

/**
 * Throws unless a page's record is the log: the same events, in the same order, nothing twice.
 *
 * @param {{ epoch: string, seq: number, id: string, type: string }[]} record
 * @param {{ epoch: string, events: object[] }} log
 */
export function sameAsLog(record, log, whose = "the page's record") {
  assert.deepEqual(record, lines(log), `${whose} is not the log`);
}

/** Throws unless what a page had seen at some moment is how the log begins. */
export function beginningOfLog(record, log) {
  assert.deepEqual(record, lines(log).slice(0, record.length), "what the page had seen is not how the log begins");
}

/**
 * Throws unless the log has what a publisher made: each event once, at the seq that was acknowledged,
 * in the order it was made.
 *
 * @param {import("./publisher.js").Publisher} publisher
 */
export function hasPublished(log, publisher) {
  const stored = log.events.filter(({ run }) => run === publisher.run);
  assert.deepEqual(
    stored.map(({ id, type, data }) => ({ id, type, data })),
    publisher.made.map(({ id, type, data }) => ({ id, type, data })),
    "the log has not what was published",
  );
  for (const { id, seq } of stored) assert.equal(publisher.acked.get(id), seq, `the acknowledged seq of ${id}`);
}

/** The text of a run's answer: its deltas, one after the other. */
export function answerText(log, run) {
  return log.events
    .filter((event) => event.run === run && event.type === "message_delta")
    .map(({ data }) => data.text)
    .join("");
}

function lines(log) {
  return log.events.map(({ seq, id, type }) => ({ epoch: log.epoch, seq, id, type }));
}
