// Resolving a raw mapping, and the one line per kind of error.

import assert from "node:assert/strict";
import { UserError } from "../../src/base/errors.ts";
import {
  applyOverride,
  type Config,
  configWarnings,
  parseConfig,
  resolveConfig,
} from "../../src/config/mod.ts";
import { defaultsOf } from "../../src/base/keys.ts";
import { CONFIG_KEYS, runJsonSchema } from "../../src/config/schema.ts";

function resolve(yaml: string, ...overrides: string[]): Config {
  const raw = overrides.reduce(applyOverride, parseConfig(yaml, "configs/a.yaml"));
  return resolveConfig(raw, { place: "configs/a.yaml", name: "a", overrides });
}

function message(yaml: string, ...overrides: string[]): string {
  try {
    resolve(yaml, ...overrides);
  } catch (error) {
    assert.ok(error instanceof UserError, `expected a UserError, got ${error}`);
    assert.ok(!error.message.includes("\n"), "a message is one line");
    return error.message;
  }
  return "accepted";
}

Deno.test("a key of a megabyte is reported truncated, at once", () => {
  const actual = message(`"${"dim".repeat(350_000)}": 1`);
  assert.match(actual, /^configs\/a\.yaml: (dim){19}\.\.\.: unknown key\./);
  assert.ok(actual.length < 300);
});

Deno.test("an empty configuration resolves to the documented defaults, named after its file", () => {
  assert.deepEqual(resolve(""), {
    name: "a",
    seed: 1,
    device: "auto",
    data: {
      source: "brown",
      sources: [],
      files: [],
      field: null,
      tasks: null,
      split: { val: 0.1, test: 0.05 },
      split_files: { val: [], test: [] },
      sample: null,
      sampling: "crops",
      answer_only: false,
      cache: ".cache",
    },
    tokenizer: { kind: "char", unknown: "error", size: 1000, file: null, crop: false },
    model: {
      context: 64,
      dim: 128,
      layers: 4,
      heads: 4,
      vocabulary: null,
      positions: "learned",
      rope: { base: 10000, pairs: "interleaved", rotary_dim: null },
      norm: "layernorm",
      bias: false,
      norm_bias: null,
      tied: true,
      head: { method: null },
      dropout: 0,
      init: { name: "normal", std: 0.02, scaled_residual: true },
      block: {
        norm_order: "pre",
        norm: null,
        attention: {
          activation: "softmax",
          divide: "none",
          bias: "auto",
          temperature: null,
          per: "layer",
          softcap: null,
          window: null,
          kv_heads: null,
          kv_head: "grouped",
          value_dim: null,
          qk_norm: null,
          backward: "exact",
          extra_keys: 0,
          score: null,
          mask: null,
          modifier: null,
          layer_scale: null,
          method: "bp",
        },
        mlp: { activation: "gelu", gated: false, factor: 4, method: "bp", layer_scale: null },
        dropout: null,
      },
      blocks: [],
    },
    train: {
      steps: 300,
      batch: 12,
      accumulate: 1,
      from: null,
      freeze: [],
      stop: null,
      threads: null,
      stop_nonfinite: 10,
    },
    optimizer: {
      name: "adamw",
      lr: 1e-3,
      betas: [0.9, 0.99],
      eps: 1e-8,
      momentum: null,
      nesterov: null,
      weight_decay: 0.1,
      clip: 1,
    },
    schedule: {
      name: "cosine",
      warmup: 100,
      min_lr: 1e-4,
      steps: null,
      cycle: 100,
      factor: 0.5,
      patience: 3,
    },
    eval: { every: 100, batches: 0, split: "val" },
    sample: { prompt: "\n", tokens: 200, temperature: 0.8, top_k: null, seed: 1 },
    output: { dir: "runs", checkpoint_every: 0 },
    track: [],
    capture: [],
    hooks: { file: null },
  });
});

Deno.test("each configuration has its own defaults, so that changing one does not affect the next", () => {
  const first = resolve("");
  first.data.files.push("x.txt");
  first.optimizer.betas[0] = 0;
  first.model.init.std = 7;
  const second = resolve("");
  assert.deepEqual(second.data.files, []);
  assert.deepEqual(second.optimizer.betas, [0.9, 0.99]);
  assert.equal(second.model.init.std, 0.02);
});

