// A screen that is drawn again and again, until Ctrl-C or for so many frames. On a terminal it has the whole window, and gives it back as
// it was; elsewhere (a pipe, a file) one frame follows the other.
import { setTimeout as delay } from "node:timers/promises";
import { untilEnded } from "./interrupt.js";
import { visibleWidth } from "./output.js";

const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const CLEAR = "\x1b[H\x1b[J";

export interface Show {
  readonly seconds: number;
  /** null: until it is interrupted. */
  readonly frames: number | null;
  /** What is to be seen now, with a newline at its end. */
  draw(): Promise<string>;
}

/** Until Ctrl-C. */
export async function showLive(stream: NodeJS.WriteStream, { seconds, frames, draw }: Show): Promise<void> {
  await untilEnded(async (ending) => {
    let last = "";
    if (stream.isTTY) stream.write(ENTER);
    try {
      for (let frame = 1; !ending.aborted; frame++) {
        last = await draw();
        stream.write(stream.isTTY ? fitted(last, stream) : last);
        if (frame === frames) break;
        await delay(1000 * seconds, undefined, { signal: ending }).catch(() => {});
      }
    } finally {
      if (stream.isTTY) stream.write(ending.aborted ? LEAVE : `${LEAVE}${last}`);
    }
  });
}

/** In one write, so that nothing flickers; what is too much for the window is left out at the end. */
function fitted(frame: string, { columns, rows }: { readonly columns: number; readonly rows: number }): string {
  let room = rows;
  const lines = frame
    .trimEnd()
    .split("\n")
    .filter((line) => {
      room -= Math.max(1, Math.ceil(visibleWidth(line) / columns));
      return room >= 0;
    });
  return `${CLEAR}${lines.join("\r\n")}`;
}
