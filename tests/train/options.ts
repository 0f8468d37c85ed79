// Changes to the default configuration, each of which gives the step other operations: for tests that try all of them.

/** Changes by what they choose. */
export const OPTIONS: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  [
    ["model.dropout=0.2"],
    ["model.norm=rmsnorm"],
    ["model.bias=true"],
    ["model.tied=false"],
    ...["relu", "gelu_tanh", "silu", "relu2"].map((f) => [`model.block.mlp.activation=${f}`]),
    ["model.block.mlp.gated=true"],
    ...["softmax1", "entmax15", "sigmoid", "relu", "relu2"].map((f) => [
      `model.block.attention.activation=${f}`,
    ]),
    ...["none", "rope", "alibi", "sincos"].map((kind) => [`model.positions=${kind}`]),
    ["model.block.attention.extra_keys=3"],
    ["model.block.attention.temperature=learned"],
    ["model.block.attention.qk_norm=rmsnorm"],
    ["model.block.attention.kv_heads=1"],
    ["model.block.attention.window=4"],
    ["model.block.attention.layer_scale=0.1"],
    ["model.block.attention.softcap=30"],
    ["model.block.norm_order=hybrid"],
    ...["sgd", "lion", "muon"].map((name) => [`optimizer.name=${name}`]),
    ["train.accumulate=3"],
    ["model.positions=rope", "model.block.attention.activation=sigmoid", "model.block.mlp.gated=true"],
  ].map((changes) => [changes.join(" "), changes]),
);
