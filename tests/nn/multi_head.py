"""Golden numbers of torch.nn.MultiheadAttention, forward and gradients, from PyTorch's autograd in float64.

Inputs are multiples of 1/64 from a fixed generator, so that float32 holds them exactly and they read short.
Made with Python 3.11.7 and torch 2.13.0+cpu. Usage: python multi_head.py
"""

import json
import pathlib

import torch


def draw(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.round(torch.randn(shape, generator=generator, dtype=torch.float64) * 48) / 64


def stored(x: torch.Tensor) -> dict:
    return {"shape": list(x.shape), "data": [float(f"{value:.12g}") for value in x.detach().flatten().tolist()]}


def case(seed: int, dim: int, heads: int, q_shape, k_shape, v_shape, padded=None, causal=False, **layer) -> dict:
    generator = torch.Generator().manual_seed(seed)
    module = torch.nn.MultiheadAttention(dim, heads, batch_first=True, dtype=torch.float64, **layer)
    for parameter in module.parameters():
        parameter.data = draw(generator, *parameter.shape)
    shapes = {"q": q_shape, "k": k_shape, "v": v_shape}
    inputs = {name: draw(generator, *shape).requires_grad_() for name, shape in shapes.items()}
    T, S = q_shape[1], k_shape[1]
    mask = torch.ones(T, S, dtype=torch.bool).triu(1) if causal else None
    padding = torch.tensor(padded) if padded else None
    y, _ = module(*inputs.values(), key_padding_mask=padding, attn_mask=mask, need_weights=False)
    dy = draw(generator, *y.shape)
    y.backward(dy)
    parameters = {name: stored(p) for name, p in module.named_parameters()}
    gradients = {name: stored(p.grad) for name, p in module.named_parameters()}
    tensors = {name: stored(x) for name, x in inputs.items()}
    tensors |= {f"d{name}": stored(x.grad) for name, x in inputs.items()}
    valid = [[0 if gone else 1 for gone in row] for row in padded] if padded else None
    return {
        "heads": heads, "causal": causal, "valid": valid, "parameters": parameters, "gradients": gradients,
        "y": stored(y), "dy": stored(dy), **tensors,
    }


def main() -> None:
    torch.set_num_threads(1)
    padded = [[False] * 4 + [True], [False, True, False, True, True]]
    cases = {
        "self attention, causal": case(1, 6, 2, (2, 4, 6), (2, 4, 6), (2, 4, 6), causal=True),
        "cross attention with key padding": case(2, 6, 3, (2, 3, 6), (2, 5, 6), (2, 5, 6), padded=padded),
        "keys and values of other widths, no biases":
            case(3, 4, 2, (1, 3, 4), (1, 5, 3), (1, 5, 5), bias=False, kdim=3, vdim=5),
        "learned keys and key padding":
            case(4, 6, 2, (2, 3, 6), (2, 5, 6), (2, 5, 6), padded=padded, add_bias_kv=True),
    }
    path = pathlib.Path(__file__).parent / "multi_head.json"
    path.write_text(json.dumps({"made_with": {"torch": torch.__version__}, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
