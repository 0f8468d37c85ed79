// bench/isa/isa.sh as a person runs it, in a process of its own.
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("../../bench/isa/isa.sh", import.meta.url));

async function run(args: string[], env: Record<string, string> = {}) {
  const command = new Deno.Command("/bin/sh", { args: [SCRIPT, ...args], env });
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "heed-isa-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const isThere = (path: string) => Deno.stat(path).then(() => true, () => false);

Deno.test({
  name:
    "isa.sh without a compiler, header or disassembler exits with 2 and one line that says what to install",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inFolder(async (folder) => {
      const program = (name: string, body: string) =>
        Deno.writeTextFile(join(folder, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
      await program("dirname", `/usr/bin/dirname "$@"`);
      await program("deno", "exit 1");
      const check = async (ISA_GPU: string, expected: RegExp) => {
        const ended = await run(["nanogpt_cpu"], { PATH: folder, NVDISASM: "", ISA_GPU });
        assert.deepEqual([ended.code, ended.stdout], [2, ""], ended.stderr);
        assert.match(ended.stderr, expected);
      };
      await check("NAVI21", /^isa\.sh: gcc is missing: apt-get install gcc\n$/);
      await program("gcc", `read -r line; case $line in *vulkan*) exit 1 ;; esac`);
      await check("NAVI21", /^isa\.sh: the header vulkan\/vk_layer\.h is missing: .* libvulkan-dev\n$/);
      await program("gcc", "exit 0");
      await check("sm_90", /^isa\.sh: nvcc is missing: install NVIDIA's CUDA toolkit\n$/);
      await program("nvcc", "exit 0");
      await check("sm_90", /^isa\.sh: nvdisasm is missing: install .* NVDISASM .*\n$/);
    }),
});

const CODE = `@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  var sum = 0f;
  for (var i = 0u; i < 1000u; i++) { sum = fma(x[i], x[i + id.x], sum); }
  y[id.x] = sum;
}
`;
const HEADER = "/usr/include/vulkan/vk_layer.h";
const DRIVERS = ["radeon_icd.json", "radeon_icd.x86_64.json"].map((name) =>
  `/usr/share/vulkan/icd.d/${name}`
);
const tools = await isThere("/usr/bin/gcc") && await isThere(HEADER) &&
  (await Promise.all(DRIVERS.map(isThere))).includes(true);

Deno.test({
  name: "isa.sh prints the row of a WGSL file, and exits with 2 and its mistake where the file is wrong",
  ignore: !tools,
  fn: () =>
    inFolder(async (folder) => {
      const [right, wrong] = ["sums.wgsl", "wrong.wgsl"].map((name) => join(folder, name));
      await Deno.writeTextFile(right, CODE);
      await Deno.writeTextFile(wrong, CODE.replace("sum;", "total;"));
      const { code, stdout, stderr } = await run([right]);
      assert.equal(code, 0, stderr);
      const [heads, rule, ...rows] = stdout.trim().split("\n").map((line) => line.split(" | "));
      const [row] = rows;
      assert.deepEqual([rows.length, rule.length, row.length], [1, heads.length, heads.length], stdout);
      assert.equal(row[0], "| sums");
      assert.equal(row[heads.indexOf("FMA")], "1");
      const refused = await run([wrong]);
      assert.deepEqual([refused.code, refused.stdout], [2, ""]);
      assert.match(refused.stderr, /^isa_wgsl: .*wrong\.wgsl: .*`total`.*\n$/);
    }),
});
