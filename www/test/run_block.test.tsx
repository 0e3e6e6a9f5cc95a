import type { Run } from "@rethread/client";
import { renderToStaticMarkup } from "react-dom/server";
import { expect, test } from "vitest";

import { RunBlock } from "../src/ui/RunBlock";

const RUN: Run = {
  id: "thread_x_run_1756919162904_0000000a",
  state: "running",
  parts: [{ kind: "answer", seq: 1, message_id: "m", text: "what was <said>" }],
};

test("a run that cannot be drawn is shown as text", () => {
  const block = new RunBlock({ run: RUN });
  block.state = RunBlock.getDerivedStateFromError();
  const html = renderToStaticMarkup(block.render());
  expect(html).toContain("could not be drawn");
  expect(html).toContain("what was &lt;said&gt;");
});
