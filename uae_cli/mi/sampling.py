"""Two ways to turn one sample into K vectors, so that a single pair has a mutual information (paper §3.1)."""

from typing import Annotated, Protocol, runtime_checkable

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.profiler import record_function

from uae_cli.errors import ConfigError
from uae_cli.mi.bound import MarginalsName
from uae_cli.mi.draws import Draws
from uae_cli.models.hooked import HookedModel, Response, first_convolution
from uae_cli.randomness import generator
from uae_cli.settings import STRICT


@runtime_checkable
class Sampling(Protocol):
    """Settings of a way to sample; `marginals` is the bound's default second term for it."""

    marginals: MarginalsName

    def hooked_layer(self, model: nn.Module) -> str | None:
        """The layer whose output the vectors are read from, if any.

        Raises:
            ConfigError: the model has no layer of the kind needed.
        """
        ...

    def bind(self, sample: Tensor, seed: int) -> "Sampler":
        """A sampler for batches like `sample` (B, *shape)."""
        ...


class Sampler(Protocol):
    """Draws the vectors of one batch."""

    redraws: bool

    def __call__(self, response: Response, iteration: int) -> Tensor:
        """(B, K, D) vectors, differentiable in `response.x`; equal draws for equal iterations."""
        ...


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FeatureMaps:
    """`conv`: the K feature maps of the first convolution, after its activation, each flattened.

    Attributes:
        layer: the hooked submodule; null takes the model's own `feature_layer`, or else its first
            convolution.
        marginals: all pairs by default, because K is small (8 to 96): K·(K−1) terms cost little,
            and a bound without shuffling noise is what the best iterate can be chosen by.
    """

    layer: str | None
    marginals: MarginalsName

    def hooked_layer(self, model: nn.Module) -> str | None:
        """See `Sampling.hooked_layer`."""
        layer = self.layer or getattr(model, "feature_layer", None) or first_convolution(model)
        if layer is None:
            raise ConfigError(
                f"sampling = conv: {type(model).__name__} has no convolution layer (nn.Conv1d, Conv2d or "
                "Conv3d); use sampling=random, or name another layer, similarity.sampling.layer=NAME"
            )
        return str(layer)

    def bind(self, sample: Tensor, seed: int) -> Sampler:  # noqa: ARG002
        """See `Sampling.bind`."""
        return _HookedFeatures()


class _HookedFeatures:
    redraws = False

    def __call__(self, response: Response, iteration: int) -> Tensor:  # noqa: ARG002
        if response.features is None:
            raise RuntimeError("the attacked model was not hooked")
        with record_function("uae.features"):
            return response.features.flatten(2)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RandomProjections:
    """`random`: K Gaussian compressions of a sample to D values, by matrices of entries N(0, 1/D).

    Attributes:
        count: K, at least 2.
        dimension: D, the length of every compressed vector.
        redraw: new ones at every attack iteration, as the authors' program. Pairs that are drawn by their
            law and stay (false) see of δ only its part along x and its length; fixed matrices all of it.
        standardize: every compressed vector to mean 0 and deviation 1, as the authors' program.
        marginals: shuffle by default: at K = 500 all pairs are 249,500 terms a step, and one shuffle
            already averages 500.
        matrices: whether to draw the matrices, K·D·d numbers shared by all samples, for reference; else the
            compressed pairs are drawn by their law (see `mi.draws`).
    """

    count: Annotated[int, Field(ge=2)]
    dimension: Annotated[int, Field(ge=2)]
    redraw: bool
    standardize: bool
    marginals: MarginalsName
    matrices: bool

    def bytes_of(self, values: int) -> int:
        """Size of all matrices (without them, of g and h) for samples of so many float32 values."""
        return 4 * (values if self.matrices else 2) * self.count * self.dimension

    def draws(self, like: Tensor, seed: int, iteration: int) -> Draws:
        """Those of an attack iteration, of the type and on the device of `like`."""
        return Draws.at(
            seed,
            iteration,
            like,
            count=self.count,
            dimension=self.dimension,
            standardize=self.standardize,
        )

    def hooked_layer(self, model: nn.Module) -> str | None:  # noqa: ARG002
        """See `Sampling.hooked_layer`: no layer is needed."""
        return None

    def bind(self, sample: Tensor, seed: int) -> Sampler:
        """See `Sampling.bind`."""
        return _Projector(self, sample, seed)


def pair_vectors(sampling: Sampling, clean: Response, moved: Response, seed: int) -> tuple[Tensor, Tensor]:
    """K vectors each, (B, K, D), of what a model said of clean samples and of perturbed ones."""
    if isinstance(sampling, RandomProjections) and not sampling.matrices:
        return sampling.draws(clean.x, seed, 0).pairs(clean.x, moved.x)
    sampler = sampling.bind(clean.x, seed)
    return sampler(clean, 0), sampler(moved, 0)


@torch.no_grad()
def count_vectors(sampling: Sampling, model: nn.Module, x: Tensor) -> int:
    """K of such samples x (N, *shape)."""
    if isinstance(sampling, RandomProjections):
        return sampling.count
    hooked = HookedModel(model, sampling.hooked_layer(model))
    response = hooked(x[:1].to(hooked.device))
    return pair_vectors(sampling, response, response, 0)[0].shape[1]


class _Projector:
    def __init__(self, settings: RandomProjections, sample: Tensor, seed: int) -> None:
        self.redraws = settings.redraw
        self._settings, self._seed = settings, seed
        size = sample[0].numel()
        self._matrix = sample.new_empty(size, settings.count * settings.dimension)
        self._drawn: int | None = None

    def __call__(self, response: Response, iteration: int) -> Tensor:
        with record_function("uae.features"):
            self._draw(iteration if self.redraws else 0)
            vectors = response.x.flatten(1) @ self._matrix
            vectors = vectors.view(-1, self._settings.count, self._settings.dimension)
            return _standardized(vectors) if self._settings.standardize else vectors

    def _draw(self, iteration: int) -> None:
        if self._drawn == iteration:
            return
        source = generator(self._seed, f"projections/{iteration}", self._matrix.device)
        shape = self._matrix.shape
        # A fresh tensor, since autograd may still need the last one; which is free already where it doesn't
        self._matrix = self._matrix.new_empty(0)
        self._matrix = self._matrix.new_empty(shape).normal_(
            0, self._settings.dimension**-0.5, generator=source
        )
        self._drawn = iteration


def _standardized(vectors: Tensor) -> Tensor:
    centred = vectors - vectors.mean(2, keepdim=True)
    return centred / (centred.square().mean(2, keepdim=True) + 1e-12).sqrt()
