// The datagram by which daemons ask each other through the overlay whether packets arrive, and its answer: the question sent back.
//
//   0        4      5        8          16
//   | "HOPS" | kind | zeros  | token    | padding …
//
// Padding is for whoever asks how long a packet may be. An answer is never longer than its question.

const MAGIC = Uint8Array.from("HOPS", (letter) => letter.charCodeAt(0));
const KIND_OFFSET = 4;
const TOKEN_OFFSET = 8;
const TOKEN_BYTES = 8;
export const PROBE_BYTES = TOKEN_OFFSET + TOKEN_BYTES;

const QUESTION = 1;
const ANSWER = 2;
const KINDS = new Map<number | undefined, "question" | "answer">([
  [QUESTION, "question"],
  [ANSWER, "answer"],
]);

export interface Probe {
  readonly kind: "question" | "answer";
  /** What the asking side recognizes its question by. */
  readonly token: bigint;
}

/** @param length bytes, at least PROBE_BYTES */
export function encodeQuestion(token: bigint, length = PROBE_BYTES): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(MAGIC);
  bytes[KIND_OFFSET] = QUESTION;
  new DataView(bytes.buffer).setBigUint64(TOKEN_OFFSET, token);
  return bytes;
}

export function answerTo(question: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(question);
  bytes[KIND_OFFSET] = ANSWER;
  return bytes;
}

/** undefined for anything else. */
export function parseProbe(bytes: Uint8Array): Probe | undefined {
  if (bytes.length < PROBE_BYTES || MAGIC.some((octet, index) => bytes[index] !== octet)) return undefined;
  const kind = KINDS.get(bytes[KIND_OFFSET]);
  if (kind === undefined) return undefined;
  return { kind, token: new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(TOKEN_OFFSET) };
}
