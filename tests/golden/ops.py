"""Golden numbers of single operations, forward and gradient, from PyTorch's autograd in float64.

Inputs are multiples of 1/256, so that float32 holds them exactly and they read short. Usage: python ops.py
"""

import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

from nanogpt import normals, versions, write_json

EPS, IGNORED = 1e-5, -1


def draw(name: str, *shape: int, scale: float = 1.0) -> torch.Tensor:
    values = np.round(scale * normals("golden ops " + name, math.prod(shape)) * 256) / 256
    return torch.from_numpy(values).reshape(shape)


def stored(x: torch.Tensor) -> dict:
    return {"shape": list(x.shape), "data": x.detach().flatten().tolist()}


def case(function, inputs: dict[str, torch.Tensor], out: str, upstream: torch.Tensor) -> dict:
    """The inputs, the output as `out`, and as `dNAME` the upstream gradient and those of the inputs."""
    leaves = {name: x.clone().requires_grad_() for name, x in inputs.items()}
    y = function(**leaves)
    y.backward(upstream)
    tensors = {**inputs, out: y, f"d{out}": upstream, **{f"d{name}": x.grad for name, x in leaves.items()}}
    return {name: stored(x) for name, x in tensors.items()}


def norms() -> dict:
    x = draw("norm x", 5, 7)
    x[3] += 4  # a mean far from zero
    x[4] = draw("norm quiet row", 7, scale=1 / 128)  # a variance near eps, so that eps itself is tested
    weight, bias, dy = draw("norm weight", 7), draw("norm bias", 7), draw("norm dy", 5, 7)
    layer = lambda x, weight, bias: F.layer_norm(x, (7,), weight, bias, EPS)
    rms = lambda x, weight: F.rms_norm(x, (7,), weight, EPS)
    return {
        "layer_norm": {"eps": EPS, **case(layer, {"x": x, "weight": weight, "bias": bias}, "y", dy)},
        "rms_norm": {"eps": EPS, **case(rms, {"x": x, "weight": weight}, "y", dy)},
    }


def activations() -> dict:
    """41 points of [-6, 6], zero among them; with an upstream of ones `dx` is the derivative."""
    x = torch.from_numpy(np.round(np.arange(-20, 21) * 0.3 * 256) / 256)
    ones = torch.ones_like(x)
    return {
        "gelu": case(lambda x: F.gelu(x), {"x": x}, "y", ones),
        "gelu_tanh": case(lambda x: F.gelu(x, approximate="tanh"), {"x": x}, "y", ones),
        "relu": case(lambda x: F.relu(x), {"x": x}, "y", ones),
    }


def cross_entropy() -> dict:
    logits = draw("cross_entropy logits", 6, 9, scale=2)
    logits[2] *= 32  # exp overflows in float32 unless the row's maximum is taken off
    targets = torch.tensor([3, IGNORED, 0, 8, IGNORED, 5])
    mean = lambda logits: F.cross_entropy(logits, targets, ignore_index=IGNORED)
    result = case(mean, {"logits": logits}, "loss", torch.ones((), dtype=torch.float64))
    return {"ignore_index": IGNORED, "targets": stored(targets), **result}


def attention(pattern) -> dict:
    """Causal attention over [B, T, H, d] = [2, 5, 2, 3] with `pattern` from masked scores to weights."""
    shape = (2, 5, 2, 3)
    future = torch.ones(5, 5, dtype=torch.bool).triu(1)

    def forward(q, k, v):
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(3)
        return torch.einsum("bhij,bjhd->bihd", pattern(scores.masked_fill(future, -math.inf)), v)

    inputs = {name: draw("attention " + name, *shape, scale=1.5) for name in "qkv"}
    return case(forward, inputs, "o", draw("attention do", *shape))


def embedding() -> dict:
    ids = torch.tensor([[4, 0, 4, 2, 6], [1, 4, 0, 2, 2]])  # rows 3 and 5 unused, 4 and 2 three times
    weight, dy = draw("embedding weight", 7, 3), draw("embedding dy", 2, 5, 3)
    return {"ids": stored(ids), **case(lambda weight: F.embedding(ids, weight), {"weight": weight}, "y", dy)}


def main() -> None:
    torch.set_num_threads(1)
    scale, bias = 1 / math.sqrt(3), -math.log(5)
    softmax = attention(lambda s: torch.softmax(s, dim=-1))
    tensors = (torch.tensor(softmax[name]["data"], dtype=torch.float64) for name in "qkvo")
    q, k, v, o = (x.view(2, 5, 2, 3).transpose(1, 2) for x in tensors)
    assert torch.allclose(F.scaled_dot_product_attention(q, k, v, is_causal=True), o, rtol=1e-12, atol=1e-14)
    sigmoid = attention(lambda s: torch.sigmoid(s + bias))
    content = {
        "made_with": versions(),
        **norms(),
        **activations(),
        "cross_entropy": cross_entropy(),
        "softmax_attention": {"scale": scale, **softmax},
        "sigmoid_attention": {"scale": scale, "bias": bias, **sigmoid},
        "embedding": embedding(),
    }
    write_json(pathlib.Path(__file__).parent / "ops.json", content)


if __name__ == "__main__":
    main()
