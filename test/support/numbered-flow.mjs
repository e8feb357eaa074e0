// The sending end of a flow of numbered UDP packets; run by tests inside a host. The other end: paced-flow.py.
//   node numbered-flow.mjs ADDRESS PORT PER_MS     prints "ready"; at SIGTERM how many were sent
import { createSocket } from "node:dgram";

const PAYLOAD_BYTES = 200;
const [address, port, burst] = process.argv.slice(2);

const socket = createSocket("udp4");
const startedAt = performance.now();
let sent = 0;
/** Asked of the socket, and not yet with the kernel. */
let waiting = 0;
let isOver = false;

function endWhenSent() {
  if (!isOver || waiting > 0) return;
  console.log(JSON.stringify({ sent }));
  socket.close();
}

const timer = setInterval(() => {
  // By the clock: timers come late on a busy machine, and never more than ten milliseconds' worth at once.
  const due = Math.min(Math.floor((performance.now() - startedAt) * Number(burst)), sent + 10 * Number(burst));
  for (; sent < due; sent++) {
    const message = Buffer.alloc(PAYLOAD_BYTES);
    message.writeUInt32BE(sent);
    waiting++;
    socket.send(message, Number(port), address, () => {
      waiting--;
      endWhenSent();
    });
  }
}, 1);
process.on("SIGTERM", () => {
  clearInterval(timer);
  isOver = true;
  endWhenSent();
});
console.log("ready");
