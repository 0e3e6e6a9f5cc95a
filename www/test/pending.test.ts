import { expect, test } from "vitest";

import { type Pending, settle, uuid } from "../src/pending";
import { log } from "./events";

const RUN = "thread_x_run_1756919162904_0000000a";
const first: Pending = { messageId: "11111111-1111-4111-8111-111111111111", text: "one", refusal: undefined };
const second: Pending = { messageId: "22222222-2222-4222-8222-222222222222", text: "two", refusal: undefined };

test("a message goes when the log has it, and only then", () => {
  const events = log(
    [RUN, "user_message", { message_id: first.messageId, text: "one" }],
    [RUN, "message_delta", { message_id: second.messageId, text: "an answer, not the message" }],
  );
  expect(settle([first, second], events)).toEqual([second]);
});

test("where nothing has arrived the list is the very same", () => {
  const list = [first, second];
  expect(settle(list, log([RUN, "agent_started", { agent: "docs" }]))).toBe(list);
});

test("message ids are UUIDs of version 4", () => {
  const ids = Array.from({ length: 100 }, uuid);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(new Set(ids).size).toBe(ids.length);
});
