// lease/json-object: keys are found as Go finds them.
import t from "tap";
import { field, isJsonObject } from "../../../src/lease/json-object.js";

t.test("finds a key in any case and takes the last of several spellings", async (t) => {
  t.equal(field({ port: 1, Port: 2, PORT: 3 }, "Port"), 3);
  t.equal(field({ other: 1 }, "Port"), undefined);
  t.equal(field({}, "toString"), undefined, "nothing inherited is a key");
});

t.test("objects are neither null nor lists", async (t) => {
  t.ok(isJsonObject({}));
  for (const value of [null, [], "x", 1, undefined]) t.notOk(isJsonObject(value));
});
