// The picture of this host and its peers: rings around it, drawn in the pixels that there are. A line is as thick as what
// travels along it.

/** @typedef {{ name: string, detail: string, sent: number, received: number, kind: "good" | "bad" | "unclear" }} MapPeer rates in bytes a second */
/** @typedef {{ x: number, y: number }} Point */

const SVG = "http://www.w3.org/2000/svg";
/** Room for a name above a subnet; on a telephone neighbours come closer to each other, but not to the edge. */
const LABEL_WIDTH = { wide: 108, narrow: 84 };
const NARROW = 480;
const LABELLED_RADIUS = 9;
const SMALLEST_DOT = 1.5;
const LARGEST_DOT = 6;
const OWN_HEIGHT = 40;
const MARGIN = 12;
/** With one ring that is no ring. */
const FLAT_HEIGHT = 170;
/** From here on a line is as thick as it gets. */
const FULL_BYTES_PER_SECOND = 1e9;
const THICKEST = 8;

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 */
function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

/** @param {number} bytesPerSecond @param {number} thickest */
function thickness(bytesPerSecond, thickest) {
  if (bytesPerSecond <= 0) return 1;
  return 1.5 + thickest * Math.min(1, Math.log10(1 + bytesPerSecond) / Math.log10(FULL_BYTES_PER_SECOND)) ** 2;
}

/**
 * One ring while the names fit, else rings of dots.
 * @param {number} count
 * @param {number} width
 * @param {number} height
 * @returns {{ points: Point[], dot: number, isNamed: boolean }}
 */
function layOut(count, width, height) {
  const centre = { x: width / 2, y: height / 2 };
  const label = width < NARROW ? LABEL_WIDTH.narrow : LABEL_WIDTH.wide;
  const named = { x: width / 2 - LABEL_WIDTH.wide / 2, y: height / 2 - 46 };
  if (count <= Math.max(2, perimeter(named) / label)) {
    return { points: ring(count, centre, named), dot: LABELLED_RADIUS, isNamed: true };
  }
  const outer = { x: width / 2 - MARGIN, y: height / 2 - MARGIN };
  for (let dot = LARGEST_DOT; dot > SMALLEST_DOT; dot -= 0.5) {
    const points = rings(count, dot * 3, centre, outer);
    if (points !== null) return { points, dot, isNamed: false };
  }
  return { points: rings(count, 0, centre, outer) ?? [], dot: SMALLEST_DOT, isNamed: false };
}

/**
 * As few rings as will do, the places of each in proportion to its length; null where they would come too close.
 * @param {number} count
 * @param {number} step between two places
 * @param {Point} centre
 * @param {Point} outer half axes of the outermost ring
 * @returns {Point[] | null}
 */
function rings(count, step, centre, outer) {
  const innermost = Math.min(0.8, (OWN_HEIGHT + MARGIN) / outer.y);
  for (let number = 1; number <= 40; number++) {
    const apart = (1 - innermost) / number;
    if (apart * outer.y < step) return null;
    const sizes = Array.from({ length: number }, (_, i) => 1 - i * apart);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (step > 0 && total * perimeter(outer) < count * step) continue;
    let left = count;
    return sizes.flatMap((size, i) => {
      const places = i === number - 1 ? left : Math.min(left, Math.round((count * size) / total));
      left -= places;
      return ring(places, centre, { x: outer.x * size, y: outer.y * size });
    });
  }
  return null;
}

/**
 * Places on an ellipse, the first one on top; two of them side by side, for most screens are wide.
 * @param {number} count
 * @param {Point} centre
 * @param {Point} half its axes
 */
function ring(count, centre, half) {
  const first = count <= 2 ? Math.PI : -Math.PI / 2;
  return Array.from({ length: count }, (_, i) => {
    const angle = first + (2 * Math.PI * i) / count;
    return { x: centre.x + half.x * Math.cos(angle), y: centre.y + half.y * Math.sin(angle) };
  });
}

/** Nearly. @param {Point} half axes of the ellipse */
function perimeter(half) {
  return 2 * Math.PI * Math.hypot(half.x, half.y) * Math.SQRT1_2;
}

/**
 * Two lines side by side, so that each direction has its own.
 * @param {Point} from
 * @param {Point} to
 * @param {MapPeer} peer
 * @param {number} thickest
 */
function links(from, to, peer, thickest) {
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const widths = [thickness(peer.sent, thickest), thickness(peer.received, thickest)];
  return [peer.sent, peer.received].flatMap((rate, i) => {
    const isIdle = rate <= 0;
    if (isIdle && (i === 1 || peer.received > 0)) return [];
    const aside = isIdle ? 0 : ((i === 0 ? 1 : -1) * ((widths[0] ?? 0) + (widths[1] ?? 0) + 2)) / 4;
    const [dx, dy] = [(-(to.y - from.y) / length) * aside, ((to.x - from.x) / length) * aside];
    const className = isIdle ? "link" : `link ${i === 0 ? "sent" : "received"}`;
    const [x1, y1, x2, y2] = [from.x + dx, from.y + dy, to.x + dx, to.y + dy];
    return [element("line", { class: className, x1, y1, x2, y2, "stroke-width": widths[i] ?? 1 })];
  });
}

/**
 * @param {SVGElement} svg
 * @param {{ name: string, detail: string }} own
 * @param {readonly MapPeer[]} peers
 */
export function drawMap(svg, own, peers) {
  const width = svg.clientWidth;
  if (width === 0) return;
  const height = peers.length <= 2 ? FLAT_HEIGHT : Math.round(Math.max(250, Math.min(width * 0.95, 430)));
  svg.style.height = `${height}px`;
  const centre = { x: width / 2, y: height / 2 };
  const { points, dot, isNamed } = layOut(peers.length, width, height);
  const lines = element("g", {});
  const hosts = element("g", {});
  points.forEach((point, i) => {
    const peer = peers[i];
    if (peer === undefined) return;
    if (isNamed || peer.sent + peer.received > 0)
      lines.append(...links(centre, point, peer, THICKEST * Math.min(1, dot / LABELLED_RADIUS)));
    const circle = element("circle", {
      class: `host ${peer.kind}`,
      cx: point.x,
      cy: point.y,
      r: dot,
    });
    circle.append(element("title", {}, `${peer.name}, ${peer.detail}`));
    hosts.append(circle);
    if (!isNamed) return;
    const below = point.y >= centre.y - 1;
    hosts.append(
      element("text", { x: point.x, y: point.y + (below ? 24 : -28) }, shortened(peer.name)),
      element("text", { class: "detail", x: point.x, y: point.y + (below ? 38 : -14) }, peer.detail),
    );
  });
  const ownWidth = Math.min(Math.max(own.name.length, own.detail.length) * 7.5 + 28, 190);
  const box = { x: centre.x - ownWidth / 2, y: centre.y - OWN_HEIGHT / 2, width: ownWidth, height: OWN_HEIGHT, rx: 12 };
  hosts.append(
    element("rect", { class: "host own", ...box }),
    element("text", { class: "own-name", x: centre.x, y: centre.y - 2 }, shortened(own.name)),
    element("text", { class: "own-name detail", x: centre.x, y: centre.y + 13 }, own.detail),
  );
  svg.replaceChildren(lines, hosts);
}

/** @param {string} name */
function shortened(name) {
  return name.length > 16 ? `${name.slice(0, 15)}…` : name;
}
