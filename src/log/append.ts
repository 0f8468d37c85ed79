// Files that grow by whole lines: a line that only fits in part is taken back.
import { fileError } from "../base/errors.ts";
import { writeWhole } from "../base/write.ts";

/** Bytes that logs are read by. */
export const CHUNK_BYTES = 65536;

/** Opens a file to append to, made where it is missing; throws UserError where the system refuses. */
export function appendTo(path: string) {
  const refused = <T>(act: () => T): T => {
    try {
      return act();
    } catch (error) {
      throw fileError(path, error);
    }
  };
  const file = refused(() => Deno.openSync(path, { append: true, create: true }));
  const regular = refused(() => file.statSync().isFile);
  return {
    /** Whether it is a file that can be read back and synced: no pipe, no terminal. */
    regular,
    /** Appends bytes whole, or throws UserError and leaves the file as it was. */
    append(bytes: Uint8Array): void {
      const size = regular ? file.statSync().size : 0;
      refused(() => {
        try {
          writeWhole(file, bytes);
        } catch (error) {
          try {
            if (regular) file.truncateSync(size);
          } catch { /* Why nothing could be written says more. */ }
          throw error;
        }
      });
    },
    /** Waits until the disk has them. */
    sync: () => refused(() => regular && file.syncDataSync()),
    [Symbol.dispose]: () => file.close(),
  };
}
