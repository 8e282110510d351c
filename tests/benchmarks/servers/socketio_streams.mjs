// A Socket.IO server that shares its rooms through Redis: PORT URL. NODE_PATH names its folder.

import { createServer } from "node:http";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { Server } = require("socket.io");
const { createAdapter } = require("@socket.io/redis-streams-adapter");
const { createClient } = require("redis");

const [port, url] = process.argv.slice(2);
const redis = createClient({ url });
await redis.connect();
const http = createServer();
const io = new Server(http, { adapter: createAdapter(redis), transports: ["websocket"] });
io.on("connection", (socket) => socket.on("m", (text) => socket.broadcast.emit("m", text)));
http.listen({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
