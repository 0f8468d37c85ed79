// Every user error is one line on stderr with exit code 2, and leaves no files.
import assert from "node:assert/strict";
import {
  checkpoint,
  type Ended,
  inFolder,
  latest,
  logOf,
  reseal,
  script,
  type SCRIPTS,
  succeeds,
  type Surroundings,
  taskArguments,
  tree,
  youngest,
} from "./harness.ts";

/** What a run prints before its first step. */
const ANNOUNCED = /^.*\nmemory: .*\ndevice: .*\n/;

/** What the driver of a software adapter prints. */
const NOISE = /^error: XDG_RUNTIME_DIR is invalid or not set in the environment\.\n/gm;

function assertOneLine({ code, stdout, stderr }: Ended, pattern: RegExp): void {
  assert.deepEqual([code, stdout], [2, ""], stderr);
  const said = stderr.replace(NOISE, "");
  assert.match(said, pattern);
  assert.match(said, /^[^\n]+\n$/);
}

/** Asserts that a script fails with one line and leaves the folder unchanged. */
async function refuses(
  folder: string,
  name: (typeof SCRIPTS)[number],
  args: readonly string[],
  pattern: RegExp,
  surroundings?: Surroundings,
): Promise<void> {
  const before = tree(folder);
  assertOneLine(await script(name, args, folder, surroundings), pattern);
  assert.deepEqual(tree(folder), before);
}

