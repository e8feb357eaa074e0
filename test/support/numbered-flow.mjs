// One end of a flow of numbered UDP packets; run by restart.test.ts inside a host.
//   node numbered-flow.mjs receive PORT                     prints "ready"; at SIGTERM how many different numbers came, and how many twice
//   node numbered-flow.mjs send ADDRESS PORT PER_MS_BURST   prints "ready"; at SIGTERM how many were sent
import { createSocket } from "node:dgram";

const BUFFER_BYTES = 4 << 20;
const PAYLOAD_BYTES = 200;
const [role, ...rest] = process.argv.slice(2);

function receive(port) {
  const seen = new Set();
  let twice = 0;
  const socket = createSocket({ type: "udp4", recvBufferSize: BUFFER_BYTES });
  socket.on("message", (message) => {
    const number = message.readUInt32BE();
    if (seen.has(number)) twice++;
    seen.add(number);
  });
  socket.bind(port, () => console.log("ready"));
  process.on("SIGTERM", () => {
    console.log(JSON.stringify({ received: seen.size, twice }));
    process.exit(0);
  });
}

function send(address, port, burst) {
  const socket = createSocket("udp4");
  const startedAt = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    // By the clock: timers come late on a busy machine, and never more than ten milliseconds' worth at once.
    const due = Math.min(Math.floor((performance.now() - startedAt) * burst), sent + 10 * burst);
    for (; sent < due; sent++) {
      const message = Buffer.alloc(PAYLOAD_BYTES);
      message.writeUInt32BE(sent);
      socket.send(message, port, address);
    }
  }, 1);
  console.log("ready");
  process.on("SIGTERM", () => {
    clearInterval(timer);
    console.log(JSON.stringify({ sent }));
    socket.close(() => process.exit(0)); // after what was asked of it
  });
}

if (role === "receive") receive(Number(rest[0]));
else send(rest[0], Number(rest[1]), Number(rest[2]));
