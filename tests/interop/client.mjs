// The official client, driven by JSON lines over a Unix socket: commands come in, answers
// and whatever happens go out (tests/support/js_client.py is the other end). It decides
// nothing, so that what a test expects is written in the test.
//
//   in   {"id": 1, "do": "emit", "nsp": "/", "args": ["hi", {"$bin": "AQI="}]}
//   out  {"id": 1, "result": null}                             or {"id": 1, "error": "…"}
//   out  {"on": "event", "nsp": "/", "args": ["hi"], "ack": 3}    ack: null if not asked
//
// The process takes the path of the socket. Each connection to it is one client, of the
// package that its first command names: "socket.io-client-2" is Socket.IO 2's.
//
// Binary values are {"$bin": base64, "as": "Buffer" | "Uint8Array" | "ArrayBuffer"}.

import { createServer } from "node:net";
import { createInterface } from "node:readline";
import msgpack from "socket.io-msgpack-parser";
import { pack, unpack } from "./packing.mjs";

const parsers = { msgpack };

// One client: a Manager, and the namespaces that it joins.
function serve(connection) {
  const sockets = new Map();
  const acks = new Map();
  let io = null;
  let manager = null;
  let lastAck = 0;

  function report(message) {
    connection.write(JSON.stringify(message) + "\n");
  }

  function watchManager() {
    manager.on("open", () => {
      const engine = manager.engine;
      report({ on: "open", engine: engine.id, transport: engine.transport.name });
      engine.on("upgrade", (transport) => {
        report({ on: "upgrade", transport: transport.name });
      });
      engine.on("upgradeError", (error) => {
        report({ on: "upgradeError", message: error.message });
      });
    });
    manager.on("error", (error) => report({ on: "error", message: error.message }));
    manager.on("ping", () => report({ on: "ping" }));
    manager.on("reconnect", (attempt) => report({ on: "reconnect", attempt }));
  }

  function onAny(socket, listener) {
    if (socket.onAny) return socket.onAny(listener);
    socket.onevent = ({ data, id }) => {
      listener(...data, ...(id == null ? [] : [socket.ack(id)]));
    };
  }

  function watchSocket(nsp, socket) {
    socket.on("connect", () => report({ on: "connect", nsp, sid: socket.id }));
    socket.on("connect_error", (error) => {
      report({
        on: "connect_error",
        nsp,
        message: error.message,
        data: pack(error.data),
        // An Error, or an event with one.
        description: error.description?.message ?? pack(error.description),
      });
    });
    socket.on("disconnect", (reason, details) => {
      // A status after a POST or GET that failed, a close code after a WebSocket.
      const status = details?.description;
      report({
        on: "disconnect",
        nsp,
        reason,
        status: typeof status === "number" ? status : null,
        code: details?.context?.code ?? null,
      });
    });
    // Of Socket.IO 2: a refusal; an Error is a connect_error too.
    socket.on("error", (data) => {
      if (data instanceof Error) return;
      report({ on: "connect_error", nsp, message: null, data: pack(data) });
    });
    onAny(socket, (...args) => {
      let ack = null;
      if (typeof args.at(-1) === "function") {
        ack = ++lastAck;
        acks.set(ack, args.pop());
      }
      report({ on: "event", nsp, args: pack(args), ack });
    });
  }

  // Numbers to the server without a pause, from the moment the namespace is joined
  // until `after` steps more have gone by the upgraded transport. Every fifth has a
  // buffer. Gives how many were sent, and how many of them before the upgrade.
  function streamAcrossUpgrade({ nsp, name, after }) {
    const socket = sockets.get(nsp);
    return new Promise((resolve) => {
      socket.once("connect", () => {
        let sent = 0;
        let before = 0;
        let left = after;
        (function step() {
          for (let i = 0; i < 3; i++, sent++) {
            if (sent % 5) socket.emit(name, sent);
            else socket.emit(name, sent, Buffer.from([sent & 0xff]));
          }
          if (manager.engine.transport.name !== "websocket") before = sent;
          else if (--left <= 0) return resolve([sent, before]);
          setTimeout(step, 0);
        })();
      });
    });
  }

  const commands = {
    async manager({ package: name, url, opts: { parser, ...opts } }) {
      ({ default: io } = await import(name));
      if (parser) opts.parser = parsers[parser];
      manager = new io.Manager(url, { ...opts, autoConnect: false });
      watchManager();
    },
    socket({ nsp }) {
      const socket = manager.socket(nsp);
      sockets.set(nsp, socket);
      watchSocket(nsp, socket);
    },
    connect({ nsp, auth, times }) {
      // Socket.IO 2 has a query for each namespace instead.
      const name = io.protocol < 5 ? "query" : "auth";
      if (auth !== null) sockets.get(nsp)[name] = unpack(auth);
      for (let i = 0; i < times; i++) sockets.get(nsp).connect();
    },
    emit({ nsp, args }) {
      sockets.get(nsp).emit(...unpack(args));
    },
    emitMany({ nsp, name, count }) {
      for (let i = 0; i < count; i++) sockets.get(nsp).emit(name, i);
    },
    emitWithAck({ nsp, args, timeout }) {
      return new Promise((resolve, reject) => {
        const done = (error, ...answer) => {
          if (error) reject(error);
          else resolve(pack(answer));
        };
        const socket = sockets.get(nsp);
        if (socket.timeout) {
          socket.timeout(timeout * 1000).emit(...unpack(args), done);
        } else {
          const timer = setTimeout(() => done(new Error("timeout")), timeout * 1000);
          socket.emit(...unpack(args), (...answer) => {
            clearTimeout(timer);
            done(null, ...answer);
          });
        }
      });
    },
    answer({ ack, args }) {
      acks.get(ack)(...unpack(args));
      acks.delete(ack);
    },
    streamAcrossUpgrade,
    disconnect({ nsp }) {
      sockets.get(nsp).disconnect();
    },
    transport() {
      return manager.engine.transport.name;
    },
    // The connection breaks, which the client would not have wanted.
    cut() {
      manager.engine.close();
    },
    recovered({ nsp }) {
      return sockets.get(nsp).recovered === true;
    },
  };

  const lines = createInterface({ input: connection, crlfDelay: Infinity });

  lines.on("line", async (line) => {
    const { id, do: name, ...parameters } = JSON.parse(line);
    try {
      report({ id, result: (await commands[name](parameters)) ?? null });
    } catch (error) {
      report({ id, error: error.message });
    }
  });

  // The client ends with its connection, whatever it is doing.
  lines.on("close", () => {
    manager?.reconnection(false);
    manager?.disconnect();
    connection.end();
  });
  connection.on("error", () => {});
}

createServer(serve).listen(process.argv[2], () => console.log("listening"));

// The end of stdin is the end: also when the tests were killed.
process.stdin.on("end", () => process.exit(0)).resume();
