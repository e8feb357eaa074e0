// The status page: listens to /events (src/daemon/live-feed.ts) and shows what it is told. Rates are differences between two
// ticks, made here. All that comes from outside goes in as text, never as HTML.
import { bitRate, counted, duration, packetRate } from "./format.js";
import { drawMap } from "./map.js";

/** @typedef {import("../src/daemon/live-feed.js").View} View */
/** @typedef {import("../src/daemon/live-feed.js").Tick} Tick */
/** @typedef {import("../src/daemon/live-feed.js").PeerTick} PeerTick */
/** @typedef {{ at: number, sent: number, received: number, sentRate: number, receivedRate: number, heardAt: number | null }} Traffic */
/** @typedef {{ kind: "good" | "bad" | "unclear", text: string }} Reachability */

/** What the probes say, in the words of `hopsack status`. @type {Record<NonNullable<PeerTick["reach"]>["state"], Reachability>} */
const REACH = {
  reachable: { kind: "good", text: "reachable" },
  lost: { kind: "bad", text: "answers no longer" },
  "one-way": { kind: "bad", text: "heard, but does not answer" },
  silent: { kind: "unclear", text: "does not answer probes" },
  unknown: { kind: "unclear", text: "not known yet" },
};

/** What a sparkline shows. */
const HISTORY_TICKS = 60;
/** A peer was heard lately: its host is there, and the way to it. */
const TALKING_MS = 15_000;
const RETRY_MS = 3000;
/** From so many on one looks for a host by its name. */
const SEARCHABLE_PEERS = 13;

/** @type {View | null} */
let view = null;
/** @type {Tick | null} */
let last = null;
/** @type {Map<string, Traffic>} by the peer's address */
let traffic = new Map();
/** @type {Map<string, PeerTick["reach"]>} by the peer's address */
let reaches = new Map();
/** @type {HTMLTableRowElement[]} */
let rows = [];
/** @type {Record<"sent" | "received" | "lost", number[]>} */
const history = { sent: [], received: [], lost: [] };

/**
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} type
 * @returns {T}
 */
function find(selector, type) {
  const found = document.querySelector(selector);
  if (!(found instanceof type)) throw new Error(`no ${selector} in the page`);
  return found;
}

const map = find("#map", SVGSVGElement);
const search = find("#leases input", HTMLInputElement);
const tableBody = find("#leases tbody", HTMLTableSectionElement);

/**
 * @param {string} tag
 * @param {string} [text]
 * @param {string} [className]
 */
function made(tag, text = "", className = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  element.className = className;
  return element;
}

/**
 * @param {string} selector
 * @param {string} text
 */
function say(selector, text) {
  find(selector, HTMLElement).textContent = text;
}

/**
 * @param {string} tile
 * @param {string} figure
 * @param {string} detail
 */
function setTile(tile, figure, detail) {
  say(`#tile-${tile} .figure`, figure);
  say(`#tile-${tile} .figure + .muted`, detail);
}

/** @param {View} news */
function showView(news) {
  const addresses = new Set(news.peers.map(({ publicIp }) => publicIp));
  view = news;
  traffic = new Map([...traffic].filter(([publicIp]) => addresses.has(publicIp)));
  reaches = new Map();
  document.title = `${news.node} – Hopsack`;
  say("#node", news.node);
  say(
    "#what",
    [news.lease?.subnet, news.lease?.subnetV6, `of ${news.network ?? "no network"}`].filter(Boolean).join(" "),
  );
  const { underlay, device } = news;
  const parts = [
    `hopsackd ${news.version}`,
    `mode ${news.backend ?? "not known yet"}`,
    underlay === null ? null : `${underlay.publicIp} on ${underlay.link}, MTU ${underlay.mtuBytes}`,
    device === null ? null : `device ${device.name}, MTU ${device.mtuBytes}`,
    `leases in ${news.store}`,
  ];
  say("#about", parts.filter((part) => part !== null).join(" · "));
  makeRows(news);
}

