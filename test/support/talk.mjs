// One end of many short talks; run by policy.test.ts inside pods.
//   node talk.mjs answer PORT…     answers TCP and UDP on these ports, of both families; prints "ready"
//   node talk.mjs ask JSON         a list of [protocol, address, port]; prints a list of whether each was answered
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";

/** Long enough for a lost first packet to be repeated. */
const LIMIT_MS = 1600;
const REPEAT_MS = 300;
const [role, ...rest] = process.argv.slice(2);

async function answer(ports) {
  const listening = ports.flatMap((port) => {
    const server = createServer((socket) => socket.on("error", () => {}).end());
    const socket = createSocket("udp6");
    socket.on("message", (message, from) => socket.send(message, from.port, from.address));
    return [
      new Promise((done) => server.listen(port, "::", done)),
      new Promise((done) => socket.bind(port, "::", done)),
    ];
  });
  await Promise.all(listening);
  console.log("ready");
}

const asked = {
  tcp: (address, port, end) => {
    const socket = connect(port, address);
    socket.on("connect", () => end(true)).on("error", () => end(false));
    return () => socket.destroy();
  },
  udp: (address, port, end) => {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    socket.on("message", () => end(true)).on("error", () => {});
    const send = () => socket.send("?", port, address);
    send();
    const timer = setInterval(send, REPEAT_MS);
    return () => {
      clearInterval(timer);
      socket.close();
    };
  },
  icmp: (address, _port, end) => {
    const ping = spawn("ping", ["-n", "-c", "4", "-i", "0.3", "-W", "1", address], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    ping.stdout.on("data", (text) => String(text).includes("bytes from") && end(true));
    return () => ping.kill("SIGKILL");
  },
};

function ask([protocol, address, port]) {
  return new Promise((resolve) => {
    const end = (isAnswered) => {
      clearTimeout(limit);
      close();
      resolve(isAnswered);
    };
    const limit = setTimeout(() => end(false), LIMIT_MS);
    let close = () => {};
    close = asked[protocol](address, port, end);
  });
}

if (role === "answer") await answer(rest.map(Number));
else console.log(JSON.stringify(await Promise.all(JSON.parse(rest[0]).map(ask))));
