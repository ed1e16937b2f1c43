// The page of the chat. `?room=` fills in the room, `?transport=polling` (or
// `websocket`) keeps to one transport, to see how that one does.

const GROUP_WITHIN = 5 * 60 * 1000; // messages of one author this close share a byline
const TYPING_STOPS = 3000; // without a key pressed
const TYPING_EXPIRES = 6000; // if the notice that it stopped got lost
const KEPT = 500; // groups and notices in the log
const ANSWER_WITHIN = 10_000; // milliseconds
const NO_ANSWER = "The server did not answer.";

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });

const me = { name: "", room: "" };
const people = new Map(); // id: name
const typists = new Map(); // id: timer
let joined = false; // now, on this connection
let entered = false; // once, since the form was sent
let unread = 0;

// What others wrote enters the page here alone, as text.
function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function avatar(name) {
  const made = element("span", "avatar", [...name][0].toUpperCase());
  let hue = 0;
  for (const char of name) hue = (hue * 31 + char.codePointAt(0)) % 360;
  made.style.setProperty("--hue", hue);
  made.ariaHidden = "true";
  return made;
}

// The log

const log = $("log");
let last = null; // the newest group: {id, time, said}

const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
const toEnd = () => (log.scrollTop = log.scrollHeight);

function append(made, parent = log) {
  const follow = atEnd();
  parent.append(made);
  while (log.childElementCount > KEPT) log.firstElementChild.remove();
  if (follow) toEnd();
  else $("newer").hidden = false;
}

function notice(text) {
  last = null;
  append(element("p", "notice", text));
}

function say(id, name, text, time) {
  const mine = id === null;
  if (last?.id !== id || time - last.time > GROUP_WITHIN) {
    const group = element("div", mine ? "group mine" : "group");
    const said = element("div", "said");
    const byline = element("p", "byline", mine ? "" : name);
    const when = element("time", "", clock.format(time));
    when.dateTime = new Date(time).toISOString();
    if (mine) byline.append(element("span", "unseen", "You "));
    byline.append(when);
    said.append(byline);
    if (!mine) group.append(avatar(name));
    group.append(said);
    append(group);
    last = { id, said };
  }
  last.time = time;
  const bubble = element("p", "bubble", text);
  append(bubble, last.said);
  return bubble;
}

// Who is there, who types, and how we are connected

function showPeople() {
  const list = [...people].map(([id, name]) => {
    const item = element("li");
    item.append(avatar(name), element("span", "", name));
    if (id === socket.id) item.append(element("small", "", "you"));
    return item;
  });
  $("people-list").replaceChildren(...list);
  $("count").textContent = `${people.size} here`;
}

function setTyping(id, active) {
  clearTimeout(typists.get(id));
  typists.delete(id);
  if (active) {
    typists.set(id, setTimeout(() => setTyping(id, false), TYPING_EXPIRES));
  }
  const names = [...typists.keys()].map((id) => people.get(id)).filter(Boolean);
  $("typing").textContent =
    names.length === 0 ? ""
    : names.length === 1 ? `${names[0]} is typing…`
    : names.length === 2 ? `${names[0]} and ${names[1]} are typing…`
    : "Several people are typing…";
}

function setState(state, text) {
  $("status").dataset.state = state;
  $("status").textContent = text;
  $("send").disabled = !joined;
}

function showTransport(transport) {
  const label = transport.name === "websocket" ? "WebSocket" : transport.name;
  setState(transport.name, `Connected by ${label}`);
}

function togglePeople(open) {
  $("people").hidden = !open;
  $("people-toggle").ariaExpanded = String(open);
}

function showTitle() {
  const room = entered ? `#${me.room} · Chat` : "Chat";
  document.title = unread ? `(${unread}) ${room}` : room;
}

// In and out

function showForm(error = "") {
  joined = entered = false;
  socket?.disconnect();
  $("chat").hidden = true;
  $("welcome").hidden = false;
  $("join-error").textContent = error;
  $("join").querySelector("button").disabled = false;
  showTitle();
  (me.name && error === "" ? $("room") : $("name")).focus();
}

function showRoom() {
  entered = true;
  unread = 0;
  last = null;
  log.replaceChildren();
  $("newer").hidden = true;
  $("room-name").textContent = me.room;
  $("welcome").hidden = true;
  $("chat").hidden = false;
  togglePeople(matchMedia("(min-width: 44.01rem)").matches);
  showTitle();
  query.set("room", me.room);
  history.replaceState(null, "", `?${query}`);
  localStorage.setItem("name", me.name);
  $("text").focus();
}

