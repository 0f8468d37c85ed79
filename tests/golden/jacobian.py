"""Golden numbers of the Jacobian of softmax and entmax15 in attention, from dense float64 PyTorch: `full`, dq and dk by autograd, the largest
eigenvalue by eigvalsh of each row's matrix, everything else by its definition over whole matrices.

Inputs are multiples of 1/256, which float32 holds; results have 12 digits. Tensors are [B, T, H, d].
Usage: python jacobian.py
"""

import math
import pathlib

import torch

from attention import draw, entmax15, heads, stored
from nanogpt import versions, write_json

B, T, H, HKV, D, DV = 2, 9, 2, 2, 3, 4
BINS = 8
I, J = torch.arange(T)[:, None], torch.arange(T)[None, :]


def rounded(x):
    """Every float of nested lists and dicts to 12 digits."""
    if isinstance(x, dict):
        return {key: rounded(value) for key, value in x.items()}
    if isinstance(x, list):
        return [rounded(value) for value in x]
    return float(f"{x:.12g}") if isinstance(x, float) else x


def inputs(name: str, hkv: int) -> dict[str, torch.Tensor]:
    shapes = {"q": (B, T, H, D), "k": (B, T, hkv, D), "v": (B, T, hkv, DV), "dz": (B, T, H, DV)}
    given = {key: draw(f"jacobian {name} {key}", *shape, scale=1.25) for key, shape in shapes.items()}
    given["dz"][1, 4] = 0  # a row whose gradient is zero
    return given


