// Bun's server (uWebSockets), with publish(): PORT [PEM]. With DEFLATE in the environment it compresses.

const [port, pem] = process.argv.slice(2);
const deflate = Boolean(process.env.DEFLATE);

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  tls: pem ? { cert: Bun.file(pem), key: Bun.file(pem) } : undefined,
  fetch(request, server) {
    const room = new URL(request.url).pathname;
    return server.upgrade(request, { data: { room } }) ? undefined : new Response("", { status: 426 });
  },
  websocket: {
    idleTimeout: 960,
    backpressureLimit: 2 ** 30,
    maxPayloadLength: 2 ** 24,
    perMessageDeflate: deflate,
    open: (client) => client.subscribe(client.data.room),
    message: (client, message) => client.publish(client.data.room, message, deflate),
  },
});
