// Folders written by Hugging Face's libraries: weights in one file or several, tokenizers in one file or two, and damage.
import assert from "node:assert/strict";
import { charTokenizer, makeTokenizer, readFiles } from "../../../src/data/mod.ts";
import { UserError } from "../../../src/base/errors.ts";
import { importModel } from "../../../src/model/formats/import_model.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  type TensorData,
} from "../../../src/model/formats/safetensors.ts";
import golden from "../../golden/gpt2.json" with { type: "json" };
import { inFolder } from "../../scripts/harness.ts";

const FOLDER = new URL("../../golden/gpt2/", import.meta.url).pathname;
const stored = () => decodeSafetensors(Deno.readFileSync(`${FOLDER}model.safetensors`), "golden").tensors;

Deno.test("GPT-2's two older tokenizer files give the same ids as tokenizer.json", () =>
  inFolder(async (folder) => {
    for (const file of ["config.json", "model.safetensors"]) {
      await Deno.copyFile(FOLDER + file, `${folder}/${file}`);
    }
    const { model, added_tokens: [end] } = JSON.parse(await Deno.readTextFile(`${FOLDER}tokenizer.json`));
    const { merges } = model;
    const vocab = { ...model.vocab, [end.content]: end.id };
    await Deno.writeTextFile(`${folder}/vocab.json`, JSON.stringify(vocab));
    const lines = merges.map((pair: string | string[]) => Array.isArray(pair) ? pair.join(" ") : pair);
    await Deno.writeTextFile(`${folder}/merges.txt`, `#version: 0.2\n${lines.join("\n")}\n`);
    const { tokenizer } = await importModel(folder, `${folder}/out`);
    for (const { text, ids } of golden.prompts) {
      assert.deepEqual([...tokenizer.encode(text)], ids);
      assert.equal(tokenizer.decode(ids), text);
    }
    assert.deepEqual([...tokenizer.encode(end.content)], [end.id]);
  }));

/** The golden model in three files with their index, written into a folder. */
async function sharded(folder: string): Promise<Record<string, string>> {
  const names = [
    "model-00001-of-00003.safetensors",
    "model-00002-of-00003.safetensors",
    "odd name.safetensors",
  ];
  const shards: Record<string, TensorData>[] = names.map(() => ({}));
  const map: Record<string, string> = {};
  [...stored()].forEach(([name, tensor], n) => {
    shards[n % 3][name] = tensor;
    map[name] = names[n % 3];
  });
  for (const [n, shard] of shards.entries()) {
    await Deno.writeFile(`${folder}/${names[n]}`, encodeSafetensors(shard));
  }
  await Deno.writeTextFile(`${folder}/model.safetensors.index.json`, JSON.stringify({ weight_map: map }));
  for (const file of ["config.json", "tokenizer.json"]) {
    await Deno.copyFile(FOLDER + file, `${folder}/${file}`);
  }
  return map;
}

Deno.test("a model in several files gives the same checkpoint as in a single file", () =>
  inFolder(async (folder) => {
    await sharded(folder);
    await importModel(FOLDER, `${folder}/whole`);
    await importModel(folder, `${folder}/parts`);
    const [single, parts] = ["whole", "parts"].map((name) =>
      Deno.readFileSync(`${folder}/${name}/model.safetensors`)
    );
    assert.deepEqual(parts, single);
  }));

Deno.test("every tensor of a sharded model is in the file that the index names and in no other, or one line names it", () =>
  inFolder(async (folder) => {
    const map = await sharded(folder);
    const index = `${folder}/model.safetensors.index.json`;
    const refuses = async (changed: unknown, message: RegExp) => {
      await Deno.writeTextFile(index, JSON.stringify(changed));
      await assert.rejects(
        () => importModel(folder, `${folder}/out`),
        (error: Error) =>
          error instanceof UserError && message.test(error.message) && !error.message.includes("\n"),
      );
    };
    const [[name, file], [, other]] = Object.entries(map);
    const without = (gone: string) => Object.fromEntries(Object.entries(map).filter(([key]) => key !== gone));
    await refuses(
      [],
      /index\.json: weight_map: found no mapping, expected a mapping from tensors to names of/,
    );
    await refuses({ weight_map: {} }, /weight_map: found no mapping/);
    await refuses({ weight_map: { ...map, [name]: 1 } }, /weight_map: found 1, expected/);
    await refuses({ weight_map: { ...map, [name]: "../x.safetensors" } }, /found "\.\.\/x\.safetensors"/);
    await refuses(
      { weight_map: { ...map, [name]: "x.safetensors" } },
      /x\.safetensors: no such file; .*index\.json names/,
    );
    await refuses(
      { weight_map: { ...map, [name]: other } },
      /tensor .* is in this file, but .*index\.json has it in/,
    );
    await refuses(
      { weight_map: without(name) },
      /tensor .* is in this file, but .*index\.json does not name it/,
    );
    await refuses(
      { weight_map: { ...map, "h.9.x": file } },
      /tensor h\.9\.x is missing; .*index\.json names it/,
    );
    // A tensor in two files.
    const { tensors } = decodeSafetensors(Deno.readFileSync(`${folder}/${other}`), "x");
    const twice = Object.fromEntries([...tensors, [name, stored().get(name)!]]);
    await Deno.writeFile(`${folder}/${other}`, encodeSafetensors(twice));
    await refuses(
      { weight_map: map },
      new RegExp(`tensor ${name} is in this file, but .* has it in ${file}`),
    );
  }));

