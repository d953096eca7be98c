"""Projected gradient descent within an L∞ ball (Madry et al. 2018)."""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.attacks.criteria import BoundMisclassification
from uae_cli.attacks.samples import per_sample
from uae_cli.attacks.solvers.base import Found, Problem, Projected, Trace, into_box, uniform_start
from uae_cli.errors import ConfigError
from uae_cli.models.hooked import Response
from uae_cli.settings import STRICT, Positive

_SPAN = 2.5  # all steps together, in units of ε, where no step size is set (Madry et al. 2018)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Pgd(Projected):
    """Sign steps of a fixed size, clipped to ±ε and to [0, 1]; S plays no part.

    Attributes:
        step_size: of every value; null for 2.5·ε / iterations (paper, Figures 7 to 9).
        random_start: uniform in ±ε, drawn from (seed, index), or else the clean sample.
        loss: what rises: cross_entropy, of a classifier alone; or margin, which is −f of any criterion.
        keep: last, the last iterate (Madry et al.); or best, the one of smallest f.
    """

    step_size: Positive | None
    random_start: bool
    loss: Literal["cross_entropy", "margin"]
    keep: Literal["last", "best"]

    def run(self, problem: Problem, *, on_iteration: Callable[[int], None] = lambda _: None) -> Found:
        """See `Solver.run`.

        Raises:
            ConfigError: the loss is a classifier's, and the criterion isn't.
        """
        loss = self._loss(problem)
        clip = into_box(problem.x, self.epsilon)
        size = _SPAN * self.epsilon / self.iterations if self.step_size is None else self.step_size
        x = problem.x.clone()
        if self.random_start:
            x = uniform_start(problem.batch, self.epsilon, self.epsilon)
        kept, least = x, x.new_full((len(x),), torch.inf)
        values: list[Tensor] = []
        if left := problem.left:
            x, kept, least = left["x"], left["kept"], left["least"]
            values = list(left["values"].unbind(1))
            for past in range(len(values)):
                on_iteration(past + 1)
        response = problem.model(x := x.detach().requires_grad_())

        def state() -> dict[str, Tensor]:
            return {"x": x.detach(), "kept": kept, "least": least, "values": torch.stack(values, dim=1)}

        for t in range(len(values) + 1, self.iterations + 1):
            (gradient,) = torch.autograd.grad(loss(response).sum(), x)
            x = clip(x.detach() - size * gradient.sign())
            response = problem.model(x.requires_grad_())
            f = problem.criterion(response).detach()
            better = f < least if self.keep == "best" else torch.ones_like(f, dtype=torch.bool)
            kept = torch.where(per_sample(better, x), x.detach(), kept)
            least = torch.where(better, f, least)
            values.append(f)
            on_iteration(t)
            if t < self.iterations:
                problem.save(state)
        return _found(problem.x, kept.detach(), least, torch.stack(values, dim=1))

    def _loss(self, problem: Problem) -> Callable[[Response], Tensor]:
        criterion = problem.criterion
        if self.loss == "margin":
            return criterion
        if not isinstance(criterion, BoundMisclassification):
            raise ConfigError(
                "attack.loss = cross_entropy: only criterion=misclassification has one; use margin"
            )
        return criterion.cross_entropy


def _found(clean: Tensor, x: Tensor, f: Tensor, trace: Tensor) -> Found:
    success = f <= 0
    nothing = torch.zeros_like(f).masked_fill(~success, torch.nan)
    no_c = torch.zeros_like(trace)
    x = torch.where(per_sample(success, x), x, clean)
    return Found(x, success, nothing, Trace(trace, torch.zeros_like(trace), no_c))