/** @param {View} news */
function makeRows(news) {
  rows = news.peers.map(({ node, subnet, subnetV6, publicIp }) => {
    const row = document.createElement("tr");
    const texts = [node ?? "–", [subnet, subnetV6].filter(Boolean).join(" "), publicIp, "–", "–", "–"];
    texts.forEach((text, column) => {
      const cell = row.insertCell();
      cell.textContent = text;
      if (column === 3 || column === 4) cell.className = "number";
      if (column === 3 || column === 4) cell.dataset.name = column === 3 ? "sent" : "received";
    });
    return row;
  });
  tableBody.replaceChildren(...rows);
  search.hidden = rows.length < SEARCHABLE_PEERS;
  filterRows();
}

function filterRows() {
  const wanted = search.hidden ? "" : search.value.trim().toLowerCase();
  for (const row of rows) row.hidden = !(row.textContent ?? "").toLowerCase().includes(wanted);
}

/** @param {Tick} tick */
function showTick(tick) {
  const seconds = last === null ? 0 : (tick.at - last.at) / 1000;
  /** @param {number | undefined} now @param {number | undefined} before */
  const rate = (now, before) =>
    now === undefined || before === undefined || seconds <= 0 ? 0 : Math.max(0, now - before) / seconds;

  notePeers(tick);
  for (const direction of /** @type {const} */ (["sent", "received"])) {
    const [now, before] = [tick[direction], last?.[direction]];
    const bytes = rate(now?.bytes, before?.bytes);
    if (last !== null) push(direction, bytes);
    if (now === null) setTile(direction, "–", "nobody counts in this mode");
    else setTile(direction, bitRate(bytes), packetRate(rate(now.packets, before?.packets)));
  }
  /** @param {Tick | null} of */
  const sum = (of) => of?.drops.reduce((total, { packets }) => total + packets, 0);
  const lost = rate(sum(tick), sum(last));
  if (last !== null) push("lost", lost);
  setTile("lost", packetRate(lost).replace(" packets", ""), `${counted(sum(tick) ?? 0)} since the start`);
  showLosses(tick);
  showState(tick);
  last = tick;
  showPeers(tick);
}

/** @param {Tick} tick */
function notePeers(tick) {
  for (const { peer, bytes, reach } of tick.peers) {
    const publicIp = view?.peers[peer]?.publicIp;
    if (publicIp === undefined) continue;
    reaches.set(publicIp, reach);
    if (bytes === null) continue;
    const { sent, received } = bytes;
    const before = traffic.get(publicIp);
    const isNew = before === undefined || sent < before.sent || received < before.received;
    const seconds = isNew ? 0 : (tick.at - Math.max(before.at, last?.at ?? 0)) / 1000;
    traffic.set(publicIp, {
      ...{ at: tick.at, sent, received },
      sentRate: seconds > 0 && !isNew ? (sent - before.sent) / seconds : 0,
      receivedRate: seconds > 0 && !isNew ? (received - before.received) / seconds : 0,
      heardAt: !isNew && received > before.received ? tick.at : (before?.heardAt ?? null),
    });
  }
  for (const [publicIp, of] of traffic) {
    if (of.at !== tick.at) traffic.set(publicIp, { ...of, sentRate: 0, receivedRate: 0 });
  }
}

/** @param {"sent" | "received" | "lost"} what @param {number} value */
function push(what, value) {
  const values = history[what];
  values.push(value);
  if (values.length > HISTORY_TICKS) values.shift();
  const svg = find(`#tile-${what} svg`, SVGSVGElement);
  const [width, height] = [svg.clientWidth, svg.clientHeight];
  const top = Math.max(...values, 1);
  const step = width / (HISTORY_TICKS - 1);
  const points = values.map((one, i) => {
    const x = width - (values.length - 1 - i) * step;
    return `${x.toFixed(1)},${(height - 2 - ((height - 4) * one) / top).toFixed(1)}`;
  });
  find(`#tile-${what} polyline`, SVGPolylineElement).setAttribute("points", points.join(" "));
}

/** @param {Tick} tick */
function showState(tick) {
  const pill = find("#state", HTMLElement);
  pill.textContent = tick.state;
  pill.className = `pill ${tick.state === "ready" ? "good" : "bad"}`;
  const warnings = find("#warnings", HTMLElement);
  warnings.hidden = tick.warnings.length === 0;
  warnings.replaceChildren(...tick.warnings.map((warning) => made("li", warning)));
  const expiresAt = view?.lease?.expiresAt ?? null;
  const left = expiresAt === null ? null : (Date.parse(expiresAt) - tick.at) / 1000;
  const store = tick.isStoreConnected ? "store connected" : "store away";
  if (view?.lease == null) setTile("lease", "none", store);
  else setTile("lease", left === null ? "for ever" : duration(left), store);
}

