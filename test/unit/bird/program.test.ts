// bird/program: which BIRD is of use, and whether its port is free.
import t from "tap";
import { birdPaths, requirePortFree, requireVersion } from "../../../src/bird/program.js";

t.test("BIRD 2.0.12 and what followed it in version 2 is accepted, nothing else", async (t) => {
  for (const text of ["BIRD version 2.0.12\n", "BIRD version 2.13\n", "BIRD version 2.17.1\n"]) {
    t.doesNotThrow(() => requireVersion(text), text);
  }
  for (const text of [
    "BIRD version 1.6.8\n",
    "BIRD version 2.0.11\n",
    "BIRD version 2.0\n",
    "BIRD version 3.1.0\n",
    "",
  ]) {
    t.throws(() => requireVersion(text), {
      code: "TOOL_MISSING",
      message: /cannot be used, the mode bgp needs 2\.0\.12 or newer of version 2; install: apt-get install bird2$/,
    });
  }
});

t.test("a port is taken when somebody listens on this address or on all", async (t) => {
  const HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";
  const line = (local: string, state = "0A") => `${HEAD}   0: ${local} 00000000:0000 ${state} 00000000:00000000\n`;
  const taken = {
    code: "PORT_TAKEN",
    message:
      /^another program listens on TCP port 179 of 192\.168\.50\.10, .* stop it \(ss -ltnp sport = 179 names it\)$/,
  };
  const ALL_V6 = "0".repeat(32);
  for (const local of ["0A32A8C0:00B3", "00000000:00B3", `${ALL_V6}:00B3`]) {
    t.throws(() => requirePortFree("192.168.50.10", ["", line(local)]), taken, local);
  }
  for (const [local, state] of [
    ["0B32A8C0:00B3", "0A"],
    ["0A32A8C0:00B4", "0A"],
    ["0A32A8C0:00B3", "01"],
  ] as const) {
    t.doesNotThrow(() => requirePortFree("192.168.50.10", [line(local, state), ""]), `${local} ${state}`);
  }
});

t.test("the files lie beside the status socket, and are another hopsackd's where that is another", async (t) => {
  t.match(birdPaths("/run/hopsack/hopsackd.sock"), {
    config: "/run/hopsack/hopsackd-bird.conf",
    control: "/run/hopsack/hopsackd-bird.ctl",
  });
  t.equal(birdPaths("/run/hopsack/two").log, "/run/hopsack/two-bird.log");
});