Deno.test("one of the older tokenizer files without the other, or more ids than the model has, gives one line", () =>
  inFolder(async (folder) => {
    const refuses = (message: RegExp) =>
      assert.rejects(
        () => importModel(folder, `${folder}/out`),
        (error: Error) => error instanceof UserError && message.test(error.message),
      );
    for (const file of ["config.json", "model.safetensors"]) {
      await Deno.copyFile(FOLDER + file, `${folder}/${file}`);
    }
    await Deno.writeTextFile(`${folder}/vocab.json`, "{}");
    await refuses(/merges\.txt: no such file, and .*vocab\.json alone is not a tokenizer\.$/);
    await Deno.remove(`${folder}/vocab.json`);
    await Deno.writeTextFile(`${folder}/merges.txt`, "");
    await refuses(/vocab\.json: no such file, and .*merges\.txt alone/);
    const words = JSON.stringify({
      ...charTokenizer("abc").toJSON(),
      vocabulary: [...Array(300).keys()].map((n) => String.fromCodePoint(0x4e00 + n)),
    });
    await Deno.writeTextFile(`${folder}/tokenizer.json`, words);
    await refuses(/tokenizer\.json: it has 300 ids, but vocab_size in config\.json is 297\.$/);
  }));

Deno.test("a Git LFS pointer instead of a file, and weights only in another format, give one line with the remedy", () =>
  inFolder(async (folder) => {
    const messageOf = async () => {
      try {
        await importModel(folder, `${folder}/out`);
      } catch (error) {
        assert.ok(error instanceof UserError, `${error}`);
        return error.message.replace(`${folder}/`, "");
      }
    };
    const pointer = "version https://git-lfs.github.com/spec/v1\n" +
      `oid sha256:${"0".repeat(64)}\nsize 548105171\n`;
    const isPointer = "a Git LFS pointer, not the file of 522.7 MiB that it points to; " +
      "run git lfs pull, or download the file.";
    for (const name of ["model.safetensors", "tokenizer.json", "config.json"]) {
      for (const file of ["config.json", "model.safetensors", "tokenizer.json"]) {
        await Deno.copyFile(FOLDER + file, `${folder}/${file}`);
      }
      await Deno.writeTextFile(`${folder}/${name}`, pointer);
      assert.equal(await messageOf(), `${name}: ${isPointer}`);
    }
    await assert.rejects(() =>
      makeTokenizer({
        kind: "huggingface",
        unknown: "error",
        size: 0,
        file: `${folder}/config.json`,
        crop: false,
      }, []), { message: `${folder}/config.json: ${isPointer}` });
    await assert.rejects(() => readFiles([`${folder}/config.json`]), {
      message: `${folder}/config.json: ${isPointer}`,
    });
    for (const name of ["config.json", "model.safetensors"]) await Deno.remove(`${folder}/${name}`);
    await Deno.writeTextFile(`${folder}/pytorch_model.bin`, "PK");
    assert.equal(
      await messageOf(),
      "pytorch_model.bin: weights in an unsupported format; expected model.safetensors, written by " +
        "Python's transformers: AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder).",
    );
    await Deno.rename(`${folder}/pytorch_model.bin`, `${folder}/ckpt.pt`);
    assert.match(
      `${await messageOf()}`,
      /^ckpt\.pt: .*, written by tools\/nanogpt_to_safetensors\.py from /,
    );
  }));

Deno.test("a folder with a missing or damaged file gives one line that names the file", () =>
  inFolder(async (folder) => {
    const refuses = async (message: RegExp) => {
      await assert.rejects(
        () => importModel(folder, `${folder}/out`),
        (error: Error) =>
          error instanceof UserError && message.test(error.message) && !error.message.includes("\n"),
      );
    };
    await refuses(/config\.json: no such file, expected the folder of a model/);
    await Deno.writeTextFile(`${folder}/config.json`, "{");
    await refuses(/config\.json: not valid JSON/);
    await Deno.writeTextFile(`${folder}/config.json`, "[]");
    await Deno.writeTextFile(`${folder}/model.safetensors`, "");
    await refuses(/config\.json: found a list of 0, expected an object/);
    await Deno.copyFile(`${FOLDER}config.json`, `${folder}/config.json`);
    await refuses(/model\.safetensors: 0 bytes long/);
    await Deno.remove(`${folder}/model.safetensors`);
    await refuses(/model\.safetensors: no such file, expected the folder of a model/);
  }));
