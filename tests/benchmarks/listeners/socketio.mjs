// Socket.IO's own client, as its manual shows it: PORT. It prints what it hears.

import { createRequire } from "node:module";

const { io } = createRequire(import.meta.url)("socket.io-client");
io(`http://127.0.0.1:${process.argv[2]}`, { transports: ["websocket"] }).on("message", (text) => console.log(text));
