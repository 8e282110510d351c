// A plain WebSocket that connects again when it is lost: PORT. It prints what it hears.

import { createRequire } from "node:module";

const WebSocket = createRequire(import.meta.url)("ws");
function listen() {
  const socket = new WebSocket(`ws://127.0.0.1:${process.argv[2]}/`);
  socket.onmessage = ({ data }) => console.log(data);
  socket.onerror = () => {};
  socket.onclose = () => setTimeout(listen, 500 + 1500 * Math.random());
}
listen();
