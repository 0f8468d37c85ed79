// The function of a worker thread. It waits for jobs in the shared memory, and reads a message whenever a program is
// compiled or closed. `workerMain` is converted to text, so it may use nothing that is defined outside of it.
import { type Blas, openSgemm } from "./blas.ts";
import type { WORDS } from "./heap.ts";

/** A message that makes a worker instantiate the module of a program, or forget the program if there is no module. */
export type Message = { readonly program: number; readonly module?: WebAssembly.Module };

/** A worker's answer to a message. */
export type Answer = { readonly program: number; readonly error?: string };

/** The data that a worker gets when it starts. */
interface WorkerData {
  readonly memory: WebAssembly.Memory;
  readonly thread: number;
  readonly words: typeof WORDS;
  readonly blas?: Blas;
}

/** The port to the main thread. */
interface Port {
  readonly on: (type: "message", listener: (message: Message) => void) => void;
  readonly postMessage: (answer: Answer) => void;
}

function workerMain(parentPort: Port, data: WorkerData, open: typeof openSgemm): void {
  const { memory, thread, words, blas } = data;
  const shared = new Int32Array(memory.buffer);
  const at = (address: number) => address / 4;
  const programs = new Map<number, Record<string, (thread: number) => void>>();
  let [seen, seenRuns] = [0, 0];
  const fail = (error: unknown): void => {
    // Only the first thread that fails reports its error; the other threads then trap at the barrier.
    if (Atomics.compareExchange(shared, at(words.failed), 0, thread + 1) !== 0) return;
    const text = new TextEncoder().encode(String((error as Error)?.stack ?? error)).slice(0, 2000);
    new Uint8Array(memory.buffer).set(text, words.error + 4);
    Atomics.store(shared, at(words.error), text.length);
    Atomics.notify(shared, at(words.generation));
  };
  /** Runs jobs until there is a message. The main thread waits until every job has ended, so no job is missed. */
  const work = (): void => {
    while (Atomics.load(shared, at(words.messages) + thread) === 0) {
      for (let spin = 0; spin < 20000 && Atomics.load(shared, at(words.wakes)) === seen; spin++);
      Atomics.wait(shared, at(words.wakes), seen);
      seen = Atomics.load(shared, at(words.wakes));
      const runs = Atomics.load(shared, at(words.runs));
      if (runs === seenRuns) continue;
      seenRuns = runs;
      const job = Atomics.load(shared, at(words.job));
      try {
        programs.get(job >> 1)![job % 2 ? "profile" : "run"](thread);
      } catch (error) {
        fail(error);
      }
      Atomics.store(shared, at(words.ended) + thread, runs);
      Atomics.sub(shared, at(words.busy), 1);
      Atomics.notify(shared, at(words.busy));
    }
  };
  const nothing = () => {};
  const sgemm = blas ? open(blas, memory) : nothing;
  parentPort.on("message", ({ program, module }) => {
    Atomics.sub(shared, at(words.messages) + thread, 1);
    try {
      const env = { memory, host: nothing, mark: nothing, sgemm };
      if (module) programs.set(program, new WebAssembly.Instance(module, { env }).exports as never);
      else programs.delete(program);
      parentPort.postMessage({ program });
    } catch (error) {
      parentPort.postMessage({ program, error: String(error) });
    }
    work();
  });
}

/** Returns the source text of a worker. node:worker_threads evaluates it, so no file is read and no permission is needed. */
export const workerText = (): string => `
const { parentPort, workerData } = require("node:worker_threads");
(${workerMain})(parentPort, workerData, ${openSgemm});
`;
