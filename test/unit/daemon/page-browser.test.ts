// The status page as people open it: in Chromium, light and dark, on a desk and on a telephone, with one peer and a thousand.
import type { Browser, Page } from "playwright-core";
import t, { type Test } from "tap";
import { serveMetrics } from "../../../src/daemon/metrics-server.js";
import type { Reach } from "../../../src/daemon/reach.js";
import type { DaemonState } from "../../../src/daemon/state.js";
import { browserFault, contrastOf, openBrowser } from "../../support/browser.js";
import { lease, readyState } from "../../support/daemon-fixtures.js";

const SCREENS = [
  { colorScheme: "light", width: 1280 },
  { colorScheme: "dark", width: 390 },
  { colorScheme: "light", width: 360 },
] as const;
const TEXTS = [".muted", ".figure", "td", "#map text", ".pill", "td.good", "#losses dd"];
const MEGABYTE = 1e6;
/** Texts of the map that cover each other, or stand outside it. */
const TROUBLED_NAMES = `(() => {
  const frame = document.querySelector("#map").getBoundingClientRect();
  const boxes = [...document.querySelectorAll("#map text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  const outside = boxes.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1);
  const covered = boxes.flatMap(([name, box], i) => boxes.slice(i + 1)
    .filter(([, other]) => Math.min(box.right, other.right) - Math.max(box.left, other.left) > 1
      && Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top) > 3)
    .map(([other]) => name + " and " + other));
  return [...covered, ...outside.map(([name]) => name + " outside")];
})()`;

/** A daemon with so many peers; the first one sends and gets a megabyte each second, the others nothing. */
function busyState(peers: number): DaemonState {
  const state = readyState();
  const startedAt = Date.now();
  const bytes = (): number => Math.floor(((Date.now() - startedAt) / 1000) * MEGABYTE);
  const counters = state.readCounters?.();
  state.peers = Array.from({ length: peers }, (_, i) =>
    lease(`10.${244 + (i >> 8)}.${i & 255}.0/24`, `172.16.${i >> 8}.${i & 255}`, i === 1 ? null : `host-${i}`),
  );
  state.readCounters = () => {
    if (counters === undefined) throw new Error("no counters");
    return { ...counters, words: { ...counters.words, tun_rx_bytes: bytes(), tun_tx_bytes: bytes() } };
  };
  state.readPeerBytes = () => ({
    peers: new Map(
      state.peers.slice(0, 100).map(({ attrs }, i) => {
        return [attrs.publicIp, i === 0 ? { sent: bytes(), received: bytes() } : { sent: 0, received: 0 }];
      }),
    ),
    others: { sent: 0, received: 0 },
  });
  return state;
}

async function serving(t: Test, state: DaemonState): Promise<string> {
  const server = await serveMetrics(state, "127.0.0.1", 0);
  t.teardown(() => server.close());
  return `http://127.0.0.1:${server.port}/`;
}

async function open(t: Test, browser: Browser, url: string, screen: (typeof SCREENS)[number]): Promise<Page> {
  const { colorScheme, width } = screen;
  const tab = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
  t.teardown(() => tab.close());
  tab.on("request", (request) => {
    if (!request.url().startsWith(url)) t.fail(`the page asked for ${request.url()}`);
  });
  tab.on("pageerror", (error) => void t.fail(`the page failed: ${error.message}`));
  tab.on("console", (message) => {
    if (message.type() === "error") t.fail(`the page complains: ${message.text()}`);
  });
  await tab.goto(url);
  return tab;
}

