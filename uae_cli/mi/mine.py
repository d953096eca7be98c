"""Per-sample MINE: mutual information of single pairs (x, x + δ), for a whole batch at once (paper §3.1)."""

from typing import Any

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.profiler import record_function

from uae_cli.mi.bound import BoundName
from uae_cli.mi.draws import DrawnNetworks, JudgedDraws
from uae_cli.mi.networks import initial_networks
from uae_cli.mi.sampling import RandomProjections, Sampling
from uae_cli.models.hooked import Response
from uae_cli.randomness import generator
from uae_cli.settings import STRICT, Count, Positive


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MineSettings:
    """How mutual information is estimated.

    Attributes:
        sampling: how one sample becomes K vectors.
        hidden: H, width of the statistics network.
        steps: Adam steps per attack iteration.
        learning_rate: Adam's.
        bound: which one the networks climb and are judged by (see `mi.bound`).
        compiled: whether the networks train by the compiled CPU kernel, or by torch's operations; None takes
            what is faster there. The outcomes agree to rounding.
        reduced: whether they train in coordinates of the vectors' span, where the vectors stay the same ones;
            else on the whole vectors, which is slow and finds as much. Drawn pairs are never reduced.
    """

    sampling: Sampling
    hidden: Count
    steps: Count
    learning_rate: Positive
    bound: BoundName = "donsker_varadhan"
    compiled: bool | None = None
    reduced: bool = True


class PerSampleMine:
    """One estimator per sample, begun at a batch of clean samples and kept for a whole attack.

    Args:
        settings: see there.
        clean: the model's response to the clean samples, B of them.
        index: (B,) int64, each sample's position in its dataset; its network starts from it.
        seed: the experiment's seed.
    """

    def __init__(self, settings: MineSettings, clean: Response, index: Tensor, seed: int) -> None:
        self._clean, self._steps, self._seed = clean, settings.steps, seed
        self._sampler = sampler = settings.sampling.bind(clean.x, seed)
        with record_function("uae.mine"):
            vectors = sampler(clean, 0).detach()
            self._networks = initial_networks(
                vectors,
                index,
                hidden=settings.hidden,
                seed=seed,
                stream="mine/",
                bound=settings.bound,
                marginals=settings.sampling.marginals,
                learning_rate=settings.learning_rate,
                reduced=settings.reduced and not sampler.redraws,
                compiled=settings.compiled,
            )
            self._u = self._networks.left.enter(vectors)
            # One fixed order to judge by: iterates are compared under the same shuffle, not under noise
            self._k = vectors.shape[1]
            self._judging = derangement(self._k, seed).to(vectors.device)

    def __call__(self, response: Response, iteration: int) -> Tensor:
        """Train on (x, `response.x`), then give the bound (B,) in nats, differentiable in `response.x`.

        Iteration 0 only evaluates: the attack's first gradient is taken before any training.
        """
        networks = self._networks
        with record_function("uae.mine"):
            vectors = self._sampler(response, iteration)
            if self._sampler.redraws:
                self._u = networks.left.enter(self._sampler(self._clean, iteration).detach())
            v = networks.right.enter(vectors.detach())
            if iteration > 0:
                orders = _orders(self._k, self._steps, self._seed, iteration)
                networks.ascend(self._u, v, orders.to(v.device))
                networks.right.leave()
                if self._sampler.redraws:
                    networks.left.leave()
            return networks.bound(self._u, v, vectors, self._judging)

    def state_dict(self) -> dict[str, Any]:
        """All that the networks have learnt."""
        return self._networks.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, in one begun at the same clean samples."""
        self._networks.load_state_dict(state)


class DrawnMine:
    """As `PerSampleMine`, on vectors of random sampling that are drawn by their law (see `mi.draws`).

    Args:
        settings: see there.
        sampling: of the settings.
        clean: the model's response to the clean samples, B of them.
        index: (B,) int64, each sample's position in its dataset; its network starts from it.
        seed: the experiment's seed.
    """

    def __init__(
        self, settings: MineSettings, sampling: RandomProjections, clean: Response, index: Tensor, seed: int
    ) -> None:
        self._x, self._steps, self._seed, self._sampling = clean.x.detach(), settings.steps, seed, sampling
        with record_function("uae.mine"):
            self._networks = DrawnNetworks(
                self._x,
                index,
                hidden=settings.hidden,
                size=sampling.dimension,
                bound=settings.bound,
                marginals=sampling.marginals,
                learning_rate=settings.learning_rate,
                seed=seed,
                compiled=settings.compiled,
            )
            self._judging = derangement(sampling.count, seed).to(self._x.device)
            self._draws = sampling.draws(self._x, seed, 0)

    def __call__(self, response: Response, iteration: int) -> Tensor:
        """See `PerSampleMine`."""
        with record_function("uae.features"):
            if self._sampling.redraw and iteration > 0:
                self._draws = self._sampling.draws(self._x, self._seed, iteration)
            u, mixed = self._draws.clean_side(self._x), self._draws.moved_side(self._x, response.x)
        with record_function("uae.mine"), torch.no_grad():
            of_g, of_h = (side.detach() for side in mixed)
            if iteration > 0:
                orders = _orders(self._sampling.count, self._steps, self._seed, iteration)
                self._networks.ascend(self._draws, u, of_g, of_h, orders.to(u.device))
            found = self._networks.judge(self._draws, u, of_g, of_h, self._judging)
        bound: Tensor = JudgedDraws.apply(*mixed, *found)
        return bound

    def state_dict(self) -> dict[str, Any]:
        """See `PerSampleMine.state_dict`."""
        return self._networks.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `PerSampleMine.load_state_dict`."""
        self._networks.load_state_dict(state)


def derangement(count: int, seed: int) -> Tensor:
    """One order (K,) to judge by: iterates are compared under the same shuffle, not under noise.

    A random cycle, which leaves no vector with its partner: one that stays would change the outcome.
    """
    cycle = torch.randperm(count, generator=generator(seed, "mine/judge", torch.device("cpu")))
    order = torch.empty_like(cycle)
    order[cycle] = cycle.roll(1)
    return order


def _orders(count: int, steps: int, seed: int, iteration: int) -> Tensor:
    """Permutations to train by, (steps, K)."""
    source = generator(seed, f"mine/train/{iteration}", torch.device("cpu"))
    return torch.stack([torch.randperm(count, generator=source) for _ in range(steps)])
