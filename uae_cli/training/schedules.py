"""Learning rates that change with the step."""

import math


def warmup_cosine(step: int, *, warmup: int, steps: int) -> float:
    """Factor of the learning rate: a linear rise, then half a cosine (Chen et al. 2020, §2.2).

    Made for `torch.optim.lr_scheduler.LambdaLR`.

    Args:
        step: from 0.
        warmup: steps of the rise; the last of them has factor 1.
        steps: all steps, the rise included.

    Returns:
        A factor in (0, 1] for every step before `steps`, and 0 from there on.
    """
    if step < warmup:
        return (step + 1) / warmup
    if step >= steps:
        return 0.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
