// Broadcasts by several workers of Node.js: @socket.io/cluster-adapter and
// @socket.io/sticky, as their documentation says.

import cluster from "node:cluster";
import { createServer } from "node:http";
import { parseArgs } from "node:util";

import { createAdapter, setupPrimary } from "@socket.io/cluster-adapter";
import { setupMaster, setupWorker } from "@socket.io/sticky";
import { Server } from "socket.io";

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "5000" },
    workers: { type: "string", default: "4" },
  },
});
const workers = Number(options.workers);

function serve(io) {
  io.on("connection", (socket) => {
    socket.on("broadcast", (data) => io.emit("b", data));
    socket.on("echo", (data) => socket.emit("echo", data));
  });
}

function listen(http) {
  http.listen({ port: Number(options.port), host: "127.0.0.1", backlog: 2048 }, () => {
    console.log(`listening on ${options.port} pid ${process.pid}`);
  });
}

if (workers === 1) {
  const http = createServer();
  serve(new Server(http, { serveClient: false, perMessageDeflate: false }));
  listen(http);
} else if (cluster.isPrimary) {
  const http = createServer();
  setupMaster(http, { loadBalancingMethod: "least-connection" });
  setupPrimary();
  let ready = 0;
  for (let i = 0; i < workers; i++) {
    cluster.fork().on("message", (message) => {
      if (message === "ready" && ++ready === workers) {
        listen(http);
      }
    });
  }
} else {
  const http = createServer();
  const io = new Server(http, { serveClient: false, perMessageDeflate: false });
  io.adapter(createAdapter());
  setupWorker(io);
  serve(io);
  process.send("ready");
}
