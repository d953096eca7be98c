"""Where an attack may move samples, instead of freely, and ways that are spanned by a few coefficients.

A solver that descends is left as it is: it works on coefficients in [0, 1], where the clean sample lies at ½,
and sees a model that takes them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass as plain_dataclass
from dataclasses import field, replace
from functools import cached_property
from typing import Annotated, Protocol, runtime_checkable

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from uae_cli.attacks.solvers import Found, Problem, Solver
from uae_cli.errors import ConfigError
from uae_cli.models.hooked import Response
from uae_cli.randomness import generator
from uae_cli.settings import STRICT, Count, Positive

_MIDDLE = 0.5  # where a clean sample's coefficients lie


@runtime_checkable
class Moves(Protocol):
    """Settings of the ways that samples may go."""

    def check(self, arm: str, x: Tensor) -> None:
        """See whether samples x (N, *shape) can go them; `arm` is for the message.

        Raises:
            ConfigError: they can't.
        """
        ...

    def fit(self, x: Tensor) -> "FittedMoves":
        """These ways for the training samples x (N, *shape)."""
        ...


class FittedMoves(Protocol):
    """Ways that are known; what is shown of them are their settings, for the samples identify them."""

    def solver(self, solver: Solver) -> Solver:
        """What attacks along them in place of `solver`, and by its settings as far as they apply."""
        ...

    def directions(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """A random way for every training sample x (N, *shape), (N, …)."""
        ...

    def moved(self, x: Tensor, directions: Tensor, scale: Tensor) -> Tensor:
        """Samples x (B, *shape), gone so far, (B,), their ways (B, …): x itself where that is 0."""
        ...


class Coefficients(ABC):
    """Ways that are spanned by a few numbers."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many numbers."""

    @abstractmethod
    def bind(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """What makes samples of x (B, *shape) and coefficients (B, count) in [−½, ½], differentiably.

        It gives x itself, bit by bit, where all of them are 0.
        """

    def prepare(self) -> None:  # noqa: B027
        """Compute now what would be when it is first needed."""

    def solver(self, solver: Solver) -> Solver:
        """See `FittedMoves.solver`."""
        return InCoefficients(solver, self)

    def directions(self, x: Tensor, seed: int, stream: str) -> Tensor:
        """See `FittedMoves.directions`: standard normal coefficients."""
        source = generator(seed, stream, torch.device("cpu"))
        return torch.randn(len(x), self.count, generator=source, dtype=x.dtype)

    def moved(self, x: Tensor, directions: Tensor, scale: Tensor) -> Tensor:
        """See `FittedMoves.moved`: within the bounds of the adversarial examples."""
        return self.bind(x)((scale[:, None] * directions).clamp_(-_MIDDLE, _MIDDLE))


@plain_dataclass(frozen=True)
class InCoefficients:
    """A solver that moves coefficients instead of values; its α, start and ε are theirs.

    Attributes:
        inner: the solver.
        basis: what coefficients mean.
    """

    inner: Solver
    basis: Coefficients

    @property
    def total_iterations(self) -> int:
        """See `Solver.total_iterations`."""
        return self.inner.total_iterations

    def probe(self) -> "InCoefficients":
        """See `Solver.probe`; what a whole dataset's solver computes once takes no sample's memory."""
        self.basis.prepare()
        return replace(self, inner=self.inner.probe())

    def run(self, problem: Problem, *, on_iteration: Callable[[int], None]) -> Found:
        """See `Solver.run`."""
        sample = self.basis.bind(problem.x)

        def model(places: Tensor) -> Response:
            return problem.model(sample(places - _MIDDLE))

        clean = problem.x.new_full((len(problem.x), self.basis.count), _MIDDLE)
        inner = replace(problem, model=model, batch=replace(problem.batch, x=clean))
        found = self.inner.run(inner, on_iteration=on_iteration)
        with torch.no_grad():
            return replace(found, x=sample(found.x - _MIDDLE))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PrincipalComponents:
    """Along the training samples' first principal components, x + span · V a, clipped to [0, 1].

    V's columns have length 1. With span 1 a gradient step is that of free values, projected.

    Attributes:
        components: how many; at most as many as samples or values.
        span: between the smallest and the largest coefficient, in units of the [0, 1] range.
    """

    components: Count
    span: Positive

    def check(self, arm: str, x: Tensor) -> None:
        """See `Moves.check`."""
        most = min(len(x), x[0].numel())
        if self.components > most:
            raise ConfigError(
                f"arm.{arm}.moves.components = {self.components}: {len(x)} samples of {x[0].numel()} values "
                f"have at most {most} principal components; use {most} or fewer"
            )

    def fit(self, x: Tensor) -> FittedMoves:
        """See `Moves.fit`; the components are computed when they are first needed."""
        return _Components(self, x)


@plain_dataclass(frozen=True)
class _Components(Coefficients):
    settings: PrincipalComponents
    x: Tensor = field(repr=False)

    @property
    def count(self) -> int:
        return self.settings.components

    @cached_property
    def ways(self) -> Tensor:
        """(count, d), span times the components."""
        from sklearn.decomposition import PCA

        found = PCA(self.count, random_state=0).fit(self.x.flatten(1).cpu().numpy())
        return self.settings.span * torch.from_numpy(found.components_).to(self.x.dtype)

    def prepare(self) -> None:
        _ = self.ways

    def bind(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        ways = self.ways.to(x)
        return lambda a: (x + (a @ ways).view_as(x)).clamp(0, 1)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Warp(Coefficients):
    """Images bent by a smooth field of displacements (after Xiao et al. 2018); borders are repeated.

    The field is given at the points of a coarse grid, corners included, and bicubic in between, where it may
    be a little larger. Pixels in between others are bilinear.

    Attributes:
        grid: points of the grid along either axis; 2 is the least.
        span: between the smallest and the largest displacement, in pixels.
    """

    grid: Annotated[int, Field(ge=2)]
    span: Positive

    @property
    def count(self) -> int:
        """See `Coefficients.count`: two displacements at every point."""
        return 2 * self.grid**2

    def check(self, arm: str, x: Tensor) -> None:
        """See `Moves.check`."""
        if x.ndim != 4 or min(x.shape[2:]) < 2:
            raise ConfigError(
                f"arm = {arm}: a warp needs images (C, H, W) of 2 or more pixels a side, but the dataset's "
                f"samples have shape {tuple(x.shape[1:])}; choose other arms, as pca_uae"
            )

    def fit(self, x: Tensor) -> FittedMoves:  # noqa: ARG002
        """See `Moves.fit`: images don't change it."""
        return self

    def bind(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """See `Coefficients.bind`."""
        height, width = x.shape[2:]
        rows, columns = (torch.linspace(-1, 1, size).to(x) for size in (height, width))
        still = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).expand(len(x), -1, -1, -1)
        pixels = 2 * self.span / torch.tensor([width - 1, height - 1]).to(x)

        def sampled(grid: Tensor) -> Tensor:
            return F.grid_sample(x, grid, padding_mode="border", align_corners=True)

        unmoved = sampled(still)  # x but for rounding, which must not count as a move

        def warped(a: Tensor) -> Tensor:
            field = a.view(-1, 2, self.grid, self.grid)
            field = F.interpolate(field, (height, width), mode="bicubic", align_corners=True)
            return (x + (sampled(still + field.permute(0, 2, 3, 1) * pixels) - unmoved)).clamp(0, 1)

        return warped
