"""Golden numbers of the attention family and of two layers made of it, from PyTorch's autograd in float64.

Inputs are multiples of 1/256, which float32 holds; outputs and gradients have 12 digits. Tensors are [B, T, H, d].
Usage: python attention.py
"""

import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from nanogpt import integers_below, normals, versions, write_json
from ops import draw

B, T, S, H, HKV, D, DV = 2, 5, 7, 4, 2, 3, 4
I, J = torch.arange(T)[:, None], torch.arange(S)[None, :]
CAUSAL = J <= I
FUTURE = torch.ones(6, 6, dtype=torch.bool).triu(1)
Tensors = dict[str, torch.Tensor]


def stored(x: torch.Tensor) -> dict:
    values = x.detach().double().flatten().tolist()
    return {"shape": list(x.shape), "data": [float(f"{value:.12g}") for value in values]}


def inputs(name: str, t: int = T, s: int = S, h: int = H, hkv: int = HKV) -> Tensors:
    shapes = {"q": (B, t, h, D), "k": (B, s, hkv, D), "v": (B, s, hkv, DV), "dz": (B, t, h, DV)}
    return {key: draw(f"family {name} {key}", *shape, scale=1.25) for key, shape in shapes.items()}


def bits(name: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(integers_below(2, "golden family " + name, math.prod(shape)).reshape(shape) == 1)


SHARED = inputs("shared")
MASK = bits("activation mask", H, T, S)
MASK[1, 3] = False  # a row that sees nothing


def case(forward, given: Tensors = SHARED, constants: Tensors = {}, **learned: torch.Tensor) -> dict:
    """z = forward(q, k, v, **learned) under the upstream dz, and the gradients of all four."""
    leaves = {key: x.clone().requires_grad_() for key, x in {**given, **learned}.items() if key != "dz"}
    z = forward(**leaves)
    z.backward(given["dz"])
    own = {} if given is SHARED else given
    made = {"z": z, **{f"d{key}": x.grad for key, x in leaves.items()}}
    return {key: stored(x) for key, x in {**own, **learned, **constants, **made}.items()}


def heads(x: torch.Tensor, h: int, modulo: bool) -> torch.Tensor:
    """[B, S, Hkv, d] as [B, H, S, d]: head h reads floor(h Hkv / H), or h mod Hkv."""
    hkv = x.shape[2]
    of = torch.arange(h) % hkv if modulo else torch.arange(h) * hkv // h
    return x.transpose(1, 2)[:, of]


def softmax(scores: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """Softmax over the visible keys; a row of zeros where there is none."""
    weights = torch.softmax(scores.masked_fill(~visible, -1e300), dim=-1)
    return weights.masked_fill(~visible, 0.0)


def softmax1(scores: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """exp(s_j) / (1 + sum exp(s)): one more logit, which is 0 and has no value."""
    more = torch.cat([scores.masked_fill(~visible, -1e300), torch.zeros_like(scores[..., :1])], dim=-1)
    return torch.softmax(more, dim=-1)[..., :-1]


def entmax15(scores: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """max(0, s_j / 2 - tau)^2 with rows of sum 1 (Peters, Niculae and Martins 2019, algorithm 2); zeros where no key is visible.

    PyTorch has no entmax: this is autograd through the sorted form, which `closed_form` is held against.
    """
    x = scores.masked_fill(~visible, -1e4) / 2
    ordered = torch.sort(x, dim=-1, descending=True).values
    k = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    mean = ordered.cumsum(-1) / k
    spread = (ordered**2).cumsum(-1) - k * mean**2
    tau = mean - torch.sqrt(((1 - spread) / k).clamp(min=1e-300))
    supported = ((tau <= ordered) & (spread <= 1)).cumprod(-1).sum(-1, keepdim=True)
    weights = (x - tau.gather(-1, supported - 1)).clamp(min=0) ** 2
    return weights.masked_fill(~visible, 0.0)


def closed_form(a: torch.Tensor, da: torch.Tensor) -> torch.Tensor:
    """The gradient of entmax15's scores: u (da - sum u da / sum u), u = sqrt(a)."""
    u = a.sqrt()
    total = u.sum(-1, keepdim=True).clamp(min=1e-300)
    return u * (da - (u * da).sum(-1, keepdim=True) / total)


def check_entmax15() -> None:
    scores, da = draw("entmax15 scores", 40, 9, scale=3.0), draw("entmax15 gradient", 40, 9)
    leaf = scores.clone().requires_grad_()
    a = entmax15(leaf, torch.ones(40, 9, dtype=torch.bool))
    assert torch.allclose(a.sum(-1), torch.ones(40, dtype=torch.float64), atol=1e-14)
    (found,) = torch.autograd.grad(a, leaf, da)
    assert torch.allclose(found, closed_form(a.detach(), da), atol=1e-13)


def elementwise(function, power: float = 0.0):
    """function(s) / n^power, n the visible keys of the row."""

    def weights(scores: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        n = visible.expand(scores.shape).sum(dim=-1, keepdim=True).clamp(min=1).double()
        return function(scores).masked_fill(~visible, 0.0) / n**power

    return weights


def dense(weights=softmax, visible=CAUSAL, modify=lambda s, **_: s, modulo: bool = False):
    """Attention as its definition has it, with every matrix in memory."""

    def forward(q, k, v, **learned):
        h = q.shape[2]
        scores = torch.einsum("bihd,bhjd->bhij", q, heads(k, h, modulo)) / math.sqrt(q.shape[3])
        pattern = weights(modify(scores, **learned), visible.expand(scores.shape))
        return torch.einsum("bhij,bhjd->bihd", pattern, heads(v, h, modulo))

    return forward


def sdpa(q, k, v, **options):
    """torch.nn.functional.scaled_dot_product_attention, from and to [B, T, H, d]."""
    return F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), **options).transpose(1, 2)


def torch_cases() -> dict:
    """What PyTorch has a function of its own for; masks are True where a query attends."""
    mask = bits("sdpa mask", B, 1, T, S)
    mask[0, 0, 2] = mask[1, 0, 4] = False  # rows that see nothing
    full = inputs("ungrouped", hkv=H)
    square = inputs("square", t=6, s=6)
    return {
        "sdpa full": case(lambda q, k, v: sdpa(q, k, v), full),
        "sdpa causal": case(lambda q, k, v: sdpa(q, k, v, is_causal=True, enable_gqa=True), square),
        "sdpa causal, T != S": case(lambda q, k, v: sdpa(q, k, v, is_causal=True, enable_gqa=True)),
        "sdpa boolean mask": case(
            lambda q, k, v: sdpa(q, k, v, attn_mask=mask, enable_gqa=True), constants={"mask": mask}
        ),
        "sdpa scale": case(lambda q, k, v: sdpa(q, k, v, scale=0.25, enable_gqa=True)),
    }


def activation_cases() -> dict:
    sigmoid, relu = torch.sigmoid, torch.relu
    relu2 = lambda s: torch.relu(s) ** 2
    kinds = {
        "softmax": softmax,
        "softmax1": softmax1,
        "entmax15": entmax15,
        "sigmoid": elementwise(lambda s: sigmoid(s - math.log(S))),
        "sigmoid of bias -1.5": elementwise(lambda s: sigmoid(s - 1.5)),
        "sigmoid / n": elementwise(sigmoid, 1),
        "sigmoid / sqrt n": elementwise(sigmoid, 0.5),
        "relu": elementwise(relu),
        "relu / n": elementwise(relu, 1),
        "relu2": elementwise(relu2),
        "relu2 / n": elementwise(relu2, 1),
    }
    check_entmax15()
    sparse = dense(lambda s, visible: entmax15(4 * s, visible))
    return {
        **{name: case(dense(kind, MASK)) for name, kind in kinds.items()},
        "entmax15 of four times the scores": case(sparse),
    }


def alibi_slopes(h: int) -> torch.Tensor:
    """The reference of the paper's authors, for 6 heads: those of 4, then every other one of 8."""
    power = 2 ** math.floor(math.log2(h))
    slopes = lambda n: [2 ** (-8 * (i + 1) / n) for i in range(n)]
    return torch.tensor((slopes(power) + slopes(2 * power)[::2])[:h], dtype=torch.float64)


def family_cases() -> dict:
    documents_q = torch.tensor([[0, 0, 1, 1, 2], [0, 1, 1, 1, 1]])
    documents_k = torch.tensor([[0, 0, 0, 1, 1, 1, 2], [0, 1, 1, 2, 2, 2, 2]])
    same = (documents_q[:, None, :, None] == documents_k[:, None, None, :]) & CAUSAL
    valid = torch.tensor([[1, 1, 0, 1, 0, 1, 1], [0, 0, 1, 1, 1, 1, 0]])
    scaled = lambda s, tau, bias: s * torch.exp(tau) + bias[:, None, None]
    tau, bias = draw("family tau", 1, scale=0.5), draw("family bias", H)
    six = inputs("six heads", h=6, hkv=3)
    slopes = alibi_slopes(6)[:, None, None]
    distance = (J - I).abs().clamp(max=5)
    below = inputs("six queries", t=6, s=4)
    rows, columns = torch.arange(6)[:, None], torch.arange(4)[None, :]
    return {
        "window 3": case(dense(visible=CAUSAL & (I - J < 3))),
        "symmetric window 2": case(dense(visible=(I - J).abs() < 2)),
        "prefix-LM": case(dense(visible=CAUSAL | (J < 3))),
        "documents": case(
            dense(visible=same), constants={"documents_q": documents_q, "documents_k": documents_k}
        ),
        "key padding": case(
            dense(visible=(valid == 1)[:, None, None, :] & CAUSAL), constants={"valid": valid}
        ),
        "learned temperature and bias": case(dense(modify=scaled), tau=tau, bias=bias),
        "learned temperature and bias, sigmoid": case(
            dense(elementwise(torch.sigmoid), modify=scaled), tau=tau, bias=bias
        ),
        "ALiBi for 6 heads": case(dense(modify=lambda s: s + slopes * (J - I)), six),
        "softcap 1.5": case(dense(modify=lambda s: 1.5 * torch.tanh(s / 1.5))),
        "learned distance table": case(
            dense(visible=torch.ones(T, S, dtype=torch.bool), modify=lambda s, table: s + table[distance]),
            table=draw("family table", 6),
        ),
        "modulo heads": case(dense(modulo=True)),
        "causal from the bottom right": case(dense(visible=columns <= rows + 4 - 6), below),
    }


def multi_head_layer() -> dict:
    """torch.nn.MultiheadAttention, whose mask says True where a query does not attend."""
    layer = nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    padding = torch.tensor([[False] * 5 + [True], [False] * 6])
    options = {"attn_mask": FUTURE, "key_padding_mask": padding, "need_weights": False}
    return layer_case(layer, lambda x: layer(x, x, x, **options)[0], constants={"valid": ~padding})


def decoder_layer() -> dict:
    """torch.nn.TransformerEncoderLayer with a causal mask, norm first, exact GELU: a pre-norm decoder layer."""
    layer = nn.TransformerEncoderLayer(
        8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    return layer_case(layer, lambda x: layer(x, src_mask=FUTURE))


def layer_case(layer: nn.Module, forward, constants: Tensors = {}) -> dict:
    """Parameters drawn by name, y = forward(x) and the gradients of x and of every parameter under dy."""
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            near_one = name.startswith("norm") and name.endswith("weight")
            parameter.copy_(draw(f"layer {name}", *parameter.shape, scale=0.35) + float(near_one))
    x, dy = draw("layer x", B, 6, 8).requires_grad_(), draw("layer dy", B, 6, 8)
    y = forward(x)
    y.backward(dy)
    parameters = dict(layer.named_parameters())
    made = {"y": y, "dx": x.grad, **{f"d{name}": p.grad for name, p in parameters.items()}}
    return {name: stored(p) for name, p in {"x": x, "dy": dy, **constants, **parameters, **made}.items()}


def main() -> None:
    torch.set_num_threads(1)
    content = {
        "made_with": versions(),
        "shared": {name: stored(x) for name, x in {**SHARED, "mask": MASK}.items()},
        **torch_cases(),
        **activation_cases(),
        **family_cases(),
        "multi-head layer": multi_head_layer(),
        "decoder layer": decoder_layer(),
    }
    for name, tensors in content.items():
        numbers = [x for value in tensors.values() if isinstance(value, dict) for x in value["data"]]
        assert np.isfinite(numbers).all(), name
    write_json(pathlib.Path(__file__).parent / "attention.json", content)


if __name__ == "__main__":
    main()
