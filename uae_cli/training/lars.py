"""Layer-wise adaptive rate scaling, the optimiser of SimCLR (You, Gitman and Ginsburg 2017)."""

from collections.abc import Callable
from typing import Annotated, Any

import torch
from pydantic import Field, validate_call
from torch import Tensor

from uae_cli.settings import NonNegative, Positive

Momentum = Annotated[float, Field(ge=0, lt=1)]


class LARS(torch.optim.Optimizer):
    """SGD with momentum, each layer's step in proportion to its weights' norm.

    With g the gradient plus λ w, as in SimCLR's program:

        v ← m v + lr · η ‖w‖ / ‖g‖ · g;  w ← w − v

    Parameters of one dimension or none (biases, normalisations) take plain momentum steps, without decay
    and scaling. So does, but for the decay, a layer whose weights or gradients are all zero.

    Args:
        params: parameters or groups of them, as for every torch optimiser.
        lr: learning rate; 1.0 for SimCLR on CIFAR-10.
        momentum: m in [0, 1).
        weight_decay: λ.
        trust_coefficient: η.
    """

    @validate_call
    def __init__(
        self,
        params: Any,
        *,
        lr: Positive,
        momentum: Momentum,
        weight_decay: NonNegative,
        trust_coefficient: Positive,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, settings | {"trust_coefficient": trust_coefficient})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; `closure`, if given, computes the loss anew."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)
        return loss

    def _move(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["velocity"] = torch.zeros_like(parameter)
        velocity: Tensor = state["velocity"]
        velocity.mul_(group["momentum"]).add_(_direction(parameter, group), alpha=group["lr"])
        parameter.sub_(velocity)


def _direction(parameter: Tensor, group: dict[str, Any]) -> Tensor:
    gradient = parameter.grad
    assert gradient is not None
    if parameter.ndim <= 1:
        return gradient
    gradient = gradient.add(parameter, alpha=group["weight_decay"])
    weight_norm, gradient_norm = parameter.norm(), gradient.norm()
    trust = group["trust_coefficient"] * weight_norm / gradient_norm
    # On the device: asking for the norms here would wait for it at every layer
    return gradient * torch.where((weight_norm > 0) & (gradient_norm > 0), trust, torch.ones_like(trust))
