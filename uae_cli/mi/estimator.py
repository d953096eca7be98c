"""Per-sample MINE: mutual information of single pairs (x, x + δ), for a whole batch at once (paper §3.1)."""

import torch
from torch import Tensor

from uae_cli.mi.bound import MarginalsName
from uae_cli.mi.networks import StatisticsNetworks
from uae_cli.mi.sampling import Sampler
from uae_cli.models.tapped import Response
from uae_cli.randomness import generator, uniform


class PerSampleMine:
    """One estimator per sample, begun at a batch of clean samples and kept for a whole attack.

    Args:
        clean: the model's response to the clean samples, B of them.
        index: (B,) int64, each sample's position in its dataset; its network starts from it.
        sampler: turns a response into K vectors a sample.
        marginals: how the bound's second term is sampled.
        hidden: H, the width of the statistics network.
        steps: Adam steps per attack iteration.
        learning_rate: Adam's.
        seed: the experiment's seed.
    """

    def __init__(
        self,
        clean: Response,
        index: Tensor,
        *,
        sampler: Sampler,
        marginals: MarginalsName,
        hidden: int,
        steps: int,
        learning_rate: float,
        seed: int,
    ) -> None:
        self._clean, self._sampler, self._steps, self._seed = clean, sampler, steps, seed
        vectors = sampler(clean, 0).detach()
        _, k, size = vectors.shape

        def start(name: str, bound: float, *shape: int) -> Tensor:
            count = torch.Size(shape).numel()
            numbers = uniform(seed, f"mine/{name}", index, count, vectors.dtype)
            return numbers.mul_(2 * bound).sub_(bound).view(-1, *shape)

        # torch's own start of linear layers: ±1/√fan_in; u and v enter one layer together
        entry = (2 * size) ** -0.5
        self._networks = StatisticsNetworks(
            left=start("left", entry, hidden, size),
            right=start("right", entry, hidden, size),
            bias=start("bias", entry, hidden),
            head=start("head", hidden**-0.5, hidden),
            # Coordinates of vectors that are drawn anew each time would mix up Adam's moments
            vectors=size if sampler.redraws else k,
            marginals=marginals,
            learning_rate=learning_rate,
        )
        self._u = self._networks.left.enter(vectors)
        # One fixed order to judge by: iterates are compared under the same shuffle, not under noise
        self._judging = torch.randperm(k, generator=self._generator("judge")).to(vectors.device)
        self._k = k

    def __call__(self, response: Response, iteration: int) -> Tensor:
        """Train on (x, `response.x`), then give the bound (B,) in nats, differentiable in `response.x`.

        Iteration 0 only evaluates: the attack's first gradient is taken before any training.
        """
        networks = self._networks
        vectors = self._sampler(response, iteration)
        if self._sampler.redraws:
            self._u = networks.left.enter(self._sampler(self._clean, iteration).detach())
        v = networks.right.enter(vectors.detach())
        if iteration > 0:
            networks.ascend(self._u, v, self._orders(iteration))
            networks.right.leave()
            if self._sampler.redraws:
                networks.left.leave()
        return networks.bound(self._u, v, vectors, self._judging)

    def _orders(self, iteration: int) -> Tensor:
        source = self._generator(f"train/{iteration}")
        orders = torch.stack([torch.randperm(self._k, generator=source) for _ in range(self._steps)])
        return orders.to(self._judging.device)

    def _generator(self, stream: str) -> torch.Generator:
        return generator(self._seed, f"mine/{stream}", torch.device("cpu"))
