// Runs every test, on a WebGPU adapter that it installs where it can: no test of a kernel is ever skipped for want of one.
// The last line is the count of tests that passed and failed.

/** True where this machine has an adapter; asked in a process of its own, since a driver is looked for only once. */
async function hasAdapter(): Promise<boolean> {
  const ask = "Deno.exit(await navigator.gpu.requestAdapter() ? 0 : 1)";
  const env = Deno.build.os === "linux" ? { DENO_WEBGPU_BACKEND: "vulkan" } : undefined;
  const { code } = await new Deno.Command(Deno.execPath(), { args: ["eval", ask], env, stderr: "null" })
    .output();
  return code === 0;
}

/** Runs a command with its output shown; false where it fails or is not there. */
async function succeeds(command: string, ...args: string[]): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args, stdout: "inherit", stderr: "inherit" }).spawn().status)
      .success;
  } catch {
    return false;
  }
}

async function installAdapter(): Promise<boolean> {
  const osRelease = await Deno.readTextFile("/etc/os-release").catch(() => "");
  if (!/^(ID|ID_LIKE)=.*(debian|ubuntu)/m.test(osRelease)) return false;
  console.log(
    "No WebGPU adapter: installing Mesa's software Vulkan driver, and jq and parallel for the tests of the README's " +
      "recipes (apt-get install mesa-vulkan-drivers libvulkan1 jq parallel).",
  );
  const root = Deno.uid() === 0 ? [] : ["sudo"];
  const apt = (...args: string[]) => {
    const [command, ...rest] = [...root, "apt-get", ...args];
    return succeeds(command, ...rest);
  };
  const install = (...packages: string[]) =>
    apt("-qq", "-y", "--no-install-recommends", "install", ...packages);
  if (!await apt("-qq", "update") || !await install("mesa-vulkan-drivers", "libvulkan1")) return false;
  // Tests of the README's recipes want them; where they cannot be had, those tests are ignored.
  await install("jq", "parallel");
  return true;
}

if (!await hasAdapter() && !(await installAdapter() && await hasAdapter())) {
  console.error(
    "No WebGPU adapter: install the GPU's Vulkan driver, or Mesa's software one (package mesa-vulkan-drivers).",
  );
  console.log("0 passed, 1 failed");
  Deno.exit(1);
}

/** Test files of a folder and those below it, in order of their names. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(folder));
  entries.sort((a, b) => a.name < b.name ? -1 : 1);
  const paths = entries.map(({ name, isDirectory }) => {
    if (isDirectory) return filesIn(`${folder}/${name}`);
    return name.endsWith("_test.ts") ? [`${folder}/${name}`] : [];
  });
  return (await Promise.all(paths)).flat();
}

interface Counted {
  readonly code: number;
  readonly passed: number;
  readonly failed: number;
}

/** Tests remember trusted files here, not in the home of whoever runs them. */
const dataHome = await Deno.makeTempDir({ prefix: "heed-data-" });

/** Runs some tests in a process of their own; what they print goes to `show`. */
async function run(tests: readonly string[], show: (text: string) => void): Promise<Counted> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["test", "--allow-all", "--no-check", ...tests],
    env: { NO_COLOR: "1", XDG_DATA_HOME: dataHome },
    stdout: "piped",
  }).spawn();
  let tail = "";
  for await (const chunk of process.stdout.pipeThrough(new TextDecoderStream())) {
    show(chunk);
    tail = (tail + chunk).slice(-4096);
  }
  const { code } = await process.status;
  const counts = [...tail.matchAll(/(\d+) passed.*?\| (\d+) failed/g)].at(-1);
  const [passed, failed] = counts ? [Number(counts[1]), Number(counts[2])] : [0, 0];
  // A run that fails without a failed test (a file that does not load, a leak) is a failure all the same.
  return { code, passed, failed: code !== 0 && failed === 0 ? 1 : failed };
}

const print = (text: string): void => {
  const bytes = new TextEncoder().encode(text);
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
};

// Two at a time: compiling a shader and the oracles keep one core busy each. Every other file, so that both have some of
// each room; the second's output follows the first's.
const files = await filesIn("tests");
const groups = Deno.args.length ? [Deno.args] : [0, 1].map((half) => files.filter((_, i) => i % 2 === half));
let held = "";
const results = await Promise.all(
  groups.map((tests, i) => run(tests, i === 0 ? print : (text) => held += text)),
);
print(held);
const sum = (of: (result: Counted) => number) => results.reduce((total, result) => total + of(result), 0);
await Deno.remove(dataHome, { recursive: true });
console.log(`${sum(({ passed }) => passed)} passed, ${sum(({ failed }) => failed)} failed`);
Deno.exit(results.find(({ code }) => code !== 0)?.code ?? 0);
