// The benchmark's client on socket.io-client and Node.js; see ../common.py.

import { createRequire } from "node:module";
import { parseArgs } from "node:util";

import { io } from "socket.io-client";

const PAYLOAD = 32;
const FLOOD = 512;
const CLOCK = 16;

const { values: options } = parseArgs({
  options: {
    mode: { type: "string" },
    port: { type: "string" },
    "in-flight": { type: "string", default: "1" },
    connections: { type: "string", default: "1" },
    warmup: { type: "string", default: "1" },
    seconds: { type: "string", default: "3" },
    versions: { type: "boolean" },
  },
});
const inFlight = Number(options["in-flight"]);

class Load {
  begun = false;
  over = false;
  counted = 0;
  came = 0;
  sent = 0;
  awaited = new Set();
  warmAt = performance.now() + 1000 * Number(options.warmup);
  endAt = this.warmAt + 1000 * Number(options.seconds);

  begin() {
    this.begun = true;
    console.log("begin");
  }

  end(count) {
    this.over = true;
    console.log(`end ${count}`);
    process.stdin.on("end", () => process.exit(0)).resume();
  }

  count(step = 1) {
    this.came++;
    if (this.over) {
      return;
    }
    if (this.begun) {
      this.counted++;
    }
    if (this.came % step) {
      return;
    }
    const now = performance.now();
    if (!this.begun && now >= this.warmAt) {
      this.begin();
    } else if (this.begun && now >= this.endAt) {
      this.end(this.counted);
    }
  }

  newMessage() {
    const text = String(++this.sent).padStart(PAYLOAD, "0");
    this.awaited.add(text);
    return text;
  }
}

function wrong(message) {
  console.error(message);
  process.exit(1);
}

function connect() {
  const socket = io(`http://127.0.0.1:${options.port}`, {
    transports: ["websocket"],
    forceNew: true,
    reconnection: false,
    timeout: 30000,
  });
  socket.on("connect_error", (error) => wrong(`connect_error: ${error.message}`));
  return new Promise((resolve) => socket.on("connect", () => resolve(socket)));
}

async function echo() {
  const load = new Load();
  const socket = await connect();
  const step = inFlight > 1 ? CLOCK : 1;
  socket.on("echo", (data) => {
    if (!load.awaited.delete(data)) {
      wrong(`${data} came, which was not awaited`);
    }
    load.count(step);
    if (!load.over) {
      socket.emit("echo", load.newMessage());
    }
  });
  for (let i = 0; i < inFlight; i++) {
    socket.emit("echo", load.newMessage());
  }
}

async function flood() {
  const load = new Load();
  const socket = await connect();
  socket.on("b", (data) => {
    const wanted = load.came % FLOOD;
    if (Number(data) !== wanted) {
      wrong(`${data} came instead of ${wanted}`);
    }
    load.count(CLOCK);
    if (wanted === FLOOD - 1 && !load.over) {
      socket.emit("flood", FLOOD);
    }
  });
  socket.emit("flood", FLOOD);
  socket.emit("flood", FLOOD);
}

async function cycle() {
  const load = new Load();
  const repeat = async () => {
    while (!load.over) {
      const socket = await connect();
      socket.disconnect();
      load.count();
    }
  };
  await Promise.all(Array.from({ length: inFlight }, repeat));
}

async function memory() {
  const load = new Load();
  const count = Number(options.connections);
  const kept = [await connect()];
  load.begin();
  for (let i = 0; i < count; i += 50) {
    const size = Math.min(50, count - i);
    kept.push(...(await Promise.all(Array.from({ length: size }, connect))));
  }
  load.end(count);
}

function versions() {
  const require = createRequire(import.meta.url);
  const version = (name) => require(`./node_modules/${name}/package.json`).version;
  return {
    "Node.js": process.versions.node,
    "socket.io-client": version("socket.io-client"),
    ws: version("ws"),
    bufferutil: version("bufferutil"),
  };
}

if (options.versions) {
  console.log(JSON.stringify(versions()));
} else {
  await { echo, flood, cycle, memory }[options.mode]();
}