def weights(scores: torch.Tensor, visible: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "entmax15":
        return entmax15(scores, visible.expand(scores.shape))
    s = scores.masked_fill(~visible, -math.inf)
    if kind == "softmax1":
        s = torch.cat([s, torch.zeros_like(s[..., :1])], dim=-1)
    return torch.softmax(s, dim=-1)[..., :T]


def shares(a: torch.Tensor, kind: str) -> tuple[torch.Tensor, torch.Tensor | float]:
    """w and W of the Jacobian diag(w) - w w^T / W."""
    return (a.sqrt(), a.sqrt().sum(-1, keepdim=True)) if kind == "entmax15" else (a, 1.0)


def cos(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cosine over the last dimension."""
    return (x * y).sum(-1) / (x.norm(dim=-1) * y.norm(dim=-1))


def parts(signal: str, diagonal: torch.Tensor, g: torch.Tensor, visible: torch.Tensor, used: torch.Tensor, through) -> dict:
    """Ratios and cosines of one head: the Jacobian's diagonal, g, visible [B, T, T], used rows [B, T]; `through` is J g by autograd."""
    keep = visible & used[..., None]
    full, diag, ste = (torch.where(keep, x, 0.0) for x in (through(g), diagonal * g, g))
    lateral = full - diag
    bins = torch.arange(T) * BINS // T

    def ratio(x, y, rows):
        below = (full[:, rows] ** 2).sum()
        return None if below == 0 else float((x[:, rows] * y[:, rows]).sum() / below)

    def of_samples(x, rows):
        found = cos(x[:, rows].flatten(1), full[:, rows].flatten(1))
        found = found[~found.isnan()]
        return None if len(found) == 0 else float(found.mean())

    every = torch.ones(T, dtype=torch.bool)
    binned = lambda of: [of(bins == b) for b in range(BINS)]
    whole = {
        "r_diag": ratio(diag, diag, every),
        "r_lateral": ratio(lateral, lateral, every),
        "r_cross": 2 * ratio(diag, lateral, every),
        "cos_diag": of_samples(diag, every),
        "cos_ste": of_samples(ste, every),
        "cos_diag_row": float(cos(diag, full)[used].nanmean()),
        "cos_ste_row": float(cos(ste, full)[used].nanmean()),
    }
    by_position = {
        "r_diag": binned(lambda rows: ratio(diag, diag, rows)),
        "r_lateral": binned(lambda rows: ratio(lateral, lateral, rows)),
        "cos_diag": binned(lambda rows: of_samples(diag, rows)),
        "cos_ste": binned(lambda rows: of_samples(ste, rows)),
    }
    return {
        **{f"{name}{signal}": value for name, value in whole.items()},
        **{f"{name}{signal}_by_position": value for name, value in by_position.items()},
    }


def head(scores: torch.Tensor, g: torch.Tensor, visible: torch.Tensor, kind: str) -> dict:
    """Every quantity of one head: scores, g [B, T, T], visible [T, T]."""
    a = weights(scores, visible, kind)
    visible = visible.expand(a.shape)
    n = visible.sum(-1)

    def through(upstream: torch.Tensor) -> torch.Tensor:
        s = scores.clone().requires_grad_()
        upstream = torch.where(visible, upstream, 0.0)
        (found,) = torch.autograd.grad((weights(s, visible, kind) * upstream).sum(), s)
        return found

    w, W = shares(a, kind)
    centred = g - (w * g).sum(-1, keepdim=True) / W
    around = g - torch.where(visible, g, 0.0).sum(-1, keepdim=True) / n[..., None]
    # Rows with one visible key, and those of the planted zero gradient: exactly zero in exact arithmetic.
    used = torch.where(visible, through(g), 0.0).abs().amax(-1) > 1e-12
    measures = {
        **parts("", w * (1 - w / W), g, visible, used, through),
        **parts("_c", w * (1 - w / W), centred, visible, used, through),
        **parts("_m", w * (1 - w / W), around, visible, used, through),
    }
    jacobians = torch.diag_embed(w) - w[..., :, None] * (w / W)[..., None, :]
    mass = a.sum(-1, keepdim=True)
    p = a / mass
    entropy = -torch.where(p > 0, p * p.log(), 0.0).sum(-1)
    return {
        "rows": a.shape[0] * T,
        "rows_zero": int((~used).sum()),
        "visible_keys": float(n.double().mean()),
        "entropy": float(entropy.mean()),
        "entropy_ratio": float((entropy / n.double().log())[n > 1].mean()),
        **({"rowmass": float(mass.mean())} if kind == "softmax1" else {}),
        **measures,
        "trace": float(torch.diagonal(jacobians, dim1=-2, dim2=-1).sum(-1).mean()),
        "frobenius": float(jacobians.flatten(2).norm(dim=-1).mean()),
        "lambda_max": float(torch.linalg.eigvalsh(jacobians)[..., -1].mean()),
    }


def case(name: str, visible: torch.Tensor, hkv: int = HKV, kind: str = "softmax") -> dict:
    given = inputs(name, hkv)
    q, k, v = (given[key].clone().requires_grad_() for key in ("q", "k", "v"))
    scores = q.transpose(1, 2) @ heads(k, H, False).transpose(2, 3) / math.sqrt(D)
    z = (weights(scores, visible, kind) @ heads(v, H, False)).transpose(1, 2)
    z.backward(given["dz"])
    g = given["dz"].transpose(1, 2) @ heads(given["v"], H, False).transpose(2, 3)
    found = [head(scores[:, h].detach(), g[:, h], visible, kind) for h in range(H)]
    return {
        **{key: stored(x) for key, x in {**given, "dq": q.grad, "dk": k.grad}.items()},
        "heads": rounded(found),
    }


def main() -> None:
    torch.set_num_threads(1)
    causal = J <= I
    content = {
        "made_with": versions(),
        "causal": case("causal", causal),
        "window 3": case("window", causal & (I - J < 3)),
        "softmax1": case("softmax1", causal, kind="softmax1"),
        "entmax15": case("entmax15", causal, kind="entmax15"),
        "one key head": case("one key head", causal, hkv=1),
    }
    write_json(pathlib.Path(__file__).parent / "jacobian.json", content)


if __name__ == "__main__":
    main()
