"""Golden numbers of AdamW with clipping: three steps of torch.optim.AdamW in float64 over seven parameters.

The first four parameters decay, the other three do not. Steps 1 and 3 are clipped, step 2 is not; the learning rate
changes. Initial values and gradients are multiples of 1/256, which float32 holds exactly. Usage: python adamw.py
"""

import pathlib

import numpy as np
import torch

from nanogpt import normals, versions, write_json

STEPS, DECAYED, REST = 3, 4, 3
BETAS, EPS, DECAY, CLIP = (0.9, 0.99), 1e-8, 0.1, 1.0
RATES, SCALES = (1e-2, 2e-2, 5e-3), (1.5, 0.1, 0.8)


def draw(name: str, count: int, scale: float = 1.0) -> torch.Tensor:
    return torch.from_numpy(np.round(scale * normals("golden adamw " + name, count) * 256) / 256)


def main() -> None:
    initial = draw("parameters", DECAYED + REST)
    matrix, bias = (torch.nn.Parameter(part.clone()) for part in initial.split((DECAYED, REST)))
    groups = [{"params": [matrix], "weight_decay": DECAY}, {"params": [bias], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATES[0], betas=BETAS, eps=EPS)
    steps = {}
    for t in range(STEPS):
        gradient = draw(f"gradient {t + 1}", DECAYED + REST, SCALES[t])
        matrix.grad, bias.grad = (part.clone() for part in gradient.split((DECAYED, REST)))
        norm = torch.nn.utils.clip_grad_norm_([matrix, bias], CLIP)
        assert (norm > CLIP) == (t != 1), f"step {t + 1}: norm {norm}"
        for group in optimizer.param_groups:
            group["lr"] = RATES[t]
        optimizer.step()
        moments = {key: torch.cat([optimizer.state[p][key] for p in (matrix, bias)]) for key in ("exp_avg", "exp_avg_sq")}
        steps[f"step {t + 1}"] = {
            "lr": RATES[t],
            "norm": norm.item(),
            "gradient": gradient.tolist(),
            "parameter": torch.cat([matrix, bias]).tolist(),
            **{key: value.tolist() for key, value in moments.items()},
        }
    options = {"betas": list(BETAS), "eps": EPS, "weight_decay": DECAY, "clip": CLIP, "decayed": DECAYED}
    contents = {"made_with": versions(), "options": options, "initial": {"parameter": initial.tolist()}, **steps}
    write_json(pathlib.Path(__file__).with_suffix(".json"), contents)


if __name__ == "__main__":
    main()
