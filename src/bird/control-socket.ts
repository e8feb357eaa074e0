// BIRD's control socket: one command a line; the answer is lines with a four-digit code, `NNNN-text` while more follows, ` text` with
// the code of the line before, `NNNN text` at the end (BIRD's documentation, "Remote control" and reply_codes). Knows no command.
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { HopsackError, messageOf } from "../errors.js";

const ANSWER_LIMIT_MS = 5000;
/** `0001 BIRD 2.0.12 ready.` */
const GREETING_CODE = 1;
const GREETING = /^BIRD (\S+) ready/;
/** 0xxx: done, 1xxx: table entry, 2xxx: heading; 8xxx: error at run time, 9xxx: error in the command. */
const FIRST_ERROR_CODE = 8000;

export interface ReplyLine {
  readonly code: number;
  readonly text: string;
}

interface Question {
  readonly lines: ReplyLine[];
  settle(answer: ReplyLine[] | HopsackError): void;
}

/** Puts the lines of answers together, with the code that a line without one inherits. */
export class ReplyParser {
  #code = 0;

  /** @returns undefined for what belongs to no answer: BIRD's own messages (`+`) */
  parse(line: string): (ReplyLine & { readonly isLast: boolean }) | undefined {
    const coded = /^([0-9]{4})([ -])(.*)$/.exec(line);
    if (coded !== null) {
      this.#code = Number(coded[1]);
      return { code: this.#code, text: coded[3] ?? "", isLast: coded[2] === " " };
    }
    return line.startsWith(" ") ? { code: this.#code, text: line.slice(1), isLast: false } : undefined;
  }
}

/** A conversation that lasts as long as BIRD does: its end is how we notice BIRD's. */
export class ControlSocket {
  readonly #socket: Socket;
  readonly #parser = new ReplyParser();
  readonly #questions: Question[] = [];
  #ending: HopsackError | null = null;
  #version = "";

  private constructor(socket: Socket, onEnd: () => void) {
    this.#socket = socket;
    createInterface({ input: socket })
      .on("line", (line) => this.#hear(line))
      .on("error", () => {}); // the socket's, once more: `close` follows
    socket.on("close", () => {
      this.#fail("BIRD closed its control socket");
      onEnd();
    });
    socket.on("error", () => {}); // `close` follows
  }

  /** Resolves with the greeting heard. @param onEnd called once, whoever ends it. @throws TOOL_FAILED when nobody answers */
  static async open(path: string, onEnd: () => void): Promise<ControlSocket> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", (cause) => reject(failed(`nobody answers on BIRD's control socket ${path}`, cause)));
    });
    const control = new ControlSocket(socket, onEnd);
    const [greeting] = await control.#answer();
    const version = greeting?.code === GREETING_CODE ? GREETING.exec(greeting.text)?.[1] : undefined;
    if (version === undefined) {
      control.close();
      throw failed(`what answers on ${path} is no BIRD`);
    }
    control.#version = version;
    return control;
  }

  /** BIRD's: `2.0.12`. */
  get version(): string {
    return this.#version;
  }

  /** The lines of the answer. @throws TOOL_FAILED with BIRD's words when it refuses, ends, or is silent */
  async ask(command: string): Promise<ReplyLine[]> {
    this.#socket.write(`${command}\n`);
    const lines = await this.#answer();
    const refusal = lines.find(({ code }) => code >= FIRST_ERROR_CODE);
    if (refusal !== undefined) throw failed(`BIRD refused "${command}": ${refusal.text}`);
    return lines;
  }

  close(): void {
    this.#socket.destroy();
  }

  #answer(): Promise<ReplyLine[]> {
    return new Promise((resolve, reject) => {
      if (this.#ending !== null) return reject(this.#ending);
      const timer = setTimeout(() => {
        this.#fail(`BIRD did not answer within ${ANSWER_LIMIT_MS} ms`);
        this.close();
      }, ANSWER_LIMIT_MS);
      const settle = (answer: ReplyLine[] | HopsackError): void => {
        clearTimeout(timer);
        if (answer instanceof HopsackError) reject(answer);
        else resolve(answer);
      };
      this.#questions.push({ lines: [], settle });
    });
  }

  #hear(line: string): void {
    const parsed = this.#parser.parse(line);
    const [question] = this.#questions;
    if (parsed === undefined || question === undefined) return;
    question.lines.push({ code: parsed.code, text: parsed.text });
    if (!parsed.isLast) return;
    this.#questions.shift();
    question.settle(question.lines);
  }

  #fail(problem: string): void {
    this.#ending ??= failed(problem);
    for (const { settle } of this.#questions.splice(0)) settle(this.#ending);
  }
}

function failed(problem: string, cause?: unknown): HopsackError {
  const words = cause === undefined ? problem : `${problem} (${messageOf(cause)})`;
  return new HopsackError("TOOL_FAILED", `${words}; it is tried again`, { retryable: true, cause });
}
