// The benchmark's application on socket.io and Node.js.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

import { Server } from "socket.io";

const NAMESPACES = 100;

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "5000" },
    certificate: { type: "string" },
    key: { type: "string" },
    deflate: { type: "boolean" },
    versions: { type: "boolean" },
  },
});

// A hand-written check: there is none in the library.
function isMove(data) {
  return (
    typeof data === "object" &&
    data !== null &&
    typeof data.id === "string" &&
    Array.isArray(data.tags) &&
    data.tags.every((tag) => typeof tag === "string") &&
    typeof data.x === "number"
  );
}

function serve(io, path) {
  const namespace = io.of(path);
  namespace.on("connection", (socket) => {
    socket.on("echo", (data) => socket.emit("echo", data));
    socket.on("ack", (data, answer) => answer(data));
    socket.on("validated", (data, answer) => {
      if (isMove(data)) {
        answer(data);
      }
    });
    socket.on("echo_bin", (data) => socket.emit("echo_bin", data));
    socket.on("broadcast", (data) => namespace.emit("b", data));
    socket.on("room", (data) => namespace.to("r0").emit("b", data));
    socket.on("gather", async (data, answer) => {
      answer((await namespace.timeout(5000).emitWithAck("q", data)).length);
    });
    socket.on("join", (count, answer) => {
      for (let i = 0; i < count; i++) {
        socket.join(`r${i}`);
      }
      answer(count);
    });
  });
}

function main() {
  const tls = options.certificate !== undefined;
  const http = tls
    ? createSecureServer({
        cert: readFileSync(options.certificate),
        key: readFileSync(options.key),
      })
    : createServer();
  const io = new Server(http, {
    cors: { origin: "*" },
    serveClient: false,
    perMessageDeflate: options.deflate ?? false,
  });
  serve(io, "/");
  for (let i = 1; i < NAMESPACES; i++) {
    serve(io, `/n${i}`);
  }
  http.listen({ port: Number(options.port), host: "127.0.0.1", backlog: 2048 }, () => {
    console.log(`listening on ${options.port} pid ${process.pid}`);
  });
}

function versions() {
  const require = createRequire(import.meta.url);
  const version = (name) => require(`${name}/package.json`).version;
  return {
    "Node.js": process.versions.node,
    "socket.io": version("socket.io"),
    ws: version("ws"),
    bufferutil: version("bufferutil"),
  };
}

if (options.versions) {
  console.log(JSON.stringify(versions()));
} else {
  main();
}