// An event and the answer to it: {ok: true, …} or {ok: false, error}.
async function ask(event, value) {
  try {
    return await socket.timeout(ANSWER_WITHIN).emitWithAck(event, value);
  } catch {
    return { ok: false, error: NO_ANSWER };
  }
}

function joinRoom() {
  const { engine } = socket.io;
  showTransport(engine.transport);
  engine.on("upgrade", showTransport);
  // A callback runs before the next packet is handled; a promise would let a "joined"
  // event that comes with the answer be forgotten.
  socket.timeout(ANSWER_WITHIN).emit("join", me.room, (error, reply) => {
    if (!socket.connected) return; // the next connection joins
    if (error) return showForm(NO_ANSWER);
    if (!reply.ok) return showForm(reply.error);
    showJoined(reply, engine);
  });
}

function showJoined(reply, engine) {
  const back = entered;
  if (!back) {
    me.room = reply.room;
    showRoom();
  }
  joined = true;
  people.clear();
  for (const [id, name] of Object.entries(reply.people)) people.set(id, name);
  showPeople();
  showTransport(engine.transport);
  notice(
    back ? "You are back."
    : people.size === 1 ? "You are the first one here."
    : "You joined the room.",
  );
}

// The composer

let typingTimer = null; // running while the others are told that we type

function tellTyping(active) {
  const told = typingTimer !== null;
  clearTimeout(typingTimer);
  typingTimer = active ? setTimeout(() => tellTyping(false), TYPING_STOPS) : null;
  if (active !== told && joined) socket.volatile.emit("typing", active);
}

function fitText() {
  const text = $("text");
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`; // and its border
}

async function send() {
  const text = $("text").value.trim();
  if (!text || !joined) return; // a draft waits for the connection
  $("text").value = "";
  fitText();
  tellTyping(false);
  toEnd();
  const bubble = say(null, me.name, text, Date.now());
  bubble.classList.add("pending");
  const reply = await ask("message", text);
  bubble.classList.remove("pending");
  if (!reply.ok) {
    bubble.classList.add("failed");
    bubble.after(element("p", "failure", `Not sent. ${reply.error}`));
  }
}

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!socket) return;
  me.name = $("name").value;
  me.room = $("room").value;
  $("join-error").textContent = "";
  $("join").querySelector("button").disabled = true;
  setState("connecting", "Connecting…");
  socket.connect();
});
$("leave").addEventListener("click", () => showForm());
$("people-toggle").addEventListener("click", () => togglePeople($("people").hidden));
$("newer").addEventListener("click", toEnd);
log.addEventListener("scroll", () => {
  if (atEnd()) $("newer").hidden = true;
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
$("text").addEventListener("input", () => {
  fitText();
  tellTyping($("text").value.trim() !== "");
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) unread = 0;
  showTitle();
});

// The connection

$("name").value = localStorage.getItem("name") ?? "";
$("room").value = query.get("room") || "lobby";

let socket = null;
try {
  await window.clientLoaded; // only cdn.js sets it
  socket = window.io({
    autoConnect: false,
    auth: (give) => give({ name: me.name }),
    transports: query.has("transport") ? [query.get("transport")] : undefined,
    reconnectionDelay: 500,
  });
} catch (error) {
  $("join-error").textContent = `The Socket.IO client is missing: ${error.message}`;
  throw error;
}

socket.on("connect", joinRoom);

socket.on("connect_error", (error) => {
  if (!socket.active) showForm(error.message); // refused by the server
  else if (!entered) showForm("The server cannot be reached.");
});

socket.on("disconnect", (reason) => {
  joined = false;
  tellTyping(false);
  for (const id of [...typists.keys()]) setTyping(id, false);
  if (reason === "io client disconnect") return setState("offline", "Offline");
  setState("reconnecting", "Reconnecting…");
  // The client comes back by itself, unless the server said good-bye.
  if (!socket.active) setTimeout(() => entered && socket.connect(), 1000);
});

socket.on("message", ({ id, name, text, time }) => {
  setTyping(id, false);
  say(id, name, text, time);
  if (document.hidden) {
    unread += 1;
    showTitle();
  }
});

socket.on("typing", ({ id, active }) => setTyping(id, active));

socket.on("joined", ({ id, name }) => {
  people.set(id, name);
  showPeople();
  notice(`${name} joined.`);
});

socket.on("left", ({ id, name }) => {
  people.delete(id);
  setTyping(id, false);
  showPeople();
  notice(`${name} left.`);
});

if (!$("name").value) $("name").focus();
else $("room").focus();
