"""Training steps of heed's configurations in PyTorch eager: forward, backward, clipping and AdamW on random tokens.

python bench/pytorch_step.py nanogpt_cpu|default THREADS [fused]; prints the milliseconds of each of ROUNDS medians as JSON.
"""
import json
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

ROUNDS, STEPS = 5, 20
CONFIGURATIONS = {
    "nanogpt_cpu": dict(context=64, dim=128, layers=4, heads=4, batch=12, vocabulary=65),
    "default": dict(context=64, dim=64, layers=2, heads=4, batch=12, vocabulary=65),
}


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, bias=False), nn.LayerNorm(dim, bias=False)
        self.qkv, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.up, self.down = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = (y.view(B, T, self.heads, -1).transpose(1, 2) for y in self.qkv(self.norm1(x)).split(D, 2))
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(z.transpose(1, 2).reshape(B, T, D))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Model(nn.Module):
    def __init__(self, context, dim, layers, heads, vocabulary):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, dim), nn.Embedding(context, dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(dim, bias=False)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions.weight
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.tokens.weight)


name, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
torch.manual_seed(1)
c = CONFIGURATIONS[name]
batch = c.pop("batch")
model = Model(**c)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused="fused" in sys.argv)


def step():
    ids, targets = (torch.randint(c["vocabulary"], (batch, c["context"])) for _ in range(2))
    loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


for _ in range(5):
    step()
medians = []
for _ in range(ROUNDS):
    times = []
    for _ in range(STEPS):
        began = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - began))
    medians.append(statistics.median(times))
print(json.dumps(medians))
