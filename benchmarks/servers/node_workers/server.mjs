// Broadcasts by several workers of Node.js: @socket.io/cluster-adapter and
// @socket.io/sticky, as their documentation says, or with --adapter another adapter.

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
    adapter: { type: "string", default: "cluster" },
    engine: { type: "string", default: "" }, // the port of its engine
  },
});
const workers = Number(options.workers);

// createAdapter() of what --adapter names.
async function adapter() {
  const url = `redis://127.0.0.1:${options.engine}`;
  switch (options.adapter) {
    case "cluster":
      return createAdapter();
    case "RedisAdapter":
    case "ShardedRedisAdapter": {
      const { createClient } = await import("redis");
      const redis = await import("@socket.io/redis-adapter");
      const clients = [createClient({ url }), createClient({ url })];
      await Promise.all(clients.map((client) => client.connect()));
      const sharded = options.adapter === "ShardedRedisAdapter";
      return sharded ? redis.createShardedAdapter(...clients) : redis.createAdapter(...clients);
    }
    case "RedisStreamsAdapter": {
      const { createClient } = await import("redis");
      const streams = await import("@socket.io/redis-streams-adapter");
      const client = createClient({ url });
      await client.connect();
      return streams.createAdapter(client);
    }
    case "PostgresAdapter": {
      const { default: pg } = await import("pg");
      const postgres = await import("@socket.io/postgres-adapter");
      const pool = new pg.Pool({ host: "127.0.0.1", port: Number(options.engine), user: "postgres", database: "postgres" });
      return postgres.createAdapter(pool);
    }
  }
  throw new Error(`no adapter ${options.adapter}`);
}

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
  io.adapter(await adapter());
  setupWorker(io);
  serve(io);
  process.send("ready");
}
