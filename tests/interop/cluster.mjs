// Servers of socket.io with the official adapters, and the official emitters, driven by
// JSON lines on stdin (tests/support/node_cluster.py is the other end). It decides
// nothing, so that what a test expects is written in the test.
//
//   in   {"id": 1, "do": "server", "name": "a", "adapter": {"kind": "redis", "url": "…"}}
//   out  {"id": 1, "result": 40123}                     its port; or {"id": 1, "error": "…"}
//   in   {"id": 2, "do": "call", "name": "a", "nsp": "/", "chain": [["to", "room"], ["volatile"]],
//         "method": "emit", "args": ["news", {"$bin": "AQI="}]}
//   out  {"on": "event", "name": "a", "nsp": "/", "args": ["reload", 1]}   serverSideEmit()
//
// An adapter has a kind (redis, sharded, streams, postgres), the options of the package
// and where its engine is: "url", "sentinels" with "service", or "nodes" of a cluster.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createAdapter as redis, createShardedAdapter as sharded } from "@socket.io/redis-adapter";
import { createAdapter as streams } from "@socket.io/redis-streams-adapter";
import { createAdapter as postgres } from "@socket.io/postgres-adapter";
import { Emitter as PostgresEmitter } from "@socket.io/postgres-emitter";
import { Emitter as RedisEmitter } from "@socket.io/redis-emitter";
import IORedis from "ioredis";
import pg from "pg";
import { createClient, createCluster } from "redis";
import { Server } from "socket.io";
import { pack, unpack } from "./packing.mjs";

const things = new Map();

// What a client of Redis was still asked for when it was closed.
process.on("unhandledRejection", (error) => console.error(error.message));

function report(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

// A client of Redis; what it fails with meanwhile is its own affair.
async function redisClient({ url, sentinels, service, nodes }) {
  if (sentinels) return new IORedis({ sentinels, name: service }).on("error", () => {});
  const options = { socket: { reconnectStrategy: 200 } };
  const client = nodes
    ? createCluster({ rootNodes: nodes.map((node) => ({ url: node })) })
    : createClient({ url, ...options });
  client.on("error", () => {});
  await client.connect();
  return client;
}

// The table that the adapter does not create.
async function pool({ url, options }) {
  const made = new pg.Pool({ connectionString: url });
  made.on("error", () => {});
  const table = options?.tableName ?? "socket_io_attachments";
  try {
    await made.query(`CREATE TABLE IF NOT EXISTS ${table} (
      id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea)`);
  } catch (error) {
    if (error.code !== "23505") throw error; // another server makes it at this moment
  }
  return made;
}

// What is to be closed later, and the option `adapter` of a server.
async function adapterOf({ kind, options, ...where }) {
  if (kind === "postgres") {
    const connections = await pool({ url: where.url, options });
    return [[() => connections.end()], postgres(connections, options)];
  }
  const client = await redisClient(where);
  const closing = [() => client.disconnect()];
  if (kind === "streams") return [closing, streams(client, options)];
  const second = await redisClient(where);
  closing.push(() => second.disconnect());
  return [closing, { redis, sharded }[kind](client, second, options)];
}

function applied(operator, chain) {
  for (const [name, ...args] of chain) {
    const member = operator[name];
    operator = typeof member === "function" ? member.apply(operator, args) : member;
  }
  return operator;
}

function described({ id, handshake, rooms, data }) {
  const { headers, query, auth } = handshake;
  return { id, handshake: { headers, query, auth }, rooms: [...rooms], data };
}

const commands = {
  async server({ name, adapter, namespaces, options }) {
    const [closing, created] = await adapterOf(adapter);
    const http = createServer();
    const io = new Server(http, { serveClient: false, ...options, adapter: created });
    things.set(name, { io, closing });
    for (const nsp of namespaces) {
      io.of(nsp).on("connection", (socket) => {
        socket.on("data", (data, ack) => ack(Object.assign(socket.data, data)));
        socket.on("rooms", (ack) => ack([...socket.rooms]));
        socket.on("join", (room, ack) => Promise.resolve(socket.join(room)).then(() => ack()));
      });
    }
    await new Promise((resolve) => http.listen(0, "127.0.0.1", resolve));
    return http.address().port;
  },
  async emitter({ name, adapter: { kind, options, url } }) {
    if (kind === "postgres") {
      const connections = await pool({ url, options });
      const emitter = new PostgresEmitter(connections, "/", options);
      things.set(name, { emitter, closing: [() => connections.end()] });
    } else {
      const client = await redisClient({ url });
      const emitter = new RedisEmitter(client, options);
      things.set(name, { emitter, closing: [() => client.disconnect()] });
    }
  },
  // What a method of a namespace, or of the operator that a chain makes, returns.
  async call({ name, nsp, chain, method, args }) {
    const { io, emitter } = things.get(name);
    const operator = applied((io ?? emitter).of(nsp), chain);
    const result = await operator[method](...unpack(args));
    if (method === "fetchSockets") return pack(result.map(described));
    return method === "emit" || method === "serverSideEmit" ? null : pack(result);
  },
  serverCount: ({ name, nsp }) => things.get(name).io.of(nsp).adapter.serverCount(),
  async allRooms({ name, nsp }) {
    return [...(await things.get(name).io.of(nsp).adapter.allRooms())];
  },
  // Reports an event of other servers, and answers it.
  listen({ name, nsp, event, answer }) {
    things.get(name).io.of(nsp).on(event, (...args) => {
      const ack = typeof args.at(-1) === "function" ? args.pop() : () => {};
      report({ on: "event", name, nsp, args: pack([event, ...args]) });
      if (answer !== undefined) ack(unpack(answer));
    });
  },
  unlisten({ name, nsp, event }) {
    things.get(name).io.of(nsp).removeAllListeners(event);
  },
  async close({ name }) {
    const { io, closing } = things.get(name);
    things.delete(name);
    if (io) await io.close();
    for (const close of closing) await close();
  },
};

const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });

lines.on("line", async (line) => {
  const { id, do: name, ...parameters } = JSON.parse(line);
  try {
    report({ id, result: (await commands[name](parameters)) ?? null });
  } catch (error) {
    report({ id, error: error.message, responses: pack(error.responses) });
  }
});

// The end of stdin is the end: also when the tests were killed.
lines.on("close", () => process.exit(0));
