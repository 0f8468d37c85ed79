// A user's file that imports heed, by any name and from any folder, gets the running heed: in a task and in a bundle.
import assert from "node:assert/strict";
import { relative } from "node:path";
import { type Ended, ended, inFolder, logOf, ROOT, script, taskArguments, youngest } from "./harness.ts";

const MOD = new URL("mod.ts", ROOT);

/** Scales with heed's own operation, and throws heed's own error in step 2: from another copy it would not be a `UserError`. */
const hooksImporting = (specifier: string): string =>
  `import { scale, type Tensor, UserError } from "${specifier}";
import type { RandomStream } from "heed";
export const taps = { embed: (x: Tensor): Tensor => scale(x, 3) };
export function freeze({ step }: { step: number; random: RandomStream }) {
  if (step === 2) throw new UserError("not this one");
  return [];
}
`;

type Train = (args: string[], cwd: string) => Promise<Ended>;

const byTask: Train = (args, cwd) => script("train", args, cwd);

/** The bundle of train, built once. */
let bundle: Promise<string> | undefined;

async function bundled(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "heed-bundle-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  const source = new URL("scripts/train.ts", ROOT).pathname;
  const args = ["bundle", "--quiet", "-o", `${folder}/train.js`, source];
  const build = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT.pathname, stdin: "null" }).output();
  assert.ok(build.success, new TextDecoder().decode(build.stderr));
  return `${folder}/train.js`;
}