Deno.test("a number in exponent form is a number, also in quotes, and other text remains text", () => {
  const config = resolve('{ name: "1e3", optimizer: { lr: 1e-3, eps: "1e-9", weight_decay: "5.E-2" } }');
  assert.equal(config.name, "1e3");
  assert.deepEqual([config.optimizer.lr, config.optimizer.eps, config.optimizer.weight_decay], [
    1e-3,
    1e-9,
    0.05,
  ]);
  assert.equal(resolve("train: { steps: 1e3 }").train.steps, 1000);
  assert.match(
    message('optimizer: { lr: "0.1" }'),
    /optimizer\.lr: expected a number above 0, found "0\.1"\.$/,
  );
});

Deno.test("each error is one line with the place, the key, what was found and what was expected", () => {
  const cases: [string, string][] = [
    ["model: { dmi: 3 }", 'model.dmi: unknown key. Did you mean "dim"?'],
    ["train: { steps: many }", 'train.steps: expected an integer of at least 1, found "many".'],
    ["train: { steps: 1.5 }", "train.steps: expected an integer of at least 1, found 1.5."],
    ["train: { batch: 0 }", "train.batch: expected an integer of at least 1, found 0."],
    ["train: [1]", "train: expected a mapping of keys, found a list of 1."],
    ["train:", "train: expected a mapping of keys, found null."],
    ["seed: .nan", "seed: expected an integer, found NaN."],
    ["device: metal", 'device: expected auto, webgpu, cpu or reference, found "metal".'],
    [
      "device: webgup",
      'device: expected auto, webgpu, cpu or reference, found "webgup". Did you mean "webgpu"?',
    ],
    [
      "tokenizer: { kind: bpt }",
      'tokenizer.kind: expected char, byte, bpe, gpt2, huggingface or ids, found "bpt". Did you mean "bpe"?',
    ],
    ["model: { dropout: 1 }", "model.dropout: expected a number of at least 0 and below 1, found 1."],
    ["model: { bias: 1 }", "model.bias: expected true or false, found 1."],
    [
      "model: { block: { attention: { activation: sofmax } } }",
      'model.block.attention.activation: expected softmax, softmax1, entmax15, sigmoid, relu or relu2, found "sofmax". ' +
      'Did you mean "softmax"?',
    ],
    [
      "model: { block: { attention: { bias: atuo } } }",
      'model.block.attention.bias: expected auto, learned or a number, found "atuo". Did you mean "auto"?',
    ],
    [
      "optimizer: { betas: [0.9, 1] }",
      "optimizer.betas.1: expected a number of at least 0 and below 1, found 1.",
    ],
    [
      "optimizer: { betas: [0.9] }",
      "optimizer.betas.1: expected a number of at least 0 and below 1, found nothing.",
    ],
    [
      "optimizer: { betas: [0, 0, 0] }",
      "optimizer.betas: expected a list of two numbers of at least 0 and below 1, found a list of 3.",
    ],
    ["optimizer: { lr: .inf }", "optimizer.lr: expected a number above 0, found Infinity."],
    ["schedule: { steps: 0 }", "schedule.steps: expected an integer of at least 1, or null, found 0."],
    [
      "sample: { prompt: 12 }",
      'sample.prompt: expected text, found 12. Quote it: "12", or as it was written.',
    ],
    ["name: a/b", 'name: expected a name for a folder, without slashes or control characters, found "a/b".'],
    ["name: ..", 'name: expected a name for a folder, without slashes or control characters, found "..".'],
    [
      '"a\\nb": 1',
      '"a\\nb": unknown key. Known: name, seed, device, data, tokenizer, model, train, optimizer, ' +
      "schedule, eval, sample, output, track, capture, hooks, ablations.",
    ],
  ];
  for (const [yaml, expected] of cases) assert.equal(message(yaml), `configs/a.yaml: ${expected}`, yaml);
});

