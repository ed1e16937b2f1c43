// What tests of a client's protocol talk to: `node wire.mjs PORT OPTIONS`, by
// socket.io for Node.js, or by its revision 2 with {"eio": 3}. It prints a line as soon
// as it listens, and ends when its stdin does.

import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const [port, json] = process.argv.slice(2);
const { eio, parser, ...options } = JSON.parse(json);
if (parser) options.parser = require("socket.io-msgpack-parser");

const http = createServer();
let io;
if (eio === 3) {
  io = require("socket.io-2")(http, { serveClient: false, ...options });
  io.of("/refuse").use((socket, next) => next(new Error("not you")));
} else {
  const { Server } = require("socket.io");
  io = new Server(http, { serveClient: false, ...options });
  io.of("/refuse").use((socket, next) => next(new Error("not you")));
}

const unanswered = new Map();

function onConnection(socket) {
  socket.on("echo", (...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : () => {};
    socket.emit("echo", ...args);
    ack(...args);
  });
  // Is acknowledged the n-th time that it comes.
  socket.on("nth", (n, name, ack) => {
    const count = (unanswered.get(name) ?? 0) + 1;
    unanswered.set(name, count);
    if (count >= n) ack(count);
  });
  socket.on("query", (ack) => ack(socket.handshake.query));
  socket.on("ask", (...args) => socket.emit("question", ...args, (...answer) => socket.emit("answered", ...answer)));
  socket.on("say", (event, ...args) => socket.emit(event, ...args));
  socket.on("say all", (event, ...args) => socket.nsp.emit(event, ...args));
  socket.on("cut", () => (socket.conn.transport.socket?._socket ?? socket.conn.request.socket).destroy());
  // `sids` of Socket.IO clients; their connections are cut, then all are told.
  socket.on("cut and say", (event, ...args) => {
    const raw = socket.conn.transport.socket._socket;
    raw.destroy();
    setTimeout(() => socket.nsp.emit(event, ...args), 50);
  });
  socket.on("deflated", (ack) =>
    ack(Object.keys(socket.conn.transport.socket?._extensions ?? {}), socket.conn.transport.socket?.extensions),
  );
}

io.on("connection", onConnection);
for (const name of ["/chat", "/refuse"]) io.of(name).on("connection", onConnection);

process.stdin.on("end", () => process.exit()).resume();
http.listen(Number(port), "127.0.0.1", () => console.log("listening"));
