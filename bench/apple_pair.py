"""Apple's tiny pair in PyTorch, on heed's default text: what simple_softmax and simple_sigmoid are compared with.

The published model ("Theory, Analysis, and Best Practices for Sigmoid Self-Attention", the attention simulator's
experiments): every weight from a truncated normal of 0.02, QK-norm, no biases, AdamW, cosine with warmup; characters in
place of T5's tokens, windows in seeded order. Prints the mean loss of 50 validation batches, in nats per character.

    deno eval 'import { loadText } from "./mod.ts"; console.log((await loadText({ source: "brown" })).text)' > brown.txt
    python bench/apple_pair.py brown.txt softmax    # or sigmoid
"""

import math
import sys

import torch
from torch import nn
from torch.nn import functional as F

CONTEXT, DIM, HEADS, BATCH, STEPS, WARMUP = 64, 384, 12, 8, 1000, 100
PEAK, FLOOR = 3e-4, 3e-9


def sincos() -> torch.Tensor:
    angles = torch.arange(CONTEXT)[:, None] * 10000 ** (-torch.arange(0, DIM, 2) / DIM)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


def rotated(x: torch.Tensor) -> torch.Tensor:
    d = x.shape[-1]
    angles = torch.arange(x.shape[-2])[:, None] * 10000 ** (-torch.arange(0, d, 2) / d)
    turned = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous()) * torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(turned).flatten(-2)


class Model(nn.Module):
    def __init__(self, activation: str, vocabulary: int):
        super().__init__()
        self.activation = activation
        self.embed = nn.Embedding(vocabulary, DIM)
        self.ln1, self.ln2, self.final = nn.LayerNorm(DIM), nn.LayerNorm(DIM), nn.LayerNorm(DIM, eps=1e-6)
        self.q_norm, self.k_norm = nn.LayerNorm(DIM // HEADS), nn.LayerNorm(DIM // HEADS)
        self.qkv, self.out = nn.Linear(DIM, 3 * DIM, bias=False), nn.Linear(DIM, DIM, bias=False)
        self.up, self.down = nn.Linear(DIM, 4 * DIM, bias=False), nn.Linear(4 * DIM, DIM, bias=False)
        self.head = nn.Linear(DIM, vocabulary, bias=False)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.trunc_normal_(module.weight, std=0.02)

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        B, T, _ = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, HEADS, DIM // HEADS).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q), self.k_norm(k)
        if self.activation == "sigmoid":
            q, k = rotated(q), rotated(k)
        scores = q @ k.transpose(-1, -2) / math.sqrt(DIM // HEADS)
        scores = scores.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), -1e30)
        pattern = scores.softmax(-1) if self.activation == "softmax" else torch.sigmoid(scores - 10)
        return self.out((pattern @ v).transpose(1, 2).reshape(B, T, DIM))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        if self.activation == "softmax":
            x = x + sincos()
        x = x + self.attention(self.ln1(x))
        x = x + self.down(F.gelu(self.up(self.ln2(x))))
        return self.head(self.final(x))


def main(file: str, activation: str, seed: int = 1) -> None:
    text = open(file, encoding="utf-8").read().removesuffix("\n")
    ids_of = {c: i for i, c in enumerate(sorted(set(text)))}
    ids = torch.tensor([ids_of[c] for c in text])
    train, val = ids[: int(0.85 * len(ids))], ids[int(0.85 * len(ids)) : int(0.95 * len(ids))]
    torch.manual_seed(seed)
    model = Model(activation, len(ids_of))
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, betas=(0.9, 0.95), weight_decay=0)
    order = torch.randperm((len(train) - 1) // CONTEXT)

    def loss_of(source: torch.Tensor, windows) -> torch.Tensor:
        rows = torch.stack([source[w * CONTEXT : (w + 1) * CONTEXT + 1] for w in windows])
        return F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())

    for step in range(STEPS):
        share = (step - WARMUP) / (STEPS - WARMUP)
        decayed = FLOOR + (PEAK - FLOOR) * (1 + math.cos(math.pi * share)) / 2
        optimizer.param_groups[0]["lr"] = PEAK * (step + 1) / WARMUP if step < WARMUP else decayed
        optimizer.zero_grad()
        loss_of(train, order[step * BATCH : (step + 1) * BATCH].tolist()).backward()
        optimizer.step()
    with torch.no_grad():
        losses = [loss_of(val, range(b * BATCH, (b + 1) * BATCH)).item() for b in range(50)]
    print(f"{activation}: {sum(losses) / len(losses):.4f}")


main(*sys.argv[1:3])
