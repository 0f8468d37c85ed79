// Power cuts: deno task prove_power_cuts [CUTS] [--without-sync]
//
// A run trains on an ext4 file system of default options on a loop device. At random moments, while it writes, the file
// behind the device is copied: what had reached the device by then is what a power cut would have left, for the page cache
// of the file system is not in it. Nothing pauses, syncs or otherwise tells the run. The file lies on XFS and the copy is a
// reflink, which is made between two writes of the loop device: a copy that reads while others write would mix states that
// no disk ever had. Each copy is then mounted, which replays its journal, and must be clean for fsck; the run in it must
// verify, hold every record up to its last checkpoint, and resumed to its end equal the run that nobody cut. Every second
// run was killed before, and is cut after it went on.
import assert from "node:assert/strict";
import { checkpoint, filesOf, latest, logOf, taskArguments, timeless } from "../scripts/harness.ts";

const CUTS_A_RUN = 5;
const STEPS = 600;
const CONFIG = `name: cut
device: cpu
data: { files: [text.txt] }
model: { context: 16, dim: 16, layers: 1, heads: 2 }
train: { steps: ${STEPS}, batch: 4 }
eval: { every: 40, batches: 2 }
track: [{ select: ["param:**"], every: 5 }]
output: { checkpoint_every: 20 }
sample: { prompt: "The ", tokens: 10 }
`;
const TEXT = Array.from({ length: 500 }, (_, i) => `The number ${i} follows ${i - 1}.\n`).join("");

/** Runs a command; throws with what it said where it fails. */
async function sh(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  const text = new TextDecoder().decode(stdout);
  if (!success) throw new Error(`${command} ${args.join(" ")}: ${text}${new TextDecoder().decode(stderr)}`);
  return text;
}

/** What keeps this machine from cutting its power, or undefined. */
async function missing(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return `this is ${Deno.build.os}`;
  if (Deno.uid() !== 0) return "this is not root";
  for (const tool of ["mkfs.ext4", "mkfs.xfs", "losetup", "fsck.ext4"]) {
    if (!await sh("which", tool).then(() => true, () => false)) return `${tool} is not installed`;
  }
  return await sh("losetup", "-f").then(() => undefined, () => "there is no free loop device");
}

/** Mounts an image for as long as `body` runs. */
async function mounted<T>(image: string, at: string, body: () => Promise<T>): Promise<T> {
  await Deno.mkdir(at, { recursive: true });
  await sh("mount", "-o", "loop", image, at);
  try {
    return await body();
  } finally {
    await sh("umount", at);
  }
}

/** A script of heed's in a folder, with the permissions of its task. */
function heed(name: "train" | "verify_load", args: readonly string[], cwd: string, preload: string[] = []) {
  const [run, ...rest] = taskArguments(name);
  const env = { NO_COLOR: "1" };
  return new Deno.Command(Deno.execPath(), {
    args: [run, ...preload, ...rest, ...args],
    cwd,
    env,
    stdout: "piped",
    stderr: "piped",
  });
}

/** What two runs must agree in: the log without times, and every byte of the last checkpoint. */
const outcome = (run: string): unknown => [timeless(logOf(run)), filesOf(checkpoint(run))];

const pause = (ms: number) => new Promise((resume) => setTimeout(resume, ms));

/**
 * Trains on the file system at `disk`, and copies the image behind it at random moments while the run writes; with `again`
 * the run was killed before, and it is the resumed one that is cut.
 */
async function cutWhileTraining(disk: string, image: string, preload: string[], again: boolean) {
  await Deno.writeTextFile(`${disk}/cut.yaml`, CONFIG);
  await Deno.writeTextFile(`${disk}/text.txt`, TEXT);
  // Before the run, not during it: the text has been there for long.
  await sh("sync");
  let over = false;
  const start = (...args: string[]) => {
    over = false;
    const process = heed("train", args, disk, preload).spawn();
    return { process, end: process.output().finally(() => over = true) };
  };
  let run = start("cut.yaml");
  const newest = () => {
    try {
      return checkpoint(latest(disk));
    } catch {
      return undefined;
    }
  };
  while (!over && newest() === undefined) await pause(5);
  if (again && !over) {
    await pause(Math.random() * 200);
    run.process.kill("SIGKILL");
    await run.end;
    run = start("--resume", latest(disk));
    // It has gone on to a checkpoint of its own.
    for (const step = newest(); !over && newest() === step;) await pause(2);
  }
  const copies: string[] = [];
  while (copies.length < CUTS_A_RUN) {
    await pause(Math.random() * 400);
    if (over) break;
    const copy = `${image}.${copies.length}`;
    await sh("cp", "--reflink=always", image, copy);
    copies.push(copy);
  }
  const { success, stderr } = await run.end;
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return { copies, expected: outcome(latest(disk)) };
}