Deno.test("errors in a configuration have the key, the value found and the nearest valid spelling", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/empty.txt`, "");
    await Deno.writeTextFile(`${folder}/short.txt`, "abcdefgh".repeat(4));
    await Deno.writeFile(`${folder}/latin.txt`, Uint8Array.of(0xe9, 0x20));
    const mistakes: [string[], RegExp][] = [
      [["tiny.yaml", "model.dimm=8"], /^train: override model\.dimm=8: unknown key\. Did you mean "dim"\?/],
      [
        ["tiny.yaml", "model.dim=wide"],
        /^train: override model\.dim=wide: expected an integer .*, found "wide"/,
      ],
      [
        ["tiny.yaml", "model.heads=3"],
        /^train: override model\.heads=3: 3 does not divide model\.dim 16; .* 2 and 4/,
      ],
      [
        ["tiny.yaml", "data.files.0=txt.text"],
        /^train: txt\.text does not exist; .* Did you mean "text\.txt"\?/,
      ],
      [["tiny.yaml", "data.files.0=empty.txt"], /^train: empty\.txt is empty; /],
      [["tiny.yaml", "data.files.0=latin.txt"], /^train: latin\.txt is not UTF-8 text; /],
      [
        ["tiny.yaml", "data.files.0=short.txt", 'sample.prompt="a"'],
        /^train: .* split has \d+ tokens, fewer than context/,
      ],
      [
        ["tiny.yaml", "data.files=[]", "data.source=brwn"],
        /^train: data\.source: .*"brwn"\. Did you mean "brown"\?/,
      ],
      [
        ["tiny.yaml", "data.files=[]", "data.source=copi"],
        /^train: data\.source: .*"copi"\. Did you mean "copy"\?/,
      ],
      [["tiny.yaml", 'sample.prompt="é"'], /^train: sample\.prompt: Text has the unknown character "é"/],
      [
        ["tiny.yaml", 'sample.prompt=""'],
        /^train: sample\.prompt: "" has no token, expected at least one character/,
      ],
      [["tiny.yaml", "name=latest"], /^train: name: "latest" cannot be the name of a folder of runs/],
      [["tinny.yaml"], /^train: "tinny\.yaml": no such file\. Did you mean "tiny\.yaml"\?/],
      [
        ["tiny.yaml", "default"],
        /^train: default: one configuration at a time, tiny\.yaml was given before\./,
      ],
      [["tiny.yaml", "--ndjson", "no/such/folder"], /^train: no\/such\/folder: No such file or directory\./],
      [["tiny.yaml", "output.dir=text.txt"], /^train: text\.txt\/tiny\/.*: /],
      [
        ["tiny.yaml", "model.dim=8", "train.steps=0"],
        /^train: override train\.steps=0: expected an integer of at least 1/,
      ],
    ];
    for (const [args, pattern] of mistakes) {
      // The file of records must not be created too early either.
      const records = args.includes("--ndjson") ? [] : ["--ndjson", "records.ndjson"];
      const announced = /output\.dir|name=latest/.test(args.join());
      const before = tree(folder);
      const result = await script("train", [...args, ...records], folder);
      const stderr = announced ? result.stderr.replace(ANNOUNCED, "") : result.stderr;
      assertOneLine({ ...result, stderr }, pattern);
      assert.deepEqual(tree(folder), before, args.join(" "));
    }
  }));

Deno.test("unknown options are reported with the nearest one, values that are not numbers with what was expected", () =>
  inFolder(async (folder) => {
    await refuses(
      folder,
      "train",
      ["--resum", "x"],
      /^train: --resum: unknown option\. Did you mean "resume"\?/,
    );
    await refuses(
      folder,
      "train",
      ["--device", "gpu"],
      /device=gpu: expected auto, webgpu, cpu or reference, found "gpu"/,
    );
    await refuses(folder, "train", ["-x"], /^train: -x: unknown option\. Known: device, /);
    await refuses(
      folder,
      "train",
      ["--ndjson"],
      /^train: --ndjson: expected FILE\|- after it, found nothing\.\n/,
    );
    await refuses(folder, "train", ["--dry-run=yes"], /^train: --dry-run: takes no value, found "yes"\./);
    await refuses(
      folder,
      "train",
      ["--dry-run", "--ndjson", "-"],
      /^train: --ndjson: --dry-run writes no records; leave one of them out\./,
    );
    await refuses(folder, "train", ["--dry-run", "--jobs"], /^train: --dry-run: --jobs runs nothing; /);
    await succeeds("train", ["tiny.yaml"], folder);
    await refuses(
      folder,
      "generate",
      ["--top-k", "0"],
      /^generate: --top-k: expected a whole number of at least 1, found "0"\./,
    );
    await refuses(
      folder,
      "generate",
      ["--tokens", "1.5"],
      /^generate: --tokens: expected a whole number .*, found "1\.5"\./,
    );
    await refuses(
      folder,
      "generate",
      ["--top-p", "2"],
      /^generate: --top-p: expected a number from 0 to 1, found "2"/,
    );
    await refuses(
      folder,
      "generate",
      ["--nucleus", "0.9"],
      /^generate: --nucleus: unknown option; it is --top-p now\.\n/,
    );
    await refuses(
      folder,
      "generate",
      ["--temperature", "-1"],
      /^generate: --temperature: expected a number of at least 0, found "-1"\.\n/,
    );
    await refuses(folder, "generate", ["--temperature=-1"], /^generate: --temperature: .*, found "-1"/);
    await refuses(
      folder,
      "generate",
      ["--prompt", "é"],
      /^generate: --prompt: Text has the unknown character "é" \(U\+00E9\)/,
    );
    await refuses(
      folder,
      "generate",
      ["--prompt", ""],
      /^generate: --prompt: expected at least one character, or the first token by --first\./,
    );
    await refuses(
      folder,
      "generate",
      ["runs/latest", "The "],
      /^generate: The : one run or checkpoint at a time/,
    );
    await refuses(
      folder,
      "generate",
      ["runs/lattest"],
      /^generate: runs\/lattest: not found, .* Did you mean "runs\/latest"\?/,
    );
    await refuses(
      folder,
      "verify_load",
      ["--device", "cpuu"],
      /^verify_load: device: "cpuu" is unknown\. Did you mean "cpu"\?/,
    );
  }));

Deno.test("unused options and files that cannot be written are reported before anything is created", () =>
  inFolder(async (folder) => {
    await succeeds("train", ["tiny.yaml"], folder);
    const mistakes: [(typeof SCRIPTS)[number], string[], RegExp][] = [
      ...["from", "hooks", "tasks"].map((option): [(typeof SCRIPTS)[number], string[], RegExp] => [
        "train",
        ["--resume", "runs/latest", `--${option}`, "x"],
        new RegExp(
          `^train: --${option}: a resumed run uses its own configuration; leave it out after --resume\\.\n$`,
        ),
      ]),
      [
        "train",
        ["--resume", "runs/latest", "--device", "cpuu"],
        /^train: device: "cpuu" is unknown\. Did you mean "cpu"\?/,
      ],
      ["perplexity", ["--text", "The", "--lines"], /^perplexity: --lines: belongs to --file, /],
      ["logit_lens", ["--top", "2"], /^logit_lens: --top: a table shows only the best token; /],
      ["runs", ["--diff", "tiny", "tiny", "seed=1"], /^runs: seed=1: cannot be combined with --diff, /],
      [
        "runs",
        ["--diff", "tiny", "tiny", "--until", "2025-01-01"],
        /^runs: --until: cannot be combined with --diff, /,
      ],
      ["attention_maps", ["--head", "2"], /^attention_maps: --head: .* from 0 to 1, found "2"\./],
      ["attention_maps", ["--each", "--out", "text.txt"], /^attention_maps: text\.txt: File exists\./],
      [
        "check_attention",
        ["--device", "cpu", "--cases", "1", "--diagram", "no/layer.svg"],
        /^check_attention: no\/layer\.svg: No such file or directory\./,
      ],
    ];
    for (const [name, args, pattern] of mistakes) await refuses(folder, name, args, pattern);
    const jacobian = ["tiny.yaml", "--steps", "0", "--out", "text.txt"];
    const { code, stderr } = await script("analyze_softmax_jacobian", jacobian, folder);
    assert.equal(code, 2);
    assert.match(stderr, /^device: .*\nanalyze_softmax_jacobian: text\.txt: File exists\.\n$/);
  }));

Deno.test("--device webgpu without an adapter is one line with what to install", () =>
  inFolder(async (folder) => {
    const env = { VK_DRIVER_FILES: "/nonexistent", VK_ICD_FILENAMES: "/nonexistent" };
    await refuses(folder, "train", ["tiny.yaml", "--device", "webgpu"], /^train: .*(adapter|driver).*/, {
      env,
    });
    await succeeds("train", ["tiny.yaml"], folder);
    await refuses(folder, "generate", ["--device", "webgpu"], /^generate: .*(adapter|driver).*/, { env });
    const { stdout } = await script("train", ["tiny.yaml", "--device", "auto"], folder, { env });
    assert.match(stdout, /val loss/);
  }));

Deno.test("a missing permission is one line with the flag that grants it", () =>
  inFolder(async (folder) => {
    await refuses(folder, "train", ["tiny.yaml"], /^train: .*--allow-read/, { without: "--allow-read" });
    const webgpu = ["tiny.yaml", "--device", "webgpu"];
    await refuses(folder, "train", webgpu, /^train: .*--allow-env/, { without: "--allow-env" });
    const before = tree(folder);
    const { code, stderr } = await script("train", ["tiny.yaml"], folder, { without: "--allow-write" });
    assert.equal(code, 2);
    assert.match(
      stderr,
      /\ndevice: .*\ntrain: runs\/tiny\/.*: Requires write access to "runs.* --allow-write flag\.\n$/,
    );
    assert.deepEqual(tree(folder), before);
  }));

Deno.test("a checkpoint of another shape, a truncated or a damaged one is an error of resume and generate", () =>
  inFolder(async (folder) => {
    const steps = ["tiny.yaml", "train.steps=6"];
    await succeeds("train", [...steps, "model.dim=8", "name=small"], folder);
    const small = checkpoint(latest(folder));
    await succeeds("train", steps, folder);
    const run = latest(folder);
    const intact = checkpoint(run);
    const log = logOf(run).replace(/.*"type":"done".*\n/, "");
    await Deno.writeTextFile(`${run}/log.ndjson`, log);
    const files = ["model.safetensors", "optimizer.safetensors", "state.json"];
    const before = new Map(files.map((name) => [name, Deno.readFileSync(`${intact}/${name}`)]));
    const bytes = before.get("model.safetensors")!;
    const refusedWith = async (
      pattern: RegExp,
      scripts: readonly ("train" | "generate")[] = ["train", "generate"],
    ) => {
      for (const name of scripts) {
        const result = await script(name, name === "train" ? ["--resume", run] : [run], folder);
        const stderr = result.stderr.replace(ANNOUNCED, "");
        assertOneLine({ ...result, stderr }, pattern);
      }
      assert.equal(logOf(run), log);
      for (const [name, content] of before) await Deno.writeFile(`${intact}/${name}`, content);
    };
    await Deno.copyFile(`${small}/model.safetensors`, `${intact}/model.safetensors`);
    await reseal(intact);
    await refusedWith(/: .*\/6\/model\.safetensors: tensor .* is \[.*8\], expected \[.*16\]\.\n/);
    await Deno.copyFile(`${small}/optimizer.safetensors`, `${intact}/optimizer.safetensors`);
    await reseal(intact);
    await refusedWith(/: .*\/6\/optimizer\.safetensors: tensor .*, expected /, ["train"]);
    await Deno.writeFile(`${intact}/model.safetensors`, bytes.subarray(0, bytes.length - 5));
    await refusedWith(/: .*\/6\/model\.safetensors: truncated: 5 bytes are missing/);
    await Deno.writeFile(
      `${intact}/model.safetensors`,
      bytes.map((byte, i) => i === bytes.length - 1 ? byte ^ 1 : byte),
    );
    await refusedWith(
      /: .*\/6\/model\.safetensors: SHA-256 is .*, state\.json says .*; the file is damaged\.\n/,
    );
    await Deno.writeTextFile(`${intact}/optimizer.safetensors`, "damaged");
    await refusedWith(/: .*\/6\/optimizer\.safetensors: 7 bytes long, expected at least 8/, ["train"]);
    await Deno.writeTextFile(`${intact}/state.json`, "null");
    await refusedWith(
      /: .*\/6\/state\.json: its SHA-256 differs from the one in its last line; the file is damaged\.\n/,
    );
    await Deno.remove(`${intact}/model.safetensors`);
    await refusedWith(/: .*\/6\/model\.safetensors: no such file; the checkpoint is incomplete\.\n/);
    await Deno.writeTextFile(`${run}/log.ndjson`, `nonsense\n${log}`);
    const { code, stderr } = await script("train", ["--resume", run], folder);
    assert.equal(code, 2);
    assert.match(stderr, /^train: .*log\.ndjson: .*line 1 is not a record[,;] [^\n]*\n$/);
    assert.equal(logOf(run), `nonsense\n${log}`);
  }));

/** Mounts a file system of a few pages at `path`; false where this user may not. */
async function mountTiny(path: string, kib: number): Promise<boolean> {
  try {
    const args = ["-t", "tmpfs", "-o", `size=${kib}k`, "tmpfs", path];
    return (await new Deno.Command("mount", { args, stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

Deno.test({
  name: "a full disk ends a run with one line and exit code 2, and leaves nothing half-written",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inFolder(async (folder) => {
      await Deno.mkdir(`${folder}/full`);
      const args = ["tiny.yaml", "output.dir=full", "train.steps=60"];
      // Room for nothing; for the log but not for a checkpoint; for one checkpoint but not for two.
      for (const kib of [4, 40, 140]) {
        if (!await mountTiny(`${folder}/full`, kib)) {
          console.log(
            "      file systems cannot be mounted here: only the limit on the size of a file was tried",
          );
          return;
        }
        try {
          const { code, stdout, stderr } = await script("train", args, folder);
          assert.deepEqual([code, stdout], [2, ""], `${kib} KiB: ${stderr}`);
          assert.match(
            stderr,
            /\ndevice: .*\n(step \d+: .*\n)*train: full\/.*: No space left on device\.\n$/,
          );
          const left = tree(`${folder}/full`);
          assert.deepEqual(left.filter((path) => /\.tmp/.test(path)), []);
          if (kib === 4) assert.deepEqual(left.filter((path) => path.startsWith("tiny/")), []);
          else assert.ok(logOf(youngest(folder, "full")).endsWith("}\n"));
          if (kib === 140) await succeeds("verify_load", [`${folder}/full/latest`], folder);
        } finally {
          await new Deno.Command("umount", { args: [`${folder}/full`] }).output();
        }
      }
    }),
});

Deno.test({
  name: "where files cannot grow, a run ends with one line, and its last checkpoint is whole",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inFolder(async (folder) => {
      const args = [...taskArguments("train"), "tiny.yaml", "train.steps=2000", "eval.every=10"];
      const command = [Deno.execPath(), ...args].map((arg) => `'${arg}'`).join(" ");
      const limited = `trap "" XFSZ; ulimit -f 128; ${command}`;
      const { code, stderr } = await new Deno.Command("sh", { args: ["-c", limited], cwd: folder }).output();
      const said = new TextDecoder().decode(stderr);
      assert.equal(code, 2, said);
      assert.match(said, /\ntrain: runs\/tiny\/.*\/log\.ndjson: File too large\.\n$/);
      assert.ok(logOf(latest(folder)).endsWith("}\n"));
      await succeeds("verify_load", [], folder);
    }),
});
