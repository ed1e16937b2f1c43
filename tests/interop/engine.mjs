// What tests of the Engine.IO client talk to, by engine.io for Node.js:
// `node engine.mjs PORT OPTIONS`. It greets with "hi" and sends back what comes, as the
// server of the official client's suite does. It prints a line as soon as it listens,
// and ends when its stdin does.

import { createServer } from "node:http";
import { createRequire } from "node:module";

const { attach } = createRequire(import.meta.url)("engine.io");
const [port, json] = process.argv.slice(2);

const http = createServer();
const engine = attach(http, { pingInterval: 500, maxHttpBufferSize: 100, ...JSON.parse(json) });

const notes = [];
engine.on("connection", (socket) => {
  socket.send("hi");
  socket.on("message", (data) => {
    notes.push(data);
    if (data === "give binary") socket.send(Buffer.from([0, 1, 2, 3, 4]));
    else if (data === "clients") socket.send(String(engine.clientsCount));
    else if (data === "notes") socket.send(JSON.stringify(notes));
    else socket.send(data);
  });
});

process.stdin.on("end", () => process.exit()).resume();
http.listen(Number(port), "127.0.0.1", () => console.log("listening"));
