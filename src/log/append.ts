// Appends to files that consist of complete lines. A write that fails halfway is undone.
import { fileError } from "../base/errors.ts";
import { writeWhole } from "../base/write.ts";

/** The number of bytes that are read from a log at a time. */
export const CHUNK_BYTES = 65536;

/** Opens a file for appending, creating it if missing; throws UserError on a system error. */
export function appendTo(path: string) {
  const userErrors = <T>(act: () => T): T => {
    try {
      return act();
    } catch (error) {
      throw fileError(path, error);
    }
  };
  const file = userErrors(() => Deno.openSync(path, { append: true, create: true }));
  const regular = userErrors(() => file.statSync().isFile);
  return {
    /** Whether the file is a regular file, which can be read back and synced, and not a pipe or a terminal. */
    regular,
    /** Appends all bytes, or throws UserError and leaves the file as it was. */
    append(bytes: Uint8Array): void {
      const size = regular ? file.statSync().size : 0;
      userErrors(() => {
        try {
          writeWhole(file, bytes);
        } catch (error) {
          try {
            if (regular) file.truncateSync(size);
          } catch { /* The first error is more informative. */ }
          throw error;
        }
      });
    },
    /** Flushes the data to disk. */
    sync: () => userErrors(() => regular && file.syncDataSync()),
    [Symbol.dispose]: () => file.close(),
  };
}
