// bird/control-socket: the answers of a BIRD that a test plays.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import t from "tap";
import { ControlSocket, ReplyParser } from "../../../src/bird/control-socket.js";

/** Says the greeting, then for each line what `answer` gives. */
async function play(t: Test, greeting: string, answer: (line: string, socket: Socket) => string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "hopsack-bird-"));
  const path = join(folder, "bird.ctl");
  const server = createServer((socket) => {
    socket.write(greeting);
    socket.on("data", (bytes) => {
      for (const line of String(bytes).trim().split("\n")) socket.write(answer(line, socket));
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  return path;
}

const READY = "0001 BIRD 2.0.12 ready.\n";

t.test("lines go together by their codes; a line without one has that of the line before", async (t) => {
  const parser = new ReplyParser();
  t.same(parser.parse("2002-Name Proto"), { code: 2002, text: "Name Proto", isLast: false });
  t.same(parser.parse("1002-lease Static"), { code: 1002, text: "lease Static", isLast: false });
  t.same(parser.parse(" Mesh_1 BGP"), { code: 1002, text: "Mesh_1 BGP", isLast: false });
  t.equal(parser.parse("+BIRD speaks by itself"), undefined);
  t.same(parser.parse("0000 "), { code: 0, text: "", isLast: true });
});

t.test("commands are answered in their order, and the greeting says which BIRD it is", async (t) => {
  const path = await play(t, READY, (line) => `0002-${line}\n more\n0003 done\n`);
  const control = await ControlSocket.open(path, () => {});
  t.equal(control.version, "2.0.12");
  const [first, second] = await Promise.all([control.ask("a"), control.ask("b")]);
  t.same(first, [
    { code: 2, text: "a" },
    { code: 2, text: "more" },
    { code: 3, text: "done" },
  ]);
  t.equal(second[0]?.text, "b");
  control.close();
});

t.test("a refusal is told in BIRD's words, and the conversation goes on", async (t) => {
  const path = await play(t, READY, (line) =>
    line === "configure" ? "0002-Reading configuration\n8002 x.conf:3:1 syntax error\n" : "0013 fine\n",
  );
  const control = await ControlSocket.open(path, () => {});
  await t.rejects(control.ask("configure"), {
    code: "TOOL_FAILED",
    message: 'BIRD refused "configure": x.conf:3:1 syntax error; it is tried again',
    retryable: true,
  });
  t.same(await control.ask("show status"), [{ code: 13, text: "fine" }]);
  control.close();
});

t.test("the end of BIRD is told once, and ends what waits", async (t) => {
  let ends = 0;
  const path = await play(t, READY, (_line, socket) => {
    socket.destroy();
    return "";
  });
  const control = await ControlSocket.open(path, () => ends++);
  await t.rejects(control.ask("show status"), { message: /^BIRD closed its control socket/ });
  await t.rejects(control.ask("show status"), { message: /^BIRD closed its control socket/ });
  t.equal(ends, 1);
});

t.test("where nobody answers, or somebody who is no BIRD, that is said", async (t) => {
  await t.rejects(
    ControlSocket.open("/nowhere/bird.ctl", () => {}),
    { message: /^nobody answers on .* \(connect ENOENT/ },
  );
  const path = await play(t, "220 mail ready\n0001 hello\n", () => "");
  await t.rejects(
    ControlSocket.open(path, () => {}),
    { message: /^what answers on .* is no BIRD/ },
  );
});

t.test("a question to a BIRD that has just gone is refused, and its broken pipe ends nothing else", async (t) => {
  let ends = 0;
  let control: ControlSocket | null = null;
  const late = new Promise<string>((resolve) => {
    const asked = play(t, READY, (_line, socket) => {
      socket.on("close", () => control?.ask("show status").catch((error: Error) => resolve(error.message)));
      socket.destroy();
      return "";
    });
    void asked.then(async (path) => {
      control = await ControlSocket.open(path, () => ends++);
      await control.ask("down").catch(() => {});
    });
  });
  t.match(await late, /^BIRD closed its control socket/);
  t.equal(ends, 1);
});
