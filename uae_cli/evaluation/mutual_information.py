"""Mutual information of finished pairs, estimated alike for every method that made them.

What an attack reports of I is not fit for comparisons: its network has trained for as many steps as the
solver took, on the very vectors that it is judged by, towards the attack's own goal. Here a new network (same
architecture, own randomness) trains on the saved pair, with all K·(K−1) mismatched vectors, and is judged on
vectors that it has not seen.
"""

from collections.abc import Callable

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.attacks import Samples
from uae_cli.errors import ConfigError
from uae_cli.mi import Sampling, count_vectors, initial_networks, pair_vectors
from uae_cli.models.hooked import HookedModel
from uae_cli.randomness import derive_seed, generator
from uae_cli.settings import STRICT, Count, Positive

_LEAST = 4  # vectors: two halves, each of at least two, so that there are mismatched pairs in both


@dataclass(frozen=True, kw_only=True, config=STRICT)
class HeldOutInformation:
    """I(x, x') by two-fold cross-fitting over the K vectors of each pair, in nats.

    The vectors are split in two halves at random, the same way for all samples and methods. A network trains
    on one half, the Donsker–Varadhan bound is taken on the other with all its pairs; then the other way
    round; the estimate is the mean of both. So few vectors are soon learnt by heart, so the bound is taken
    after every so many steps, and that number of steps counts at which its mean over all samples is
    largest: one choice for all of them, so that it can't select noise. But for that choice, an estimate
    depends on its own pair alone, whatever other pairs are there. A method's number is the mean over its
    own successes, so that methods which succeed on other samples are averaged over other samples.

    Attributes:
        sampling: how a sample becomes K vectors, at least 4; drawn once, and the same for every method.
        hidden: H, width of the statistics network.
        steps: Adam steps of each network, at most.
        checkpoints: how often the bound is taken on the way.
        learning_rate: Adam's.
    """

    sampling: Sampling
    hidden: Count
    steps: Count
    checkpoints: Count
    learning_rate: Positive

    def check(self, model: nn.Module, x: Tensor) -> None:
        """See whether there are vectors enough; x (B, *shape) are some samples.

        Raises:
            ConfigError: there are fewer than 4, or none at all.
        """
        count = count_vectors(self.sampling, model, x)
        if count < _LEAST:
            raise ConfigError(
                f"protocol.information: {count} vectors a sample, but two halves of at least 2 are needed; "
                "use a sampling of more vectors, or protocol.information=null"
            )

    def estimate(
        self,
        model: nn.Module,
        samples: Samples,
        moved: Tensor,
        *,
        batch_size: int,
        on_batch: Callable[[int], None] = lambda _samples: None,
    ) -> Tensor:
        """Estimates of pairs of samples.

        Args:
            model: the attacked one.
            samples: N clean ones; the networks start from their places in the dataset and their seed.
            moved: (N, *shape) what was made of them.
            batch_size: pairs at once.
            on_batch: is told how many are done.

        Returns:
            (N,) nats, on the CPU.
        """
        hooked = HookedModel(model, self.sampling.hooked_layer(model))
        seed = derive_seed(samples.seed, "held-out information")
        estimates = []
        for rows in torch.arange(len(samples)).split(batch_size):
            u, v = self._vectors(hooked, samples.x[rows], moved[rows], seed)
            estimates.append(self._cross_fitted(u, v, samples.index[rows].to(u.device), seed).cpu())
            on_batch(len(rows))
        bounds = torch.cat(estimates)  # (N, checkpoints)
        return bounds[:, int(bounds.mean(0).argmax())]

    @torch.no_grad()
    def _vectors(self, model: HookedModel, x: Tensor, moved: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        clean, other = (model(each.to(model.device)) for each in (x, moved))
        return pair_vectors(self.sampling, clean, other, seed)

    @torch.no_grad()
    def _cross_fitted(self, u: Tensor, v: Tensor, index: Tensor, seed: int) -> Tensor:
        half = u.shape[1] // 2  # an odd vector is left out
        order = torch.randperm(u.shape[1], generator=generator(seed, "halves", torch.device("cpu")))
        halves = order[:half].to(u.device), order[half : 2 * half].to(u.device)
        folds = [(halves[0], halves[1]), (halves[1], halves[0])]
        bounds = [self._held_out(u, v, fold, index, seed) for fold in folds]
        return torch.stack(bounds).mean(0)  # (B, checkpoints)

    def _held_out(
        self, u: Tensor, v: Tensor, fold: tuple[Tensor, Tensor], index: Tensor, seed: int
    ) -> Tensor:
        train, test = fold
        networks = initial_networks(
            u[:, train],
            index,
            hidden=self.hidden,
            seed=seed,
            stream="",
            marginals="all_pairs",
            learning_rate=self.learning_rate,
        )
        steps = max(1, self.steps // self.checkpoints)
        no_order = torch.zeros(steps, len(train), dtype=torch.int64, device=u.device)  # all pairs need none
        bounds = []
        for _ in range(self.checkpoints):
            networks.ascend(networks.left.enter(u[:, train]), networks.right.enter(v[:, train]), no_order)
            networks.left.leave()
            networks.right.leave()
            unseen = networks.left.enter(u[:, test]), networks.right.enter(v[:, test])
            bounds.append(networks.bound(*unseen, v[:, test], no_order[0]))
        return torch.stack(bounds, dim=1)
