import { textOf } from "./text.js";

/** Shows a thread in the page: the connection, each event's seq as it comes, and the view's text. */
export function show(client, id) {
  const write = (place, text) => (document.getElementById(place).textContent = text);
  const seqs = [];
  client.on("status", ({ state, transport }) => write("status", `${state} ${transport ?? ""}`.trim()));
  const thread = client.thread(id);
  thread.on("*", ({ seq }) => write("seqs", seqs.push(seq) && seqs.join(" ")));
  thread.onView(({ runs }) => write("answer", textOf(runs)));
}
