"""Golden rates of torch.optim.lr_scheduler.ReduceLROnPlateau: the rate that follows each of some evaluation losses.

The losses fall, stand still, tie and are not finite; patience is 0 to 3. threshold and eps are 0 (any lower loss is a better
one, any lower rate is taken), cooldown is 0, as the schedule "plateau" has them. Usage: python plateau.py
"""

import math
import pathlib
import random

import torch

from nanogpt import versions, write_json

SEED = 1
FORMS = ((0, 0.5, 0.0), (1, 0.25, 1e-3), (2, 0.5, 0.0), (3, 0.9, 0.05))
LR = 0.1


def losses(rng: random.Random) -> list:
    made, level = [], 4.0
    for _ in range(26):
        level -= rng.choice((0.0, 0.0, 0.0, 0.25, 1e-6, -0.5))
        made.append(math.nan if rng.random() < 0.05 else level)
    return made


def rates(given: list, patience: int, factor: float, min_lr: float) -> list:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=LR)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, patience=patience, factor=factor, min_lr=min_lr, threshold=0.0, eps=0.0
    )
    made = []
    for loss in given:
        scheduler.step(loss)
        made.append(optimizer.param_groups[0]["lr"])
    return made


def main() -> None:
    rng = random.Random(SEED)
    runs = {}
    for i, (patience, factor, min_lr) in enumerate(FORMS):
        given = losses(rng)
        runs[str(i)] = {
            "patience": patience,
            "factor": factor,
            "min_lr": min_lr,
            "losses": [None if math.isnan(loss) else loss for loss in given],
            "rates": rates(given, patience, factor, min_lr),
        }
    path = pathlib.Path(__file__).with_suffix(".json")
    write_json(path, {"made_with": {**versions(), "seed": SEED, "lr": LR}, "runs": runs})


main()
