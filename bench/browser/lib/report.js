/** What was measured, as a table for the terminal and as a document. */

import { cpus } from "node:os";

/** What the package must reach of the client by hand where events come in batches. */
export const TARGET = 0.95;
/** What a task may take, milliseconds. */
export const TASK_MS_MAX = 50;

export const median = (numbers) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};

/** The rows of a case: a contender, its medians, and how it fares beside the first, round by round. */
export function rows({ name, rounds }) {
  const [first] = Object.keys(rounds[0]);
  return Object.keys(rounds[0]).map((contender) => {
    const of = (value) => median(rounds.map((round) => value(round[contender], round[first])));
    return {
      case: name,
      contender,
      rate: of(({ rate }) => rate),
      rateRatio: of(({ rate }, first) => rate / first.rate),
      work: of(({ work }) => work),
      workRatio: of(({ work }, first) => first.work / work),
      first: of(({ first }) => first),
      longest: Math.max(...rounds.map((round) => round[contender].longest)),
    };
  });
}

const HEAD = [
  "",
  "client",
  "events/s",
  "of by hand",
  "main thread ms per 10,000",
  "of by hand",
  "in the page's first thread",
  "longest task",
];

function cells({ case: name, contender, rate, rateRatio, work, workRatio, first, longest }) {
  return [
    name,
    contender,
    Math.round(rate).toLocaleString("en"),
    rateRatio.toFixed(2),
    work.toFixed(1),
    workRatio.toFixed(2),
    first.toFixed(1),
    longest > 0 ? `${Math.round(longest)} ms` : `below ${TASK_MS_MAX} ms`,
  ];
}

/** A table in Markdown, whose columns stand below each other in a terminal too. */
export function table(all) {
  const lines = [HEAD, ...all.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const text = (line) => `| ${line.map((cell, n) => (n < 2 ? cell.padEnd(widths[n]) : cell.padStart(widths[n]))).join(" | ")} |`;
  const rule = `|${widths.map((width, n) => "-".repeat(width + 1) + (n < 2 ? "-" : ":")).join("|")}|`;
  return [text(lines[0]), rule, ...lines.slice(1).map(text)].join("\n");
}

/** What the targets say of it, one line each. */
export function verdicts(all) {
  const batches = all.filter(({ contender, isBatch }) => contender === "package" && isBatch);
  const said = batches.flatMap(({ case: name, rateRatio, workRatio }) => [
    verdict(`${name}: events/s, at least ${TARGET} of by hand`, rateRatio, rateRatio >= TARGET),
    verdict(`${name}: work, at least ${TARGET} of by hand`, workRatio, workRatio >= TARGET),
  ]);
  const replays = all.filter(({ contender, isReplay }) => contender !== "by hand" && isReplay);
  const longest = Math.max(...replays.map(({ longest }) => longest));
  return [...said, verdict(`replay: no task over ${TASK_MS_MAX} ms`, longest, longest <= TASK_MS_MAX, 0)];
}

function verdict(what, value, isMet, digits = 2) {
  return `${isMet ? "met   " : "MISSED"}  ${what}: ${value.toFixed(digits)}`;
}

export function document(all, { browser, count, repeat }) {
  const [{ model }] = cpus();
  return `# The browser's side, measured

Written by \`cargo xtask bench --browser --write docs\`; do not edit.

The package beside a client that is written by hand in some hundred lines of JavaScript
(\`bench/browser/page/by_hand.js\`) and does the same duties: order, repetitions, resuming from a position
after a cut, noticing silence. Both follow a thread of ${count.toLocaleString("en")} events over a real WebSocket, in
Chromium ${browser}, on ${cpus().length} cores of ${model.trim()}, and both hand the events to the same handler, which
checks that each comes once and in order. Before that both are cut off in the middle, and must go on
without a hole or a repetition.

${table(all)}

- The median of ${repeat} rounds; the contenders alternate, each in a fresh page that has taken some thousand
  frames of another thread before, until the browser has compiled either client. "of by hand" compares within
  each round; 1 is as good, more is better. What the first thread of a page costs, while nothing is compiled
  yet, has a column of its own.
- "N events a frame" are live events, as the real server has sent them, cut into frames of that many by a
  server that has nothing else to do. "replay" is the real server, which packs what is stored by bytes.
- Main thread is the processor time of all its tasks, for parsing, order, handlers and collecting garbage.
  Events a second count the wire and the browser's other processes as well; with one event a frame it is
  mostly those.
- "package" has \`cache\` and \`tabs\` off, as the client by hand has neither. "package, all of it" is what a
  page gets that says nothing: it also keeps every event in IndexedDB, and shares its connection. It has
  followed one thread before, for what is kept does not come from the server again.
- The longest task of all rounds; the browser tells of those over 50 ms.

\`\`\`text
${verdicts(all).join("\n")}
\`\`\`
`;
}
