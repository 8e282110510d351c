// Node with the ws package: PORT [PEM]. NODE_PATH names the folder with ws in it.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(import.meta.url)("ws");
const [port, pem] = process.argv.slice(2);
const rooms = new Map();
const key = pem && readFileSync(pem);
const http = pem ? createSecureServer({ key, cert: key }) : createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });

server.on("connection", (client, request) => {
  if (!rooms.has(request.url)) rooms.set(request.url, new Set());
  const room = rooms.get(request.url).add(client);
  client.on("message", (message, binary) => {
    for (const other of room) if (other !== client) other.send(message, { binary });
  });
  client.on("close", () => room.delete(client));
  client.on("error", () => client.terminate());
});
http.listen({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
