// Socket.IO with connection state recovery: PORT. What is posted goes to everybody. NODE_PATH names its folder.

import { createServer } from "node:http";
import { createRequire } from "node:module";

const { Server } = createRequire(import.meta.url)("socket.io");
const http = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  io.emit("message", body);
  response.end();
});
const io = new Server(http, { connectionStateRecovery: { maxDisconnectionDuration: 120_000 } });
http.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
