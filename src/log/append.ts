// Files that grow by whole lines: a line that only fits in part is taken back.
import { fileError } from "../base/errors.ts";
import { writeWhole } from "../base/write.ts";

/** Bytes that logs are read by. */
export const CHUNK_BYTES = 65536;

/** A file that lines are appended to. */
export interface Appended extends Disposable {
  /** Whether it is a file that can be read back and synced: no pipe, no terminal. */
  readonly regular: boolean;
  /** Appends bytes whole, or throws UserError and leaves the file as it was. */
  append(bytes: Uint8Array): void;
  /** Waits until the disk has them. */
  sync(): void;
}

/** Opens a file to append to, made where it is missing; throws UserError where the system refuses. */
export function appendTo(path: string): Appended {
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
    regular,
    append(bytes) {
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
    sync: () => refused(() => regular && file.syncDataSync()),
    [Symbol.dispose]: () => file.close(),
  };
}
