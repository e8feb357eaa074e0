// Looks up keys of a JSON object as Go's encoding/json does, because people write flannel's files in any case.
// Used by the parsers of lease/ and store/, and by backends for their own options.

export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value under `name`, whatever the case of the key; of several spellings the last one counts, as in Go. */
export function field(object: JsonObject, name: string): unknown {
  const wanted = name.toLowerCase();
  const key = Object.keys(object).findLast((key) => key === name || key.toLowerCase() === wanted);
  return key === undefined ? undefined : object[key];
}
