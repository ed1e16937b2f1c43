// The benchmark's application on socket.io and Bun's engine.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";

const NAMESPACES = 100;

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "5000" },
    certificate: { type: "string" },
    key: { type: "string" },
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
  const io = new Server();
  const engine = new Engine({ path: "/socket.io/", cors: { origin: "*" } });
  io.bind(engine);
  serve(io, "/");
  for (let i = 1; i < NAMESPACES; i++) {
    serve(io, `/n${i}`);
  }
  Bun.serve({
    ...engine.handler(),
    hostname: "127.0.0.1",
    port: Number(options.port),
    ...(tls && {
      tls: { cert: readFileSync(options.certificate), key: readFileSync(options.key) },
    }),
  });
  console.log(`listening on ${options.port} pid ${process.pid}`);
}

function versions() {
  const version = (name) =>
    JSON.parse(readFileSync(`${import.meta.dir}/node_modules/${name}/package.json`))
      .version;
  return {
    Bun: Bun.version,
    "socket.io": version("socket.io"),
    "@socket.io/bun-engine": version("@socket.io/bun-engine"),
  };
}

if (options.versions) {
  console.log(JSON.stringify(versions()));
} else {
  main();
}
