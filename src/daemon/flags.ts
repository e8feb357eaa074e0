// One command-line flag and the environment variable it can be instead. Used by options.ts and store-options.ts, and by
// the commands of cli/ that share flags with the daemon.
import { Option } from "commander";
import { HopsackError } from "../errors.js";
import type { ValueParser } from "./option-values.js";

export interface Flag {
  readonly name: string;
  /** Placeholder of the value in --help; null = a switch. */
  readonly value: string | null;
  readonly help: string;
}

/** The options of a command line as commander hands them over. */
export type GivenOptions = Readonly<Record<string, unknown>>;

/** The environment variable of a flag: `--lease-ttl` is HOPSACKD_LEASE_TTL. */
export function variableOf(flagName: string): string {
  return `HOPSACKD_${flagName.toUpperCase().replaceAll("-", "_")}`;
}

export function commandOption({ name, value, help }: Flag): Option {
  return new Option(`--${name} ${value === null ? "[BOOL]" : `<${value}>`}`, help);
}

/** What the user wrote to give the flag, without its value: `--store` or HOPSACKD_STORE; null when neither is there. */
export function originOf(flag: Flag, given: GivenOptions, env: NodeJS.ProcessEnv): string | null {
  if (given[keyOf(flag)] !== undefined) return `--${flag.name}`;
  const variable = variableOf(flag.name);
  return env[variable] === undefined ? null : variable;
}

/**
 * The value of one flag, from the command line or else the environment; null when neither has it.
 * @throws BAD_OPTION naming flag or variable, value, and what is accepted
 */
export function readValue<T>(
  flag: Flag,
  parser: ValueParser<T>,
  given: GivenOptions,
  env: NodeJS.ProcessEnv,
): T | null {
  const fromFlag = given[keyOf(flag)];
  const variable = variableOf(flag.name);
  const text = fromFlag === true ? "true" : (fromFlag ?? env[variable]);
  if (typeof text !== "string") return null;
  return parseValue(fromFlag === undefined ? `${variable}=` : `--${flag.name}`, text, parser);
}

/** @param origin what stands before the text: `--lease-ttl` or `HOPSACKD_LEASE_TTL=` @throws BAD_OPTION */
export function parseValue<T>(origin: string, text: string, parser: ValueParser<T>): T {
  const value = parser.parse(text);
  if (value !== undefined) return value;
  const shown = origin.endsWith("=") ? `${origin}${text}` : `${origin} ${text === "" ? '""' : text}`;
  throw new HopsackError("BAD_OPTION", `${shown} is not accepted; give ${parser.accepted}`);
}

/** commander's key of the flag: `leaseTtl` for `--lease-ttl`. */
function keyOf({ name }: Flag): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