Deno.test("a key of another section is reported with its section", () => {
  assert.equal(message("lr: 1e-3"), 'configs/a.yaml: lr: unknown key. Did you mean "optimizer.lr"?');
  assert.equal(
    message("model: { std: 1 }"),
    'configs/a.yaml: model.std: unknown key. Did you mean "model.init.std"?',
  );
});

Deno.test("keys that every object inherits are unknown keys", () => {
  for (const key of ["__proto__", "constructor", "toString"]) {
    assert.match(message(`${key}: { dim: 1 }`), /: unknown key\./, key);
    assert.match(message(`model: { ${key}: 1 }`), /: unknown key\./, key);
  }
  assert.equal(({} as { dim?: number }).dim, undefined);
});

Deno.test("an unknown key is reported before a wrong value", () => {
  assert.match(
    message("{ seed: x, modle: {} }"),
    /^configs\/a\.yaml: modle: unknown key\. Did you mean "model"\?$/,
  );
});

Deno.test("heads that do not divide dim are refused with the closest that do", () => {
  const heads = "configs/a.yaml: model.heads:";
  assert.equal(
    message("model: { heads: 5 }"),
    `${heads} 5 does not divide model.dim 128; the nearest divisors are 4 and 8.`,
  );
  assert.equal(
    message("model: { heads: 300 }"),
    `${heads} 300 does not divide model.dim 128; the nearest divisor is 128.`,
  );
  assert.equal(
    message("model: { heads: 2, dim: 7 }"),
    `${heads} 2 does not divide model.dim 7; the nearest divisors are 1 and 7.`,
  );
  for (const n of [1, 2, 4, 8, 64, 128]) assert.equal(resolve(`model: { heads: ${n} }`).model.heads, n);
});

Deno.test("splits must leave something to train on", () => {
  assert.match(
    message("data: { split: { val: 0.6, test: 0.4 } }"),
    /data\.split: val 0\.6 and test 0\.4 leave nothing/,
  );
  assert.equal(resolve("data: { split: { val: 0.6, test: 0.39 } }").data.split.test, 0.39);
});

Deno.test("the evaluation split must contain text, unless the source is a synthetic task", () => {
  assert.match(
    message("data: { split: { val: 0 } }"),
    /eval\.split: val is empty, since data\.split\.val is 0/,
  );
  assert.match(
    message("{ data: { split: { test: 0 } }, eval: { split: test } }"),
    /eval\.split: test is empty/,
  );
  assert.equal(resolve("data: { source: copy, split: { val: 0 } }").eval.split, "val");
  assert.match(
    message("data: { source: copy, files: [a.txt], split: { val: 0 } }"),
    /eval\.split: val is empty/,
  );
  assert.equal(resolve("{ data: { split: { val: 0 } }, eval: { split: train } }").eval.split, "train");
});

Deno.test("a cosine with its own length must be longer than the warmup, a short run need not", () => {
  assert.match(message("schedule: { steps: 99 }"), /schedule\.warmup: 100 is above schedule\.steps 99/);
  assert.equal(resolve("schedule: { steps: 100 }").schedule.steps, 100);
  assert.equal(resolve("schedule: { name: constant, steps: 99 }").schedule.steps, 99);
  assert.equal(resolve("train: { steps: 10 }").schedule.warmup, 100);
});

Deno.test("a learning rate below the schedule's minimum is refused", () => {
  assert.equal(
    message("{}", "optimizer.lr=1e-5"),
    "override optimizer.lr=1e-5: schedule.min_lr: 0.0001 is above optimizer.lr 0.00001; expected at most 0.00001.",
  );
  assert.equal(resolve("{ optimizer: { lr: 1e-4 } }").schedule.min_lr, 1e-4);
  assert.equal(resolve("{ optimizer: { lr: 1e-5 }, schedule: { name: constant } }").optimizer.lr, 1e-5);
});

