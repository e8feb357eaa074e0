// Run inside the namespace that a trace begins in: sends one TCP SYN or one UDP datagram from a port of the caller's choice, and waits
// for an answer or the end of its time. It says nothing: what became of the packet is seen elsewhere.
// Arguments: tcp|udp ADDRESS PORT SOURCE-PORT MILLISECONDS
import { createSocket } from "node:dgram";
import { connect } from "node:net";

const [protocol, address = "", port, sourcePort, milliseconds] = process.argv.slice(2);
const done = (): never => process.exit();
setTimeout(done, Number(milliseconds));

if (protocol === "tcp") {
  const socket = connect({ host: address, port: Number(port), localPort: Number(sourcePort) });
  socket.on("connect", done).on("error", done);
} else {
  const socket = createSocket("udp4").on("message", done).on("error", done);
  socket.bind(Number(sourcePort), () => {
    // connected, so that an ICMP error comes back to this program
    socket.connect(Number(port), address, () => socket.send("hopsack trace"));
  });
}