const byBundle: Train = async (args, cwd) => {
  const permissions = taskArguments("train").filter((arg) => /^--allow-(read|write|env|sys)/.test(arg));
  const run = ["run", "--no-prompt", "--no-config", "--no-npm", "--no-remote", ...permissions];
  const command = new Deno.Command(Deno.execPath(), {
    args: [...run, await (bundle ??= bundled()), ...args],
    cwd,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  return await ended(command.spawn());
};

/** Trains with hooks in `folder`, and returns the output and the loss of the first step. */
async function trainsWith(train: Train, folder: string, hooks: string): Promise<[Ended, unknown]> {
  await Deno.writeTextFile(`${folder}/hooks.ts`, hooks);
  const result = await train(["tiny.yaml", "sample.tokens=0", "--hooks", "hooks.ts"], folder);
  if (!/step 2/.test(result.stderr)) return [result, undefined];
  const steps = logOf(youngest(folder)).split("\n").filter((line) => line.includes('"loss"'));
  return [result, JSON.parse(steps[0]).loss];
}

/** Runs `body` in a folder inside the project, then in one outside it. */
async function inBoth(body: (folder: string) => Promise<void>): Promise<void> {
  await inFolder(body);
  await inFolder(async (elsewhere) => {
    const inside = await Deno.makeTempDir({ dir: ROOT.pathname, prefix: ".heed-inside-" });
    try {
      for (const name of ["text.txt", "tiny.yaml"]) {
        await Deno.copyFile(`${elsewhere}/${name}`, `${inside}/${name}`);
      }
      await body(inside);
    } finally {
      await Deno.remove(inside, { recursive: true });
    }
  });
}

for (const [how, train] of [["a task", byTask], ["a bundle", byBundle]] as const) {
  Deno.test(`by ${how}, a hook that imports heed by path, URL or name gets the running copy, in the project and outside it`, async () => {
    const losses = new Set<unknown>();
    await inBoth(async (folder) => {
      const path = relative(folder, MOD.pathname);
      for (const specifier of [path, "heed", "@heed/heed", `${MOD.href}?again`]) {
        const [{ code, stderr }, loss] = await trainsWith(train, folder, hooksImporting(specifier));
        assert.match(
          stderr,
          /^train: (hooks\.ts: freeze at step 2: )?not this one$/m,
          `${specifier}: ${stderr}`,
        );
        assert.doesNotMatch(stderr, /^\s+at /m);
        assert.equal(code, 2);
        losses.add(loss);
      }
    });
    assert.ok(losses.size === 1 && typeof [...losses][0] === "number", [...losses].join());
  });

  Deno.test(`by ${how}, a name that heed does not export, and a module that is not there, are one line`, () =>
    inFolder(async (folder) => {
      const refused = async (line: string, reason: RegExp) => {
        const [{ code, stdout, stderr }] = await trainsWith(
          train,
          folder,
          `${line}\nexport const taps = {};\n`,
        );
        assert.match(stderr, reason);
        assert.deepEqual([code, stdout, stderr.trim().split("\n").length], [2, "", 1]);
      };
      const source =
        /^train: --hooks: hooks\.ts cannot be loaded: heed.* exports no "scal"\. Did you mean "scale"\?\n$/;
      await refused('export { scal } from "heed";', source);
      await refused(`export { scal } from "${MOD.href}";`, source);
      const now = (old: string, path: string) =>
        refused(
          `export { ${old} } from "heed";`,
          new RegExp(`: heed exports no "${old}"; it is "${path}" now\\.\n$`),
        );
      await now("keyPadding", "masks.keyPaddingMask");
      await now("times", "expr.times");
      await refused(
        'import "@heed/heed/kernel";',
        /"@heed\/heed\/kernel" is not an entry point of heed\. Did you mean "kernels"\?\n$/,
      );
      await refused('import "heeed";', /: "heeed" is not a module; expected "heed", a path or a URL\.\n$/);
    }));

  Deno.test(`by ${how}, another checkout's modules are neither hashed nor run: heed stands for them`, () =>
    inFolder(async (folder) => {
      await Deno.mkdir(`${folder}/other`);
      await Deno.writeTextFile(`${folder}/other/deno.json`, '{ "name": "@heed/heed" }');
      const trap = 'Deno.writeTextFileSync("ran", ""); export { scale, UserError } from "heed";\n';
      await Deno.writeTextFile(`${folder}/other/mod.ts`, trap);
      const [{ stderr }] = await trainsWith(train, folder, hooksImporting("./other/mod.ts"));
      assert.match(stderr, /^train: (hooks\.ts: freeze at step 2: )?not this one$/m, stderr);
      await assert.rejects(Deno.stat(`${folder}/ran`), Deno.errors.NotFound);
    }));
}

Deno.test("by a task, a hook in any folder imports @std/assert, @std/cli and @std/yaml", () =>
  inFolder(async (folder) => {
    const std = `import { assertEquals } from "@std/assert";
import { parseArgs } from "@std/cli";
import { parse } from "@std/yaml";
assertEquals(parse("a: 1"), parseArgs(["--a=1"], { collect: "_" }).a === 1 ? { a: 1 } : {});
`;
    const [{ stderr }] = await trainsWith(byTask, folder, std + hooksImporting("heed"));
    assert.match(stderr, /^train: (hooks\.ts: freeze at step 2: )?not this one$/m, stderr);
  }));

Deno.test("in a bundle, a mod.ts that is not there is heed's", () =>
  inFolder(async (folder) => {
    const [{ stderr }] = await trainsWith(byBundle, folder, hooksImporting("../../heed/mod.ts"));
    assert.match(stderr, /^train: (hooks\.ts: freeze at step 2: )?not this one$/m, stderr);
  }));

Deno.test("by a task, the door of a room is that of the heed that runs; a bundle has mod.ts alone", () =>
  inFolder(async (folder) => {
    const path = relative(folder, new URL("kernels/mod.ts", ROOT).pathname);
    for (const specifier of ["heed/kernels", "@heed/heed/kernels", path]) {
      const same = `import { adamw, scale as own } from "${specifier}";\n` +
        'import { scale as of } from "heed";\nif (own !== of || !adamw) throw new Error("another copy");\n';
      const [{ stderr }] = await trainsWith(byTask, folder, same + hooksImporting("heed"));
      assert.match(
        stderr,
        /^train: (hooks\.ts: freeze at step 2: )?not this one$/m,
        `${specifier}: ${stderr}`,
      );
    }
    const [moved] = await trainsWith(
      byTask,
      folder,
      'export { adamw } from "heed";\nexport const taps = {};\n',
    );
    assert.match(moved.stderr, /: heed exports no "adamw"; import "adamw" from "@heed\/heed\/kernels"\.\n$/);
    const door = 'import "@heed/heed/kernels";\nexport const taps = {};\n';
    const [{ code, stderr }] = await trainsWith(byBundle, folder, door);
    assert.match(
      stderr,
      /: "@heed\/heed\/kernels" is not in a bundle, which has mod\.ts alone; expected "heed"\.\n$/,
    );
    assert.equal(code, 2);
  }));