Deno.test("keys that a text or a task does not use are refused, except in checkpoints", () => {
  assert.equal(
    message("{ data: { answer_only: true } }"),
    "configs/a.yaml: data.answer_only: true is only for synthetic tasks, found data.source brown; expected false.",
  );
  assert.equal(
    message("{ data: { answer_only: true, source: copy } }", "data.files=[a.txt]"),
    "override data.files=[a.txt]: data.answer_only: true is only for synthetic tasks, found data.files; expected false.",
  );
  assert.equal(
    message("{ data: { source: copy, split_files: { test: [a.txt] } } }"),
    "configs/a.yaml: data.split_files.test: files are only for texts, found the synthetic task of data.source copy; expected [].",
  );
  assert.equal(resolve("{ data: { answer_only: true, source: copy } }").data.answer_only, true);
  assert.equal(resolve("{ data: { answer_only: true, tasks: mine.ts } }").data.answer_only, true);
  assert.equal(resolve("{ data: { split_files: { val: [a.txt] } } }").data.split_files.val.length, 1);
  const saved = { place: "checkpoint", name: "checkpoint", saved: true };
  assert.equal(resolveConfig({ data: { answer_only: true } }, saved).data.answer_only, true);
});

Deno.test("a warmup longer than the run is valid, with a warning", () => {
  assert.deepEqual(configWarnings(resolve("train: { steps: 100 }")), []);
  assert.deepEqual(configWarnings(resolve("train: { steps: 99 }")), [
    "schedule.warmup: 100 is above train.steps 99; the learning rate does not reach optimizer.lr.",
  ]);
});

Deno.test("an attention bias goes with sigmoid only", () => {
  assert.match(
    message("model: { block: { attention: { bias: -3 } } }"),
    /attention\.bias: -3 needs activation sigmoid, found softmax; expected auto\.$/,
  );
  const { attention } =
    resolve("model: { block: { attention: { activation: sigmoid, bias: -3 } } }").model.block;
  assert.deepEqual([attention.activation, attention.bias], ["sigmoid", -3]);
});

Deno.test("an error caused by an override names the override", () => {
  const cases: [string[], string][] = [
    [["model.dmi=3"], 'override model.dmi=3: unknown key. Did you mean "dim"?'],
    [
      ["train.steps=a", "train.steps=b"],
      'override train.steps=b: expected an integer of at least 1, found "b".',
    ],
    [["model={dmi: 3}"], 'override model={dmi: 3}: model.dmi: unknown key. Did you mean "dim"?'],
    [["train.steps=many"], 'override train.steps=many: expected an integer of at least 1, found "many".'],
    [
      ["seed=2", "model.dim=130", "train.steps=5"],
      "override model.dim=130: model.heads: 4 does not divide model.dim 130; the nearest divisors are 2 and 5.",
    ],
    [
      ["~optimizer.betas.0"],
      "override ~optimizer.betas.0: optimizer.betas.1: expected a number of at least 0 and below 1, found nothing.",
    ],
  ];
  for (const [overrides, expected] of cases) {
    assert.equal(message("optimizer: { betas: [0.9, 0.95] }", ...overrides), expected);
  }
  assert.match(message("train: { steps: x }", "seed=2"), /^configs\/a\.yaml: train\.steps: /);
});

type Schema = {
  type?: string;
  description?: string;
  default?: unknown;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean;
};

Deno.test("the JSON Schema documents every key, refuses unknown ones and gives each default", () => {
  const leaves = (schema: Schema, value: unknown, path: string): number => {
    if (path !== "") assert.ok((schema.description ?? "").length > 5, `${path} has a description`);
    if (schema.properties === undefined) {
      if (path !== ".name") assert.deepEqual(schema.default, value, `${path} has its default`);
      return 1;
    }
    // Other keys under hooks are declared by the hooks file.
    if (path !== ".hooks") assert.equal(schema.additionalProperties, false, path);
    const record = value as Record<string, unknown>;
    assert.deepEqual(Object.keys(schema.properties).sort(), Object.keys(record).sort(), path);
    return Object.entries(schema.properties).reduce(
      (n, [key, child]) => n + leaves(child, record[key], `${path}.${key}`),
      0,
    );
  };
  const schema = runJsonSchema() as Schema & { required?: string[] };
  assert.equal(leaves(schema, defaultsOf(CONFIG_KEYS), ""), 102);
  assert.equal(schema.required, undefined);
  assert.equal(schema.properties?.train.properties?.steps.type, "integer");
});
