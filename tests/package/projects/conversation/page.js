const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
window.worker = new Worker("/worker.js", { type: "module" });
// The client's status and the events, as the worker has them; for the test.
window.told = { statuses: [], events: [] };
worker.onmessage = ({ data: { status, event, answer } }) => {
  const write = (place, text) => (document.getElementById(place).textContent = text);
  if (status) {
    told.statuses.push(status);
    write("status", `${status.state} ${status.transport ?? ""}`.trim());
  } else if (event) {
    told.events.push(event);
    write("seqs", told.events.map(({ seq }) => seq).join(" "));
  } else write("answer", answer);
};
worker.postMessage(given);
