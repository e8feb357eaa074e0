// One end of a TCP stream of known bytes; run by restart.test.ts inside a host.
//   node tcp-stream.mjs receive PORT         prints "ready"; at the end the stream's SHA-256
//   node tcp-stream.mjs send ADDRESS PORT [MBIT]    prints "ready" once connected; at SIGTERM ends the stream and prints how many
//                                                   blocks it had; no more than so many Mbit/s
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const BLOCK_BYTES = 1_000_000;
const [role, ...rest] = process.argv.slice(2);

function receive(port) {
  const hash = createHash("sha256");
  const server = createServer((socket) => {
    socket.on("data", (bytes) => hash.update(bytes));
    socket.on("end", () => {
      console.log(hash.digest("hex"));
      process.exit(0);
    });
  });
  server.listen(port, () => console.log("ready"));
}

async function send(address, port, megabits) {
  const blockMs = (BLOCK_BYTES * 8) / 1000 / megabits;
  let isOver = false;
  process.on("SIGTERM", () => (isOver = true));
  const socket = connect(port, address);
  await once(socket, "connect");
  console.log("ready");
  let blocks = 0;
  for (; !isOver; blocks++) {
    if (!socket.write(Buffer.alloc(BLOCK_BYTES, blocks % 251))) await once(socket, "drain");
    if (blockMs > 0) await delay(blockMs);
  }
  console.log(JSON.stringify({ blocks }));
  socket.end();
}

if (role === "receive") receive(Number(rest[0]));
else await send(rest[0], Number(rest[1]), Number(rest[2] ?? Number.POSITIVE_INFINITY));