/** @param {Tick} tick */
function showLosses(tick) {
  find("#no-losses", HTMLElement).hidden = tick.drops.length > 0;
  const sorted = [...tick.drops].sort((a, b) => b.packets - a.packets);
  find("#losses dl", HTMLElement).replaceChildren(
    ...sorted.map(({ reason, help, packets }) => {
      const entry = made("div");
      const term = made("dt");
      term.append(made("span", reason.replaceAll("_", " ")), made("span", counted(packets), "number"));
      entry.append(term, made("dd", help));
      return entry;
    }),
  );
}

/**
 * What the probes say; where there are none, whether packets of the peer arrive.
 * @param {PeerTick["reach"]} reach
 * @param {Traffic | undefined} of
 * @param {number} at
 * @returns {Reachability}
 */
function reachability(reach, of, at) {
  if (reach !== null) {
    const { kind, text } = REACH[reach.state];
    const { roundTripMilliseconds: roundTrip, lastHeardAt, loss } = reach;
    const heard = lastHeardAt === null ? null : `heard ${duration((at - Date.parse(lastHeardAt)) / 1000)} ago`;
    const details = [
      kind === "good" && roundTrip !== null ? `${roundTrip.toFixed(roundTrip < 10 ? 2 : 0)} ms` : null,
      kind === "good" && loss !== null && loss > 0 ? `${Math.round(100 * loss)} % lost` : null,
      kind === "bad" ? heard : null,
    ];
    return { kind, text: [text, ...details.filter((detail) => detail !== null)].join(", ") };
  }
  if (of === undefined) return { kind: "unclear", text: "not probed" };
  if (of.heardAt === null) return { kind: "unclear", text: "not heard yet" };
  const ms = at - of.heardAt;
  if (ms > TALKING_MS) return { kind: "unclear", text: `heard ${duration(ms / 1000)} ago` };
  return { kind: "good", text: "heard" };
}

/** @param {Tick} tick */
function showPeers(tick) {
  if (view === null) return;
  const kinds = { good: 0, bad: 0, unclear: 0 };
  const drawn = view.peers.map(({ node, publicIp, subnet }, i) => {
    const of = traffic.get(publicIp);
    const { kind, text } = reachability(reaches.get(publicIp) ?? null, of, tick.at);
    kinds[kind]++;
    const texts = of === undefined ? ["–", "–", text] : [bitRate(of.sentRate), bitRate(of.receivedRate), text];
    texts.forEach((one, column) => {
      const cell = rows[i]?.cells[column + 3];
      if (cell !== undefined && cell.textContent !== one) cell.textContent = one;
    });
    const last = rows[i]?.cells[5];
    if (last !== undefined) last.className = kind;
    return { name: node ?? publicIp, detail: subnet, sent: of?.sentRate ?? 0, received: of?.receivedRate ?? 0, kind };
  });
  const troubled = kinds.bad > 0 ? `, ${counted(kinds.bad)} not any more` : "";
  setTile("peers", counted(view.peers.length), `${counted(kinds.good)} reached${troubled}`);
  drawMap(map, { name: view.node, detail: view.lease?.subnet ?? "no subnet yet" }, drawn);
}

/** @param {string} why */
function showLost(why) {
  const pill = find("#state", HTMLElement);
  pill.textContent = why;
  pill.className = "pill bad";
  last = null;
}

function listen() {
  const events = new EventSource("events");
  events.addEventListener("view", (event) => showView(JSON.parse(event.data)));
  events.addEventListener("tick", (event) => showTick(JSON.parse(event.data)));
  events.addEventListener("error", () => {
    events.close();
    showLost("not connected");
    setTimeout(listen, RETRY_MS);
  });
}

search.addEventListener("input", filterRows);
new ResizeObserver(() => last !== null && showPeers(last)).observe(find("#topology", HTMLElement));
listen();
