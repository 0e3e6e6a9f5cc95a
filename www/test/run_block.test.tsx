import { renderToStaticMarkup } from "react-dom/server";
import { expect, test } from "vitest";

import { fold } from "../src/fold";
import { EMPTY } from "../src/view";
import { RunBlock } from "../src/ui/RunBlock";
import { log } from "./events";

const RUN = "thread_x_run_1756919162904_0000000a";

test("a run that cannot be drawn is shown as text", () => {
  const { runs } = fold(EMPTY, log([RUN, "message_delta", { message_id: "m", text: "what was <said>" }]));
  const block = new RunBlock({ run: runs[0]! });
  block.state = RunBlock.getDerivedStateFromError();
  const html = renderToStaticMarkup(block.render());
  expect(html).toContain("could not be drawn");
  expect(html).toContain("what was &lt;said&gt;");
});
