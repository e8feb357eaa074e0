// Notices changes in a folder by inotify. The folder, not a file: a file's own watch is lost when the file is replaced.
import { watch } from "node:fs";
import { messageOf } from "../errors.js";

/**
 * Calls `onChange(name)` for each entry that changes (null: anything may have) until the returned function is called.
 * Where the kernel refuses to watch, it warns, and the caller's periodic listing must do.
 */
export function watchFolder(
  folder: string,
  onChange: (name: string | null) => void,
  onWarning: (message: string) => void,
): () => void {
  try {
    const watcher = watch(folder, (_event, name) => onChange(name));
    watcher.on("error", (error) =>
      onWarning(`the watch on ${folder} failed (${messageOf(error)}); listing it at intervals`),
    );
    return () => watcher.close();
  } catch (error) {
    onWarning(`${folder} cannot be watched (${messageOf(error)}); listing it at intervals`);
    return () => undefined;
  }
}
