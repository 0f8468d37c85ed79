// The worker threads of a CPU device. They share its memory; the main thread is thread 0.
import { Worker } from "node:worker_threads";
import type { Blas } from "./blas.ts";
import { type Heap, WORDS } from "./heap.ts";
import { type Answer, type Message, workerText } from "./worker.ts";

/** Seconds that a worker may take to answer a message. */
const PATIENCE = 30;

/** Worker threads that run the programs of one device. */
export interface Pool extends Disposable {
  /** Makes the workers instantiate a program's module; resolves when all workers have done so. */
  load(program: number, module: WebAssembly.Module): Promise<void>;
  /** Makes the workers forget a program. */
  unload(program: number): void;
  /**
   * Runs a job on all threads; `run` is the main thread's part. Job 2 p runs program p, and job 2 p + 1 profiles it.
   *
   * @throws {Error} if a thread fails; the message names the thread
   */
  run(job: number, run: () => void): void;
}

/** Starts `threads` - 1 workers, which call `blas` for matrix products. */
export function pool(heap: Heap, threads: number, blas?: Blas): Pool {
  const words = new Int32Array(heap.memory.buffer);
  const at = (address: number): number => address / 4;
  const workers = Array.from({ length: threads - 1 }, (_, i) => {
    const worker = new Worker(workerText(), {
      eval: true,
      workerData: { memory: heap.memory, thread: i + 1, words: WORDS, blas },
    });
    // The workers do not keep the process running.
    worker.unref();
    return worker;
  });
  let broken: string | undefined;
  const wake = (): void => {
    Atomics.add(words, at(WORDS.wakes), 1);
    Atomics.notify(words, at(WORDS.wakes));
  };
  const send = (message: Message): void => {
    workers.forEach((worker, i) => {
      Atomics.add(words, at(WORDS.messages) + i + 1, 1);
      worker.postMessage(message);
    });
    wake();
  };
  const answerOf = (worker: Worker, program: number, thread: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const end = (error?: Error): void => {
        worker.off("message", onMessage);
        worker.off("error", end);
        clearTimeout(timer);
        worker.unref();
        if (error) {
          reject(new Error(`CPU thread ${thread} did not start: ${error.message}`, { cause: error }));
        } else resolve();
      };
      const onMessage = (answer: Answer): void => {
        if (answer.program === program) end(answer.error ? new Error(answer.error) : undefined);
      };
      const timer = setTimeout(() => end(new Error(`it gave no answer in ${PATIENCE} s.`)), 1000 * PATIENCE);
      worker.on("message", onMessage);
      worker.on("error", end);
      worker.ref();
    });
  /** Waits for the workers after a failed run, and makes the barrier ready for the next run. */
  const recover = (): void => {
    Atomics.compareExchange(words, at(WORDS.failed), 0, 1);
    Atomics.notify(words, at(WORDS.generation));
    for (let tries = 0, busy; (busy = Atomics.load(words, at(WORDS.busy))) > 0; tries++) {
      if (tries === 5) {
        const runs = Atomics.load(words, at(WORDS.runs));
        const silent = workers.map((_, i) => i + 1).filter((t) =>
          Atomics.load(words, at(WORDS.ended) + t) !== runs
        );
        broken = `The CPU device stopped: no answer from thread ${silent.join(", ")} of ${threads}.`;
        throw new Error(broken);
      }
      Atomics.wait(words, at(WORDS.busy), busy, 1000);
    }
    for (const word of [WORDS.arrived, WORDS.sleepers, WORDS.failed]) Atomics.store(words, at(word), 0);
  };
  const failure = (): string | undefined => {
    const failed = Atomics.load(words, at(WORDS.failed));
    if (failed <= 1) return undefined;
    const length = Atomics.load(words, at(WORDS.error));
    const text = new Uint8Array(heap.memory.buffer, WORDS.error + 4, length).slice();
    return `CPU thread ${failed - 1} failed: ${new TextDecoder().decode(text)}`;
  };
  return {
    async load(program, module) {
      const answers = workers.map((worker, i) => answerOf(worker, program, i + 1));
      send({ program, module });
      await Promise.all(answers);
    },
    unload: (program) => send({ program }),
    run(job, run) {
      if (broken) throw new Error(broken);
      Atomics.add(words, at(WORDS.busy), workers.length);
      Atomics.store(words, at(WORDS.job), job);
      Atomics.add(words, at(WORDS.runs), 1);
      wake();
      try {
        run();
      } catch (error) {
        const text = failure();
        recover();
        throw text ? new Error(text, { cause: error }) : error;
      }
    },
    [Symbol.dispose]() {
      broken = "This device is closed.";
      for (let i = 1; i < threads; i++) Atomics.add(words, at(WORDS.messages) + i, 1);
      wake();
      for (const worker of workers) worker.terminate();
    },
  };
}
