import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { install, tool } from "./lib/project.js";

const GOLDEN = new URL("../../shared/golden/events.json", import.meta.url);
// The types that the .d.ts knows, by its own words; the compiler checks the list.
const KNOWN = [
  "agent_started",
  "agent_thinking",
  "tool_executing",
  "tool_completed",
  "agent_completed",
  "message_delta",
  "agent_failed",
  "agent_cancelled",
  "user_message",
  "custom",
];

let project;

before(() => {
  project = install("projects/types");
  for (const name of ["@types/react", "csstype"]) {
    const types = fileURLToPath(new URL(`node_modules/${name}`, import.meta.url));
    cpSync(types, join(project.folder, "node_modules", name), { recursive: true });
  }
});

after(() => project?.remove());

/** Compiles the project and gives what the compiler says. */
function compile(...options) {
  try {
    const words = ["--project", project.folder, ...options];
    return execFileSync(tool("tsc"), words, { encoding: "utf8" });
  } catch (error) {
    return error.stdout + error.stderr;
  }
}

/** A TypeScript file that says of every golden event that it is one. */
function golden(change = (event) => event) {
  const events = Object.entries(JSON.parse(readFileSync(GOLDEN, "utf8"))).map(([name, event]) => {
    const literal = `${JSON.stringify(change(event), null, 1)} as const`;
    const isKnown = KNOWN.includes(event.type);
    const typed = isKnown ? "KnownEvent" : "Omit<UnknownEvent, 'type'> & { type: string }";
    // By way of a variable, so that members beside the known ones are no error.
    return `const ${name} = ${literal};\nexport const ${name}_is_one: ${typed} = ${name};`;
  });
  const known = JSON.stringify(KNOWN);
  return `import type { EventType, KnownEvent, UnknownEvent } from "@rethread/client";
export const known = ${known} as const satisfies readonly EventType[];
export const all: EventType extends (typeof known)[number] ? true : false = true;
${events.join("\n")}
`;
}

test("what applications write compiles strictly, and every golden event is one of the union", () => {
  writeFileSync(join(project.folder, "golden.ts"), golden());
  assert.equal(compile(), "");
});

for (const resolution of ["node16", "nodenext"]) {
  test(`the same compiles as ${resolution} resolves modules, where a file says what it is`, () => {
    writeFileSync(join(project.folder, "golden.ts"), golden());
    assert.equal(compile("--module", resolution, "--moduleResolution", resolution), "");
  });
}

test("every file of types of the package is looked at", () => {
  const types = join(project.folder, "node_modules/@rethread/client");
  const all = readdirSync(types).filter((name) => name.endsWith(".d.ts"));
  const files = compile("--listFilesOnly").split("\n");
  for (const name of all) assert.ok(files.includes(join(types, name)), name);
});

test("a golden event that is not as its type says does not compile", () => {
  const broken = (event) =>
    event.type === "message_delta" ? { ...event, data: { ...event.data, text: 1 } } : event;
  writeFileSync(join(project.folder, "golden.ts"), golden(broken));
  assert.match(compile(), /golden\.ts.*error TS2322/);
});
