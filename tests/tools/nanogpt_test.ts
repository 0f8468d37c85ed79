// The converter of nanoGPT's checkpoints, in Python: its names, with stand-ins for torch, which the tests do without.
import assert from "node:assert/strict";

const TOOLS = new URL("../../tools/", import.meta.url).pathname;

/** Prints the names that a checkpoint of one layer has after conversion; names come as arguments. */
const PROGRAM = `
import json, sys, types

class Tensor:
    shape = (1,)
    def dim(self): return 2
    def same(self): return self
    t = float = contiguous = same

def stand_in(name, **members):
    module = sys.modules[name] = types.ModuleType(name)
    module.__dict__.update(members)

stand_in("torch", Tensor=Tensor, zeros=lambda *shape: Tensor())
stand_in("safetensors")
stand_in("safetensors.torch", save_file=None)
sys.dont_write_bytecode = True
sys.path.insert(0, ${JSON.stringify(TOOLS)})
from nanogpt_to_safetensors import converted
try:
    print(json.dumps(sorted(converted({name: Tensor() for name in sys.argv[1:]}, 1))))
except Exception as error:
    print(repr(error))
`;

const NAMES = [
  "transformer.wte.weight",
  "transformer.wpe.weight",
  "transformer.ln_f.weight",
  ...["ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"].map((part) =>
    `transformer.h.0.${part}.weight`
  ),
];

/** What Python prints, or says as it ends; undefined where there is no Python. */
async function namesAfter(names: readonly string[]): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await new Deno.Command("python3", { args: ["-c", PROGRAM, ...names] })
      .output();
    return [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("").trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

Deno.test({
  name: "a nanoGPT checkpoint converts whatever DistributedDataParallel and torch.compile put into its names",
  ignore: await namesAfter(NAMES) === undefined,
  async fn() {
    const plain = await namesAfter(NAMES);
    assert.equal(JSON.parse(plain!).length, 16);
    for (const prefix of ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.module."]) {
      assert.equal(await namesAfter(NAMES.map((name) => prefix + name)), plain, prefix);
    }
    const inside = NAMES.map((name) => name.replace("h.0.", "h.0._orig_mod."));
    assert.equal(await namesAfter(inside), plain);
    const twice = [...NAMES, "module.transformer.wte.weight"];
    assert.equal(
      await namesAfter(twice),
      "module.transformer.wte.weight: the checkpoint has transformer.wte.weight twice; expected one model.",
    );
  },
});
