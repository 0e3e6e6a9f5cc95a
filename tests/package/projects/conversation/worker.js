// Import maps do not count in workers: the package is imported by its address.
import { connect } from "./node_modules/@rethread/client/index.js";

import { textOf } from "./text.js";

self.onmessage = async ({ data: { url, token, thread: id } }) => {
  const client = await connect({ url, token });
  client.on("status", (status) => postMessage({ status }));
  const thread = client.thread(id);
  thread.on("*", (event) => postMessage({ event }));
  thread.onView(({ runs }) => postMessage({ answer: textOf(runs) }));
};
