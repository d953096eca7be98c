"""Problems simple enough to solve by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from uae_cli.attacks import RESULT, Attack, Samples, generate
from uae_cli.attacks.criteria import Reconstruction
from uae_cli.attacks.similarities import Mine
from uae_cli.attacks.solvers import Found, MinMax, Problem, Solver
from uae_cli.mi import FeatureMaps, RandomProjections
from uae_cli.models import HookedModel

MINMAX = {
    "alpha": 0.01,
    "beta": 0.1,
    "iterations": 1,
    "epsilon": 1.0,
    "c_start": 0.0,
    "c_decay_exponent": 0.25,
    "delta_start": "zero",
    "step": "gradient",
}
SAMPLINGS = {
    "matrices": lambda marginals: RandomProjections(
        count=12, dimension=24, redraw=True, standardize=True, marginals=marginals, matrices=True
    ),
    "conv": lambda marginals: FeatureMaps(layer=None, marginals=marginals),
    "random": lambda marginals: RandomProjections(
        count=12, dimension=24, redraw=True, standardize=True, marginals=marginals, matrices=False
    ),
}


class Identity(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.fixture
def minmax() -> Callable[..., MinMax]:
    """The solver with the paper's settings but for the ones given."""
    return lambda **changes: MinMax(**(MINMAX | changes))


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """S and f as plain functions of the iterate (B, *shape) and its number."""

    def make(
        x: Tensor,
        similarity: Callable[[Tensor, int], Tensor],
        f: Any = None,
        *,
        index: Tensor | None = None,
        seed: int = 0,
        **changes: Any,
    ) -> Problem:
        index = torch.arange(len(x)) if index is None else index

        def always(moved: Tensor) -> Tensor:
            return -torch.ones(len(moved), dtype=moved.dtype)

        criterion = f or always
        settings = {"goal": "minimize", "require_positive": False} | changes
        return Problem(
            model=HookedModel(Identity(), None),
            batch=Samples(x, index, seed),
            criterion=lambda response: criterion(response.x),
            bind_similarity=lambda: lambda response, iteration: similarity(response.x, iteration),
            **settings,
        )

    return make


@pytest.fixture
def mine_attack(minmax: Callable[..., MinMax]) -> Callable[..., Attack]:
    """MINE-UAE as `conf/` sets it for digits, but shorter."""

    def make(sampling: str = "conv", marginals: str = "all_pairs", **solver: Any) -> Attack:
        mine = Mine(
            goal="minimize",
            require_positive=True,
            sampling=SAMPLINGS[sampling](marginals),
            hidden=10,
            steps=10,
            learning_rate=1e-3,
        )
        settings = {"alpha": 0.05, "iterations": 10, "c_start": 1e-3, "delta_start": 0.086} | solver
        return Attack(Reconstruction(kappa=0.0), mine, minmax(**settings))

    return make


class ShortOfMemory:
    """A solver on a machine with memory for `limit` samples; `sizes` are those it was asked for."""

    def __init__(self, solver: Solver, limit: int, error: Exception) -> None:
        self.solver, self.limit, self.error = solver, limit, error
        self.total_iterations, self.sizes = solver.total_iterations, []

    def run(self, problem: Problem, *, on_iteration: Callable[[int], None]) -> Found:
        self.sizes.append(len(problem.x))
        if len(problem.x) > self.limit:
            on_iteration(1)  # one iteration went well
            raise self.error
        return self.solver.run(problem, on_iteration=on_iteration)


@pytest.fixture
def short_of_memory() -> Callable[..., Attack]:
    """The same attack with memory for so many samples."""

    def make(attack: Attack, limit: int, error: Exception | None = None) -> Attack:
        return replace(attack, solver=ShortOfMemory(attack.solver, limit, error or MemoryError()))

    return make


@pytest.fixture
def result_of(tmp_path: Path) -> Callable[..., dict[str, Tensor]]:
    """Run `generate` and load what it wrote."""

    def make(attack: Attack, model: nn.Module, x: Tensor, folder: str = "attack", **options: Any) -> Any:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        samples = Samples.first(x, seed=options.pop("seed", 0), labels=options.pop("labels", None))
        samples = replace(samples, index=options.pop("index", samples.index))
        generate(attack, model, samples, folder=path, **({"chunk_size": 8} | options))
        return load_file(path / RESULT)

    return make
