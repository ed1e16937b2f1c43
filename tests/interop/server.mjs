// The application of tests/support/client_application.py on socket.io for Node.js:
// `node server.mjs PORT OPTIONS`. It prints a line as soon as it listens, and ends when
// its stdin does.

import { createServer } from "node:http";
import { Server } from "socket.io";

const [port, json] = process.argv.slice(2);
const options = JSON.parse(json);
const seconds = (value) => (value === undefined ? value : value * 1000);
const given = (entries) =>
  Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined));

const http = createServer();
const io = new Server(
  http,
  given({
    path: options.path,
    serveClient: false,
    transports: options.transports,
    allowUpgrades: options.allow_upgrades,
    pingInterval: seconds(options.ping_interval),
    pingTimeout: seconds(options.ping_timeout),
    maxHttpBufferSize: options.max_http_buffer_size,
    cookie: options.cookie,
    perMessageDeflate: options.per_message_deflate,
    connectionStateRecovery: options.recovery ? {} : undefined,
  }),
);

const notes = new Map();
const noted = (name) => notes.get(name) ?? notes.set(name, []).get(name);
const allBytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

function answer(args) {
  const callback = args.at(-1);
  return typeof callback === "function" ? args.pop() && callback : () => {};
}

const handlers = {
  echo(socket, args, ack) {
    socket.emit("echo", ...args);
    ack(...args);
  },
  ack: (socket, [count], ack) => ack(...Array(count).keys()),
  binary(socket, [data], ack) {
    socket.emit("binary", { data, parts: [data, data] });
    ack(data.length, allBytes);
  },
  ask(socket, args) {
    socket.emit("question", ...args, (...answers) => socket.emit("answered", answers));
  },
  burst(socket, [count], ack) {
    for (let i = 0; i < count; i++) socket.emit("item", i);
    ack(count);
  },
  note(socket, [name, value], ack) {
    noted(name).push(value);
    ack(value);
  },
  notes: (socket, [name], ack) => ack(noted(name)),
  kick: (socket) => socket.disconnect(),
  drop: (socket) => socket.conn.close(),
  silent() {},
  later: (socket, [wait], ack) => setTimeout(() => ack(wait), seconds(wait)),
  whoami(socket, args, ack) {
    const { auth, headers, query } = socket.handshake;
    ack({ sid: socket.id, auth, headers, query, transport: query.transport });
  },
};

function onConnection(socket) {
  for (const [event, handler] of Object.entries(handlers)) {
    socket.on(event, (...args) => {
      const ack = answer(args);
      handler(socket, args, ack);
    });
  }
}

function refusal(message, data) {
  return Object.assign(new Error(message), data && { data });
}

for (const name of ["/", "/chat", "/auth"]) io.of(name).on("connection", onConnection);
io.of("/auth").use((socket, next) =>
  next(socket.handshake.auth.token === "secret" ? undefined : refusal("unauthorized")),
);
io.of("/refuse").use((socket, next) => next(refusal("refused", { reason: "never" })));

process.stdin.on("end", () => process.exit()).resume();
process.on("SIGTERM", () => io.close(() => process.exit()));
http.listen(Number(port), "127.0.0.1", () => console.log("listening"));
