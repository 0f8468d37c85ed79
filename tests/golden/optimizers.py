"""Golden numbers of Adam, SGD and Muon with clipping: three steps of torch.optim in float64, in the manner of adamw.py.

Adam and SGD move seven parameters, of which the first four decay: torch.optim.Adam and torch.optim.SGD with momentum, with
and without Nesterov's. Muon moves a wide, a tall and a square matrix; torch.optim.Muon rounds to bfloat16 on its way, which
is replaced by nothing here, so that all of it is float64. Steps 1 and 3 are clipped, step 2 is not; the learning rate
changes. Initial values and gradients are multiples of 1/256, which float32 holds exactly. Usage: python optimizers.py
"""

import pathlib

import numpy as np
import torch

from nanogpt import normals, versions, write_json

CLIP, DECAY = 1.0, 0.1
RATES, SCALES = (1e-2, 2e-2, 5e-3), (1.5, 0.1, 0.8)
FLAT = ((4,), (3,))
MATRICES = ((8, 16), (16, 8), (8, 8))


def draw(name: str, shape: tuple, scale: float) -> torch.Tensor:
    values = normals("golden optimizers " + name, int(np.prod(shape)))
    return torch.from_numpy(np.round(scale * values * 256) / 256).reshape(shape)


def flat(tensors: list) -> list:
    return torch.cat([x.detach().reshape(-1) for x in tensors]).tolist()


def run(name: str, shapes: tuple, make, states: dict, decays: tuple, options: dict) -> dict:
    """Three steps; `states` maps our names of the optimizer's states to torch's."""
    initial = [draw(f"{name} parameter {i}", shape, 1.0) for i, shape in enumerate(shapes)]
    parameters = [torch.nn.Parameter(x.clone()) for x in initial]
    groups = [{"params": [p], "weight_decay": d} for p, d in zip(parameters, decays)]
    optimizer = make(groups)
    # A matrix has many more numbers: its norm is that of seven.
    size = sum(x.numel() for x in initial)
    steps = {}
    for t, (lr, scale) in enumerate(zip(RATES, SCALES)):
        gradients = [draw(f"{name} gradient {t + 1} {i}", s, scale * (7 / size) ** 0.5) for i, s in enumerate(shapes)]
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient.clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        assert (norm > CLIP) == (t != 1), f"{name} step {t + 1}: norm {norm}"
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        kept = {ours: flat([optimizer.state[p][theirs] for p in parameters]) for ours, theirs in states.items()}
        steps[f"step {t + 1}"] = {"lr": lr, "gradient": flat(gradients), "parameter": flat(parameters), **kept}
    return {"options": options, "initial": flat(initial), **steps}


def main() -> None:
    torch.Tensor.bfloat16 = torch.Tensor.clone
    decays, rate = (DECAY, 0.0), RATES[0]
    optim = torch.optim
    common = {"clip": CLIP, "weight_decay": DECAY, "decayed": 4, "matrices": MATRICES}
    contents = {"made_with": versions(), "common": common}
    moments = {"exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq"}
    adam = {"betas": [0.9, 0.99], "eps": 1e-8}
    contents["adam"] = run("adam", FLAT, lambda g: optim.Adam(g, lr=rate, **adam), moments, decays, adam)
    for name, nesterov in (("sgd", False), ("sgd nesterov", True)):
        sgd = {"momentum": 0.9, "nesterov": nesterov}
        buffer = {"momentum": "momentum_buffer"}
        contents[name] = run(name, FLAT, lambda g: optim.SGD(g, lr=rate, **sgd), buffer, decays, sgd)
    for name, nesterov in (("muon", True), ("muon without nesterov", False)):
        muon = {"momentum": 0.95, "nesterov": nesterov}
        make = lambda g: optim.Muon(g, lr=rate, adjust_lr_fn="match_rms_adamw", **muon)
        contents[name] = run(name, MATRICES, make, {"momentum": "momentum_buffer"}, 3 * (DECAY,), muon)
    write_json(pathlib.Path(__file__).with_suffix(".json"), contents)


if __name__ == "__main__":
    main()
