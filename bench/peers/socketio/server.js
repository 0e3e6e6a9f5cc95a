// Socket.IO as its documents advise for speed and memory (performance tuning, memory usage):
// WebSocket alone, the native add-on of `ws`, no reference to each connection's first request,
// and connection-state recovery with the values of its page.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  connectionStateRecovery: { maxDisconnectionDuration: 2 * 60 * 1000, skipMiddlewares: true },
});

io.engine.on("connection", (socket) => {
  socket.request = null;
});

io.on("connection", (socket) => {
  const { thread } = socket.handshake.auth;
  if (thread !== undefined) socket.join(thread);
  socket.on("pub", (room, event) => {
    io.to(room).emit("event", event);
  });
});

http.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  console.log(`listening on http://127.0.0.1:${http.address().port}`);
});
