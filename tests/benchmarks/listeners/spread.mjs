// A load for two kinds of servers: KIND SUBSCRIBERS WINDOW RATE URL...
//
// KIND is "plain" (a WebSocket that relays) or "socketio" (its protocol, spoken by hand over the same kind of
// WebSocket). One publisher at the first server, subscribers at all in turn. With a RATE it sends so many a
// second, otherwise it keeps WINDOW messages on their way to the slowest. Each line of stdin is answered by a line
// of JSON: how many messages were sent and delivered so far, and how many deliveries were wrong.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const WebSocket = createRequire(import.meta.url)("ws");
const [kind, ...words] = process.argv.slice(2);
const [subscribers, window, rate] = words.slice(0, 3).map(Number);
const urls = words.slice(3);
const padding = "x".repeat(128 - 8);
const reached = new Map();
let sent = 0, delivered = 0, wrong = 0, stopped = false;

function open(url, heard) {
  const address = kind === "plain" ? url : `${url}socket.io/?EIO=4&transport=websocket`;
  const socket = new WebSocket(address, { perMessageDeflate: false });
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    if (kind === "plain") socket.on("open", () => resolve(socket));
    socket.on("message", (data) => {
      const text = data.toString();
      if (kind === "plain") return heard(text);
      if (text.startsWith("42")) heard(JSON.parse(text.slice(2))[1]);
      else if (text.startsWith("0")) socket.send("40");
      else if (text.startsWith("40")) resolve(socket);
      else if (text === "2") socket.send("3");
    });
  });
}

function subscriber() {
  let next = 0;
  return (text) => {
    delivered++;
    const number = Number(text.slice(0, 8));
    if (number !== next) wrong++;
    next = number + 1;
    const count = (reached.get(number) ?? 0) + 1;
    if (count < subscribers) return reached.set(number, count);
    reached.delete(number);
    if (!rate) publish();
  };
}

for (let number = 0; number < subscribers; number++) await open(urls[(number + 1) % urls.length], subscriber());
const publisher = await open(urls[0], () => wrong++);
function publish() {
  if (stopped) return;
  const text = String(sent++).padStart(8, "0") + padding;
  publisher.send(kind === "plain" ? text : `42${JSON.stringify(["m", text])}`);
}
await new Promise((resolve) => setTimeout(resolve, 500));
if (rate) {
  const start = performance.now();
  setInterval(() => {
    while (!stopped && sent < ((performance.now() - start) * rate) / 1000) publish();
  }, 1);
} else for (let number = 0; number < window; number++) publish();

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "stop") stopped = true;
  console.log(JSON.stringify({ sent, delivered, wrong, reached: reached.size }));
}
process.exit(0);
