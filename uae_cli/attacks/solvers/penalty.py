"""The penalty solver, the paper's baseline: c fixed, and searched for around the attack (paper §6.5)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Self

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.attacks.solvers.base import Best, Descent, Found, Problem, Trace, descend
from uae_cli.settings import STRICT, Count, Positive

_FACTOR = 10  # c grows by it until it has once sufficed (Carlini and Wagner 2017)
_MOST = 1e10  # c grows no further, as in their program: f drowns S long before


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Penalty(Descent):
    """min over δ of c·f⁺(x + δ) ± S(x, x + δ) with c fixed, and a binary search over each sample's c.

    All samples are searched at once, each with bounds of its own. A search is a whole attack: δ and
    whatever S learns begin anew, from the same start, as in Carlini and Wagner's program. The iterate
    kept is the best of all searches, by the rule of the MinMax solver.

    Attributes:
        iterations: T over all searches, so that the same number costs as much as MinMax's: every search
            has T // searches of them; where T < searches, there are T searches of one each.
        searches: values of c tried for every sample; 9 in the paper's Table 3.
        c_start: the first c, above 0; 1e-3 in the paper.
    """

    searches: Count
    c_start: Positive

    @property
    def total_iterations(self) -> int:
        """See `Solver.total_iterations`."""
        searches, each = self._split()
        return searches * each

    def probe(self) -> Self:
        """See `Solver.probe`."""
        return replace(self, searches=1, iterations=1)

    def run(self, problem: Problem, *, on_iteration: Callable[[int], None] = lambda _: None) -> Found:
        """See `Solver.run`."""
        searches, each = self._split()
        best = Best(problem)
        bounds = Bounds(problem.x.new_full((len(problem.x),), self.c_start))
        traces: list[Trace] = []
        if left := problem.left.get("searches"):
            bounds.load_state_dict(left["bounds"])
            traces = [Trace(**trace) for trace in left["traces"]]
        for past in range(len(traces) * each):
            on_iteration(past + 1)
        while len(traces) < searches:
            done = len(traces) * each
            found = descend(
                problem,
                self.start(problem.batch),
                iterations=each,
                step=self.move,
                epsilon=self.epsilon,
                first_c=bounds.c,
                next_c=lambda c, _excess, _t: c,
                on_iteration=lambda t, done=done: on_iteration(done + t),  # type: ignore[misc]
                best=best,
                outer=lambda: {"searches": {"bounds": bounds.state_dict(), "traces": [*map(vars, traces)]}},
            )
            traces.append(found.trace)
            bounds.learn(best.admits(found.trace.f, found.trace.similarity).any(dim=1))
        return best.found(Trace.joined(traces))

    def _split(self) -> tuple[int, int]:
        searches = min(self.searches, self.iterations)
        return searches, self.iterations // searches


class Bounds:
    """The binary search over c, of every sample for itself.

    Args:
        c: (B,) first values.

    Attributes:
        c: (B,) values to try next.
    """

    def __init__(self, c: Tensor) -> None:
        self.c = c
        self._low = torch.zeros_like(c)
        self._high = torch.full_like(c, torch.inf)

    def state_dict(self) -> dict[str, Tensor]:
        """All that it has learnt."""
        return {"c": self.c, "low": self._low, "high": self._high}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore what `state_dict` gave."""
        self.c, self._low, self._high = state["c"], state["low"], state["high"]

    def learn(self, success: Tensor) -> None:
        """Whether each sample's attack succeeded (B,) with the present c; chooses the next."""
        self._high = torch.where(success, torch.minimum(self._high, self.c), self._high)
        self._low = torch.where(success, self._low, torch.maximum(self._low, self.c))
        bisected = (self._low + self._high) / 2
        self.c = torch.where(self._high.isinf(), (_FACTOR * self.c).clamp(max=_MOST), bisected)