/** What of a run is lost, in a line; undefined where nothing is. */
async function lossOf(disk: string, expected: unknown): Promise<string | undefined> {
  const run = latest(disk);
  const { step } = JSON.parse(Deno.readTextFileSync(`${checkpoint(run)}/state.json`));
  const steps = Array.from(
    logOf(run).matchAll(/^\{"v":\d+,"type":"step","step":(\d+),/gm),
    ([, step]) => Number(step),
  );
  const hole = steps.findIndex((step, i) => step !== i + 1);
  const whole = hole < 0 ? steps.length : hole;
  if (whole < step) return `the checkpoint is of step ${step}, the log has ${whole} steps`;
  const verified = await heed("verify_load", [run], disk).output();
  const failed = new TextDecoder().decode(verified.stdout).match(/^FAIL .*$/m);
  if (!verified.success) return `verify_load: ${failed?.[0]}`;
  // A run that had ended when the power was cut has nothing to go on with.
  if (!/^\{"v":\d+,"type":"done",/m.test(logOf(run))) {
    const resumed = await heed("train", ["--resume", run], disk).output();
    if (!resumed.success) return `--resume: ${new TextDecoder().decode(resumed.stderr)}`;
  }
  try {
    assert.deepEqual(outcome(run), expected);
  } catch {
    return "the resumed run is not the one that nobody cut";
  }
}

/** Whether Ctrl-C was pressed: what is mounted has to go again first. */
let stopped = false;

async function prove(cuts: number, preload: string[]): Promise<number> {
  // The device is in memory; what a script may read without asking is not below /dev.
  const folder = await Deno.makeTempDir({ prefix: "heed-power-cuts-" });
  const memory = await Deno.makeTempDir({ prefix: "heed-power-cuts-", dir: "/dev/shm" });
  const lost: string[] = [];
  try {
    await sh("truncate", "-s", "8G", `${memory}/xfs.img`);
    await sh("mkfs.xfs", "-q", "-m", "reflink=1", `${memory}/xfs.img`);
    await mounted(`${memory}/xfs.img`, `${folder}/xfs`, async () => {
      for (let done = 0, runs = 0; done < cuts && !stopped; runs++) {
        const image = `${folder}/xfs/disk.img`;
        await sh("truncate", "-s", "1G", image);
        await sh("mkfs.ext4", "-q", image);
        const disk = `${folder}/disk`;
        const cut = () => cutWhileTraining(disk, image, preload, runs % 2 === 1);
        const { copies, expected } = await mounted(image, disk, cut);
        for (const copy of copies.slice(0, cuts - done)) {
          if (stopped) break;
          const loss = await mounted(copy, disk, () => lossOf(disk, expected));
          await sh("fsck.ext4", "-fn", copy);
          done++;
          if (loss !== undefined) lost.push(loss);
          console.log(`cut ${done}/${cuts}: ${loss ?? "nothing lost"}`);
        }
        for (const path of [image, ...copies]) await Deno.remove(path);
      }
    });
  } finally {
    for (const path of [folder, memory]) await Deno.remove(path, { recursive: true });
  }
  return lost.length;
}

const wanting = await missing();
if (wanting !== undefined) {
  console.error(
    `prove_power_cuts: ${wanting}; expected Linux, root, a loop device, e2fsprogs and xfsprogs.`,
  );
  Deno.exit(2);
}
const without = Deno.args.includes("--without-sync");
const cuts = Number(Deno.args.find((arg) => /^\d+$/.test(arg)) ?? 50);
const preload = without ? ["--preload", new URL("without_sync.ts", import.meta.url).pathname] : [];
for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => stopped = true);
const lost = await prove(cuts, preload);
if (stopped) Deno.exit(130);
console.log(`${cuts} power cuts${without ? " without the log's sync" : ""}: ${lost} lost records`);
// Without the sync nearly all must: else the cuts prove nothing.
Deno.exit(without ? (lost >= 0.9 * cuts ? 0 : 1) : (lost === 0 ? 0 : 1));
