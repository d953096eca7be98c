"""How far images are from the training set: distances between their features (paper, Tables 2 and 8)."""

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from uae_cli.errors import ConfigError
from uae_cli.models.classifiers import Classifier
from uae_cli.randomness import generator
from uae_cli.settings import STRICT, Count
from uae_cli.text import one_line

Space = Callable[[Tensor], Tensor]  # (B, *shape) → (B, F)

_FEATURES = "2048"  # Inception's last pooling, which FID and KID are defined by
_WEIGHTS = "pt_inception-2015-12-05-6726825d.pth"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ImageQuality:
    """FID and KID against the training set.

    `fid_own` and `kid_own` are taken in the last hidden layer of the attacked classifier: always to be had,
    but comparable neither between classifiers nor with other people's numbers. `fid` and `kid` are those of
    Inception, by torchmetrics. KID is the plain estimate of MMD², not multiplied by anything.

    Attributes:
        inception: whether to take Inception's, which needs the extra `fid` and weights of 90 MB.
        inception_weights: a local file of them, or null to have them fetched.
        subsets: random subsets that KID is the mean of.
        subset_size: samples of each, at least 2; fewer where there are fewer.
    """

    inception: bool
    inception_weights: Path | None
    subsets: Count
    subset_size: Annotated[int, Field(ge=2)]

    def check(self, shape: tuple[int, ...]) -> None:
        """See whether Inception can be had for samples of this shape, if it is wanted.

        Raises:
            ConfigError: they are no images (C, H, W), or a package or the weights are missing; the line says
                the ways out.
        """
        if not self.inception:
            return
        if len(shape) != 3:
            raise ConfigError(
                f"protocol.quality.inception = true: Inception sees images (C, H, W), and these samples have "
                f"shape {shape}; set it to false: fid_own and kid_own take any samples"
            )
        self._inception()

    def bind(self, model: nn.Module, x_train: Tensor, batch_size: int, seed: int) -> "BoundQuality":
        """Against training samples (N, C, H, W); `model` is the attacked one."""
        device, spaces = next(model.parameters()).device, dict[str, Space]()
        if isinstance(model, Classifier):
            spaces["_own"] = model.embed
        if self.inception:
            spaces[""] = partial(_seen_by, self._inception().to(device))
        return BoundQuality(self, spaces, x_train, device=device, batch_size=batch_size, seed=seed)

    def _inception(self) -> nn.Module:
        try:
            import torch_fidelity  # type: ignore[import-untyped]  # noqa: F401 - torchmetrics would say so in other words
            from torchmetrics.image.fid import NoTrainInceptionV3
        except ImportError as error:
            raise ConfigError(
                f"protocol.quality.inception = true: {one_line(error)}; pip install 'uae[fid]', or set it to "
                "false: fid_own and kid_own need neither"
            ) from error
        try:
            _check_plain(self.inception_weights)
            path = None if self.inception_weights is None else str(self.inception_weights)
            inception: nn.Module = NoTrainInceptionV3("inception-v3-compat", [_FEATURES], path)
        except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            given = "null" if self.inception_weights is None else self.inception_weights
            raise ConfigError(
                f"protocol.quality.inception_weights = {given}: Inception's weights can't be had from there "
                f"({one_line(error).partition('. ')[0]}). With a network, null fetches them; without one, "
                f"bring the file {_WEIGHTS} of torch-fidelity and name it; or set "
                "protocol.quality.inception=false"
            ) from error
        return inception


class BoundQuality:
    """Distances to the training set, whose features are computed once.

    Args:
        settings: of the distances.
        spaces: what makes features of images, by the suffix of the metrics' names.
        x_train: (N, *shape) training samples.
        device: where the spaces are.
        batch_size: samples at once.
        seed: of KID's subsets.

    Attributes:
        real: features of the training samples by space, (N, F) float64 on the CPU.
    """

    def __init__(
        self,
        settings: ImageQuality,
        spaces: dict[str, Space],
        x_train: Tensor,
        *,
        device: torch.device,
        batch_size: int,
        seed: int,
    ) -> None:
        self._settings, self._spaces = settings, spaces
        self._device, self._batch_size, self._seed = device, batch_size, seed
        self.real = {name: self._features(space, x_train) for name, space in spaces.items()}

    def measure(self, x: Tensor) -> dict[str, float]:
        """`fid…` and `kid…` of samples (n, *shape); none of fewer than two, which have no spread."""
        if len(x) < 2:
            return {}
        metrics = {}
        for name, space in self._spaces.items():
            fake, real = self._features(space, x), self.real[name]
            metrics[f"fid{name}"] = frechet_distance(real, fake)
            metrics[f"kid{name}"] = self._kernel_distance(real, fake)
        return metrics

    @torch.no_grad()
    def _features(self, space: Space, x: Tensor) -> Tensor:
        return torch.cat(
            [space(batch.to(self._device)).double().cpu() for batch in x.split(self._batch_size)]
        )

    def _kernel_distance(self, real: Tensor, fake: Tensor) -> float:
        size = min(self._settings.subset_size, len(real), len(fake))
        source = generator(self._seed, "kid", torch.device("cpu"))
        values = []
        for _ in range(self._settings.subsets):
            chosen = (each[torch.randperm(len(each), generator=source)[:size]] for each in (real, fake))
            values.append(squared_mmd(*chosen))
        return sum(values) / len(values)


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """‖μ − μ'‖² + tr(Σ + Σ' − 2 (Σ Σ')^½) of features (n, F) and (m, F) (Heusel et al. 2017)."""
    shift = (real.mean(0) - fake.mean(0)).square().sum()
    covariances = torch.cov(real.T), torch.cov(fake.T)
    # Σ Σ' has the eigenvalues of a positive matrix; rounding may make them slightly complex
    root = torch.linalg.eigvals(covariances[0] @ covariances[1]).sqrt().real.sum()
    return float(shift + covariances[0].trace() + covariances[1].trace() - 2 * root)


def squared_mmd(real: Tensor, fake: Tensor) -> float:
    """Unbiased MMD² with the kernel (a·b/F + 1)³ of features, both (n, F), n > 1 (Bińkowski et al. 2018)."""
    count, size = real.shape

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / size + 1) ** 3

    def within(a: Tensor) -> Tensor:
        values = kernel(a, a)
        return (values.sum() - values.trace()) / (count * (count - 1))

    return float(within(real) + within(fake) - 2 * kernel(real, fake).mean())


def _seen_by(inception: nn.Module, x: Tensor) -> Tensor:
    """Features of images (B, C, H, W), which Inception wants as bytes in three colours."""
    colour = x if x.shape[1] == 3 else x.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    features: Tensor = inception((255 * colour).round().to(torch.uint8))
    return features


def _check_plain(path: Path | None) -> None:
    """Read a user's file as plain tensors: the library that will read it would run what is in it."""
    if path is not None:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"it holds a {type(state).__name__}, no state dict")
