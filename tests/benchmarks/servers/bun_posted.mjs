// Bun's server (uWebSockets): PORT. What is posted goes to everybody, and nothing is remembered.

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  async fetch(request) {
    if (request.method === "POST") {
      server.publish("room", await request.text());
      return new Response("");
    }
    return server.upgrade(request) ? undefined : new Response("", { status: 426 });
  },
  websocket: { open: (client) => client.subscribe("room"), message() {} },
});
