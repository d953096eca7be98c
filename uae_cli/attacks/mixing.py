"""An attack that mixes samples with each other: a search of its own in a solver's place."""

from collections.abc import Callable
from dataclasses import dataclass as plain_dataclass
from dataclasses import field, replace

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from uae_cli.attacks.moves import FittedMoves
from uae_cli.attacks.samples import per_sample
from uae_cli.attacks.solvers import Best, Found, Problem, Solver, Trace
from uae_cli.errors import ConfigError
from uae_cli.randomness import uniform
from uae_cli.settings import STRICT, Count, UnitInterval


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Partners:
    """Towards other training samples: x + w (x_j − x), partner and weight chosen by criterion and similarity.

    For every partner w is bisected between 0 and `most` for the largest that fulfils the criterion, from
    `most` on. All that was tried counts: the best by the similarity is kept. The solver plays no part.

    Attributes:
        partners: candidates, drawn for every sample from (seed, index).
        tries: weights tried for each of them; a try is a forward pass, and counted as an iteration is.
        most: the largest w, in (0, 1].
    """

    partners: Count
    tries: Count
    most: UnitInterval

    def check(self, arm: str, x: Tensor) -> None:
        """See `Moves.check`."""
        if len(x) < 2:
            raise ConfigError(
                f"arm = {arm}: mixes a sample with others, but there is no other; use more samples"
            )

    def fit(self, x: Tensor) -> FittedMoves:
        """See `Moves.fit`."""
        return Mixing(self, x)


@plain_dataclass(frozen=True)
class Mixing:
    """The search of `Partners`; a solver, too.

    Attributes:
        settings: of it.
        x: (N, *shape) training samples, in the order of the attacked samples' index.
    """

    settings: Partners
    x: Tensor = field(repr=False)

    @property
    def total_iterations(self) -> int:
        """See `Solver.total_iterations`."""
        return self.settings.partners * self.settings.tries

    def probe(self) -> "Mixing":
        """See `Solver.probe`."""
        return replace(self, settings=replace(self.settings, partners=1, tries=1))

    def solver(self, solver: Solver) -> Solver:  # noqa: ARG002
        """See `FittedMoves.solver`."""
        return self

    def directions(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """See `FittedMoves.directions`: to a random other one."""
        return self.x[self._partners(torch.arange(len(x)), seed, stream, 1)[:, 0]] - x

    def moved(self, x: Tensor, directions: Tensor, scale: Tensor) -> Tensor:
        """See `FittedMoves.moved`: up to the partner, for one that is near may need more than `most`."""
        return (x + per_sample(scale.clamp(max=1), x) * directions).clamp_(0, 1)

    @torch.no_grad()
    def run(self, problem: Problem, *, on_iteration: Callable[[int], None]) -> Found:
        """See `Solver.run`."""
        x, best, measure = problem.x, Best(problem), problem.bind_similarity()
        partners = self._partners(
            problem.batch.index.cpu(), problem.batch.seed, "partner", self.settings.partners
        )
        rows: list[tuple[Tensor, Tensor, Tensor]] = []
        for own in partners.T:
            directions = self.x[own].to(x) - x
            low, high = x.new_zeros(len(x)), x.new_full((len(x),), self.settings.most)
            weight = high
            for _ in range(self.settings.tries):
                moved = self.moved(x, directions, weight)
                response = problem.model(moved)
                f, similarity = problem.criterion(response), measure(response, len(rows) + 1)
                best.offer(moved, f, similarity)
                rows.append((f, similarity, torch.zeros_like(f)))
                on_iteration(len(rows))
                admitted = best.admits(f, similarity)
                low, high = torch.where(admitted, weight, low), torch.where(admitted, high, weight)
                weight = (low + high) / 2
        return best.found(Trace.of(rows))

    def _partners(self, index: Tensor, seed: int, stream: str, count: int) -> Tensor:
        """(B, count) positions of others than the samples at `index` (B,)."""
        chance = uniform(seed, stream, index, count, torch.float64)
        steps = 1 + (chance * (len(self.x) - 1)).long()
        return (index[:, None] + steps) % len(self.x)
