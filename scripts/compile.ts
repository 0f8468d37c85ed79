// Builds one binary per script, with kernels, configurations and tables inside: deno task compile train verify_load
import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import project from "../deno.json" with { type: "json" };
import { cli, didYouMean, reportProgress, UserError, VERSION } from "../mod.ts";

const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-pc-windows-msvc",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
];

/** Tasks that run a script, and the permissions that each declares. */
const SCRIPTS = new Map(
  Object.entries(project.tasks).flatMap(([name, { command }]) => {
    const [, flags, script] = command.match(/^deno run (.*) scripts\/(\w+)\.ts$/) ?? [];
    return script !== name || name === "compile" ? [] : [[name, flags.split(" ")] as const];
  }),
);

const command: cli.Command = {
  name: "compile",
  summary: "builds one binary per script, with that script's permissions",
  usage: "[script ...] [options]",
  options: {
    target: { type: "string", value: "TARGET", help: "another platform, such as aarch64-apple-darwin" },
    out: { type: "string", value: "FOLDER", help: "the folder of the binaries", default: "dist" },
  },
  examples: ["deno task compile", "deno task compile train generate --target x86_64-pc-windows-msvc"],
};

/** Returns the file name of a script's binary, for example heed-verify-load for verify_load. */
const binaryOf = (script: string): string => `heed-${script.replaceAll("_", "-")}`;

/** Returns the absolute path of a file in the project's folder, whatever the current folder is. */
const path = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));

/** Runs the deno on PATH. */
async function deno(args: readonly string[]): Promise<Deno.CommandOutput> {
  try {
    return await new Deno.Command("deno", {
      args: [...args],
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
    }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new UserError("deno: not found on PATH; add the folder of the deno executable to PATH.");
  }
}

async function compile(script: string, output: string, target: string | undefined): Promise<void> {
  const { code, stderr } = await deno([
    ...["compile", "--quiet", "--no-check", "--config", path("deno.json"), "--output", output],
    ...(target === undefined ? [] : ["--target", target]),
    ...SCRIPTS.get(script)!,
    path(`scripts/${script}.ts`),
  ]);
  if (code === 0) return;
  const message = new TextDecoder().decode(stderr).trim();
  const base = `denort ${Deno.version.deno}${target === undefined ? "" : ` for ${target}`}`;
  if (/base binary|denort/.test(message)) {
    throw new UserError(
      `deno compile needs its base binary (${base}) and cannot download it; run this once on a machine with network ` +
        `access, or set DENORT_BIN to the path of the unpacked base binary.`,
    );
  }
  throw new UserError(`${script}: deno compile failed: ${message.split("\n")[0]}`);
}

/** Timeout of a binary's --help in ms; it is long because some systems scan the whole file at its first start. */
const HELP_MS = 60_000;

/** Returns the first line of a binary's help, or the reason why the binary cannot be run. */
async function helpLine(file: string): Promise<string> {
  const signal = AbortSignal.timeout(HELP_MS);
  try {
    const { stdout, stderr } = await new Deno.Command(file, { args: ["--help"], stdin: "null", signal })
      .output();
    const [line] = new TextDecoder().decode(stdout.length > 0 ? stdout : stderr).split("\n");
    return line;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * Runs a new binary with --help, because a build with a base binary other than denort succeeds but yields a binary that does
 * not run the script.
 */
async function checkBuilt(script: string, file: string): Promise<void> {
  const help = await helpLine(isAbsolute(file) ? file : `./${file}`);
  if (help.startsWith(`${script}: `) && help.endsWith(`(heed ${VERSION})`)) return;
  throw new UserError(
    `${file}: --help printed ${
      JSON.stringify(help)
    }, expected the help of heed's ${script}; if DENORT_BIN is set, it must be the path of ` +
      `denort ${Deno.version.deno}, not deno or another program.`,
  );
}

await cli.runCommand(command, async ({ positionals, values: { target, out } }) => {
  if (target !== undefined && !TARGETS.includes(target)) {
    throw new UserError(`--target: "${target}" is unknown.${didYouMean(target, TARGETS)}`);
  }
  const unknown = positionals.find((name) => !SCRIPTS.has(name));
  if (unknown !== undefined) {
    throw new UserError(`${unknown}: no script has this name.${didYouMean(unknown, SCRIPTS.keys())}`);
  }
  const runs = target === undefined || target === Deno.build.target;
  const windows = target === undefined ? Deno.build.os === "windows" : target.includes("windows");
  const names = positionals.length ? positionals : [...SCRIPTS.keys()];
  for (const [done, name] of names.entries()) {
    reportProgress({ what: "building", done, total: names.length, note: name });
    const output = `${out}/${binaryOf(name)}${windows ? ".exe" : ""}`;
    await compile(name, output, target);
    if (runs) await checkBuilt(name, output);
    cli.printLine(output);
  }
  if (!runs) {
    cli.tellLine(`compile: built for ${target}; not tested on this ${Deno.build.target}.`);
  }
  return 0;
});