t.test("the status page in Chromium", { skip: browserFault }, async (t) => {
  const browser = await openBrowser(t);
  const [desk] = SCREENS;

  for (const screen of SCREENS) {
    t.test(
      `${screen.colorScheme}, ${screen.width} pixels wide: live figures, readable, and nothing sticks out`,
      async (t) => {
        const state = busyState(6);
        state.warnings.set("store", "the store <b>does not answer</b>");
        const tab = await open(t, browser, await serving(t, state), screen);
        await tab.locator("tbody tr").first().getByText("heard", { exact: true }).waitFor();
        await tab
          .locator("tbody tr")
          .first()
          .getByText(/^[78]\.[0-9]+ Mbit\/s$/)
          .first()
          .waitFor();
        await tab
          .locator("#tile-sent")
          .getByText(/^[78]\.[0-9]+ Mbit\/s$/)
          .waitFor();
        await tab.locator("#tile-peers").getByText("1 reached").waitFor();
        t.equal(await tab.locator("#tile-peers .figure").textContent(), "6");
        t.equal(await tab.locator("tbody tr").count(), 6);
        t.equal(await tab.locator("#losses dt").first().textContent(), "tun ring full17");
        t.ok(await tab.getByText("the store <b>does not answer</b>").isVisible(), "a text is a text, never HTML");
        t.equal(await tab.evaluate("document.documentElement.scrollWidth"), screen.width);
        t.same(await tab.evaluate(TROUBLED_NAMES), []);
        t.equal(await tab.locator("line.sent, line.received").count(), 2, "one line each way, for the one that talks");
        for (const contrast of (await tab.evaluate(contrastOf(TEXTS))) as number[])
          t.ok(contrast >= 4.5, `${contrast}`);
      },
    );
  }

  t.test("a peer that leaves, a lease that is gone and a warning that is over are seen without a reload", async (t) => {
    const state = busyState(3);
    const tab = await open(t, browser, await serving(t, state), desk);
    await tab.locator("tbody tr").nth(2).waitFor();
    state.warnings.set("lease", "the lease was taken away");
    await tab.getByText("the lease was taken away").waitFor();
    state.peers = state.peers.slice(1);
    state.warnings.delete("lease");
    state.phase = "stopping";
    state.lease = null;
    await tab.locator("#state").getByText("stopping").waitFor();
    t.equal(await tab.locator("tbody tr").count(), 2);
    t.notOk(await tab.locator("#warnings").isVisible());
    t.equal(await tab.locator("#tile-lease .figure").textContent(), "none");
  });

  t.test("what the probes say stands at each peer, in words and in the picture", async (t) => {
    const state = busyState(3);
    const answered = { lastHeardAt: Date.now(), roundTripMilliseconds: 0.42, loss: 0.1 };
    const reaches: readonly Reach[] = [
      { ...answered, state: "reachable" },
      { ...answered, state: "lost", lastHeardAt: Date.now() - 180_000 },
      { state: "silent", lastHeardAt: null, roundTripMilliseconds: null, loss: 1 },
    ];
    state.readReach = (peer) => reaches[state.peers.indexOf(peer)] ?? null;
    const tab = await open(t, browser, await serving(t, state), desk);
    const cell = (row: number, text: string) => tab.locator("tbody tr").nth(row).getByText(text, { exact: true });
    await cell(0, "reachable, 0.42 ms, 10 % lost").waitFor();
    await cell(1, "answers no longer, heard 3 min ago").waitFor();
    await cell(2, "does not answer probes").waitFor();
    await tab.locator("#tile-peers").getByText("1 reached, 1 not any more").waitFor();
    t.equal(await tab.locator("circle.good").count(), 1);
    t.equal(await tab.locator("circle.bad").count(), 1);
    t.ok(await tab.locator("#warnings").getByText("no longer answers probes").isVisible());
  });

  t.test("a thousand peers: each has its place in the picture and its row, and one is found by its name", async (t) => {
    const tab = await open(t, browser, await serving(t, busyState(1000)), desk);
    await tab.locator("circle").nth(999).waitFor();
    t.equal(await tab.locator("circle").count(), 1000);
    await tab.getByRole("searchbox").fill("host-777");
    t.equal(await tab.locator("tbody tr:visible").count(), 1);
    t.equal(await tab.evaluate("document.documentElement.scrollWidth"), desk.width);
  });

  t.test("a mode without counters says so, and a daemon that ends is noticed", async (t) => {
    const state = readyState();
    Object.assign(state, { readCounters: null, readPeerBytes: null });
    const server = await serveMetrics(state, "127.0.0.1", 0);
    const tab = await browser.newPage();
    t.teardown(() => tab.close());
    await tab.goto(`http://127.0.0.1:${server.port}/`);
    await tab.locator("#tile-sent").getByText("nobody counts in this mode").waitFor();
    t.equal(await tab.locator("tbody tr").first().locator("td").last().textContent(), "not probed");
    await server.close();
    await tab.locator("#state").getByText("not connected").waitFor();
  });
});
