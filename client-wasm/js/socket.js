/**
 * Opens a WebSocket and tells `hear` what happens to it: `opened()`, `frame(object)` for each frame
 * (undefined for what is no JSON), `closed(code)` at the end, once.
 *
 * @returns what sends frames to it and closes it. Whoever closes it hears no more.
 */
export function openSocket(address, hear) {
  const socket = new WebSocket(address, "rethread.v1");
  socket.onopen = () => hear.opened();
  socket.onmessage = ({ data }) => hear.frame(parse(data));
  socket.onclose = ({ code }) => hear.closed(code);
  return {
    // What cannot be sent is lost with the socket, whose close is heard then.
    send: (frame) => socket.readyState === 1 && socket.send(JSON.stringify(frame)),
    close: (code) => {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(code);
    },
  };
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
