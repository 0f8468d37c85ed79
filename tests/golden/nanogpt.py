"""Golden numbers of nanoGPT's CPU model: ten AdamW steps in PyTorch, in float64 (the truth) and in float32.

Initial parameters come from the threefry stream of src/base/random.ts, ported here, so that golden.ts
makes the same ones and none are stored. Usage: python nanogpt.py tiny_shakespeare.txt
"""

import hashlib
import json
import math
import pathlib
import platform
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

SEED = 1337
LAYERS, HEADS, DIM, CONTEXT, BATCH, VOCABULARY, EPS = 4, 4, 128, 64, 12, 65, 1e-5
STEPS, LR, BETAS, ADAM_EPS, DECAY, CLIP = 10, 1e-3, (0.9, 0.99), 1e-8, 0.1, 1.0
SAMPLES, PROJECTIONS = 512, 8
TEXT_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


# Random numbers: the same draws as randomStream(seed, purpose) in src/base/random.ts.


def threefry2x32(k0: int, k1: int, c0: np.ndarray, c1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """20 rounds over arrays of uint32 counters."""
    rotations = (13, 15, 26, 6, 17, 29, 16, 24)
    keys = [np.uint32(k) for k in (k0, k1, k0 ^ k1 ^ 0x1BD11BDA)]
    x0, x1 = c0 + keys[0], c1 + keys[1]
    for group in range(5):
        for r in rotations[(group & 1) * 4 : (group & 1) * 4 + 4]:
            x0 = x0 + x1
            x1 = ((x1 << np.uint32(r)) | (x1 >> np.uint32(32 - r))) ^ x0
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


def draws(purpose: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` 64-bit draws of SEED's stream for `purpose`, whose FNV-1a hash is half of the key."""
    key = 0x811C9DC5
    for byte in purpose.encode():
        key = ((key ^ byte) * 0x01000193) & 0xFFFFFFFF
    return threefry2x32(SEED, key, np.arange(count, dtype=np.uint32), np.zeros(count, dtype=np.uint32))


def normals(purpose: str, count: int) -> np.ndarray:
    """Standard normals in float64 by Box-Muller, two draws each."""
    a, b = draws(purpose, 2 * count)
    u = ((a >> np.uint32(5)) * 67108864.0 + (b >> np.uint32(6))) / 9007199254740992.0
    return np.sqrt(-2 * np.log(1 - u[0::2])) * np.cos(2 * np.pi * u[1::2])


def integers_below(n: int, purpose: str, count: int) -> np.ndarray:
    """Uniform integers in [0, n), the draws past the last multiple of n left out."""
    bits = draws(purpose, 2 * count + 64)[0].astype(np.int64)
    return (bits[bits < 2**32 // n * n] % n)[:count]


# The model.


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wq, self.wk, self.wv, self.wo = (nn.Linear(DIM, DIM, bias=False) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _ = x.shape
        q, k, v = (w(x).view(b, t, HEADS, DIM // HEADS).transpose(1, 2) for w in (self.wq, self.wk, self.wv))
        scores = q @ k.transpose(-2, -1) / math.sqrt(DIM // HEADS)
        future = torch.ones(t, t, dtype=torch.bool).triu(1)
        z = torch.softmax(scores.masked_fill(future, -math.inf), dim=-1) @ v
        return self.wo(z.transpose(1, 2).reshape(b, t, DIM))


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.proj = nn.Linear(DIM, 4 * DIM, bias=False), nn.Linear(4 * DIM, DIM, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(F.gelu(self.fc(x)))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ln1, self.attn = nn.LayerNorm(DIM, eps=EPS, bias=False), Attention()
        self.ln2, self.mlp = nn.LayerNorm(DIM, eps=EPS, bias=False), Mlp()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class NanoGpt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.pos_embed = nn.Embedding(VOCABULARY, DIM), nn.Embedding(CONTEXT, DIM)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.final_norm = nn.LayerNorm(DIM, eps=EPS, bias=False)

    def forward(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The mean cross-entropy; the head is the token embedding."""
        x = self.embed(ids) + self.pos_embed.weight
        for block in self.blocks:
            x = block(x)
        logits = self.final_norm(x) @ self.embed.weight.T
        return F.cross_entropy(logits.view(-1, VOCABULARY), targets.view(-1))


def recipe(name: str) -> tuple[float, float]:
    """Mean and standard deviation of a parameter's initial values."""
    if "ln" in name or "norm" in name:
        return 1.0, 0.1  # not all ones, so that a gradient that forgets the weight shows
    return 0.0, 0.02 / math.sqrt(2 * LAYERS) if name.endswith(("wo.weight", "proj.weight")) else 0.02


def initial(name: str, shape: tuple[int, ...]) -> np.ndarray:
    mean, std = recipe(name)
    return (mean + std * normals("golden " + name, math.prod(shape))).astype(np.float32).reshape(shape)


def batches(text: str) -> tuple[np.ndarray, np.ndarray]:
    """ids and targets [STEPS, BATCH, CONTEXT]: random crops of the first 90% of the text, as in nanoGPT."""
    letters = sorted(set(text))
    assert len(letters) == VOCABULARY
    train = np.array([letters.index(c) for c in text[: int(len(text) * 0.9)]], dtype=np.uint8)
    offsets = integers_below(len(train) - CONTEXT, "golden batches", STEPS * BATCH).reshape(STEPS, BATCH, 1)
    at = offsets + np.arange(CONTEXT)
    return train[at], train[at + 1]


def train_ten(dtype: torch.dtype, ids: np.ndarray, targets: np.ndarray) -> tuple[dict, dict[str, np.ndarray]]:
    """Ten AdamW steps: losses before each update, gradient norms before clipping, and step 1's gradients."""
    model = NanoGpt().to(dtype)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(torch.from_numpy(initial(name, p.shape)))
    matrices = [p for p in parameters.values() if p.dim() >= 2]
    vectors = [p for p in parameters.values() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=ADAM_EPS)
    losses, norms, first = [], [], {}
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = model(*(torch.from_numpy(x[step].astype(np.int64)) for x in (ids, targets)))
        loss.backward()
        if step == 0:
            first = {name: p.grad.double().numpy().copy() for name, p in parameters.items()}
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP).item())
        losses.append(loss.item())
        optimizer.step()
    return {"losses": losses, "gradient_norms": norms}, first


# What is stored.


def check(name: str, shape: tuple[int, ...]) -> dict:
    """How a parameter is made, and what shows that it was made right."""
    (mean, std), values = recipe(name), initial(name, shape).astype(np.float64).ravel()
    sums = {"sum": values.sum(), "sum_squares": (values**2).sum(), "last": values[-1]}
    return {"shape": list(shape), "mean": mean, "std": std, **sums}


def project(name: str, gradient: np.ndarray) -> list[float]:
    """Dot products with PROJECTIONS vectors of signs: bit 0 of a draw gives +1 for 0 and -1 for 1."""
    bits = (draws(f"golden projection {name} {k}", gradient.size)[0] & 1 for k in range(PROJECTIONS))
    return [float(((1.0 - 2.0 * b) * gradient).sum()) for b in bits]


def sample(gradient: np.ndarray) -> np.ndarray:
    """Entries floor(j (n - 1) / (m - 1)): no stride of whole or half rows that would miss most columns."""
    n, m = gradient.size, min(gradient.size, SAMPLES)
    return gradient[np.arange(m) * (n - 1) // (m - 1)].astype("<f4")


def write_json(path: pathlib.Path, content: dict) -> None:
    """One line for each entry of the second level, so that a difference reads well."""
    lines = []
    for key, value in content.items():
        entries = [f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()]
        lines.append(f"  {json.dumps(key)}: {{\n" + ",\n".join(entries) + "\n  }")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def versions() -> dict:
    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}


def main() -> None:
    torch.set_num_threads(1)  # one order of summation, so that a second run writes the same bytes
    raw = pathlib.Path(sys.argv[1]).read_bytes()
    assert hashlib.sha256(raw).hexdigest() == TEXT_SHA256, "another text than tiny_shakespeare"
    ids, targets = batches(raw.decode())
    exact, gradients = train_ten(torch.float64, ids, targets)
    single, gradients32 = train_ten(torch.float32, ids, targets)

    binary = [np.stack([ids, targets], axis=1).tobytes()]
    records, at = {}, len(binary[0])
    for name, gradient in gradients.items():
        flat, norm = gradient.ravel(), float(np.linalg.norm(gradient))
        entries = sample(flat)
        records[name] = {
            "norm": norm,
            "float32_error": float(np.linalg.norm(gradients32[name] - gradient)) / norm,
            "projections": project(name, flat),
            "samples": len(entries),
            "byte": at,
        }
        binary.append(entries.tobytes())
        at += entries.nbytes

    here = pathlib.Path(__file__).parent
    sizes = {"layers": LAYERS, "heads": HEADS, "dim": DIM, "context": CONTEXT, "vocabulary": VOCABULARY}
    adamw = {"lr": LR, "betas": BETAS, "eps": ADAM_EPS, "decay": DECAY, "clip": CLIP}
    content = {
        "made_with": {**versions(), "text_sha256": TEXT_SHA256},
        "model": {**sizes, "eps": EPS},
        "training": {"seed": SEED, "steps": STEPS, "batch": BATCH, **adamw},
        "float64": exact,
        "float32": single,
        "parameters": {name: check(name, g.shape) for name, g in gradients.items()},
        "gradients": records,
    }
    write_json(here / "nanogpt.json", content)
    (here / "nanogpt.bin").write_bytes(b"".join(binary))


if __name__ == "__main__":
    main()
