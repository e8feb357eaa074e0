// Writes a small file so that readers see the old or the new text, never half of it. Used for subnet.env and lease files.
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** The hidden name under which the new text waits beside `path`; one writer per path at a time. */
function temporaryPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.tmp`);
}

/** Temp file, fsync, rename; the mode is set whatever the umask. @throws the system's error, the temp file removed */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const temporary = temporaryPath(path);
  try {
    const file = await open(temporary, "w", mode);
    try {
      await file.chmod(mode);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}
