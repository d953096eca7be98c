"""Contrastive training: SimCLR (Chen et al. 2020), and CLAE on top of it (Ho and Vasconcelos 2020)."""

import math
from functools import partial
from typing import Annotated, Any, ClassVar, Protocol, runtime_checkable

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim.lr_scheduler import LambdaLR

from uae_cli.contrastive import Views, nt_xent
from uae_cli.errors import ConfigError
from uae_cli.settings import STRICT, Positive, Precision
from uae_cli.training.gradient_cache import Embedding, norms, untracked
from uae_cli.training.objectives import OptimizerFactory, Updater
from uae_cli.training.schedules import warmup_cosine


@runtime_checkable
class ComparesSamples(Protocol):
    """An objective whose loss compares the samples of a batch, and so depends on how many there are.

    One that needs some to compare at all says so in `least_batch`; a smaller batch is left out.
    """

    def check_batch(self, batch_size: int, samples: int) -> None:
        """See whether batches can be as large as they are meant to be.

        Raises:
            ConfigError: there are fewer samples than that.
        """
        ...


@dataclass(frozen=True, kw_only=True, config=STRICT)
class AdversarialViews:
    """CLAE: a third view of every sample, which is its first one moved to where the loss is larger.

    One step of the gradient's sign on NT-Xent between the views and themselves (their Algorithm 1). The
    network sees such views through batch normalisation of their own scale and shift, which are used for
    nothing else and dropped after training; views stay in [0, 1].

    Attributes:
        epsilon: ε > 0, the step; 0.03 in the authors' commands for CIFAR-10.
        weight: of NT-Xent between first and third views, beside that between first and second; there 1.
    """

    epsilon: Positive
    weight: Positive


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ContrastiveObjective:
    """NT-Xent over two random views of each sample of a batch, every other sample's being negatives.

    A sample that is left alone in an epoch's last batch has no negatives, and batch normalisation would
    take its statistics for those of the data: it is left out of that epoch; the next one shuffles anew.

    Attributes:
        optimizer: makes an optimiser of parameters.
        views: how a sample becomes views.
        temperature: τ > 0.
        warmup: share of all steps, in [0, 1), over which the learning rate rises; half a cosine follows.
        micro_batch: samples put through the network at once, at least 2, or null for a batch at once; the
            loss is that of the whole batch all the same, see `Embedding`.
        precision: of the network's passes under bfloat16; the loss is computed in float32.
        adversary: CLAE's views, or null.
    """

    supervised: ClassVar[bool] = False
    least_batch: ClassVar[int] = 2
    optimizer: OptimizerFactory
    views: Views
    temperature: Positive
    warmup: Annotated[float, Field(ge=0, lt=1)]
    micro_batch: Annotated[int, Field(ge=2)] | None
    precision: Precision
    adversary: AdversarialViews | None

    def bind(self, model: nn.Module, generator: torch.Generator, *, steps: int) -> Updater:
        """See `Objective.bind`."""
        return _ContrastiveUpdater(self, model, generator, steps)

    def check_batch(self, batch_size: int, samples: int) -> None:
        """See `ComparesSamples.check_batch`."""
        if batch_size > samples:
            raise ConfigError(
                f"model.trainer.batch_size = {batch_size}: there are only {samples} training samples, and a "
                "contrastive loss depends on how many it compares; use "
                f"model.trainer.batch_size={samples} or less"
            )


class _ContrastiveUpdater(Updater):
    def __init__(
        self, settings: ContrastiveObjective, model: nn.Module, generator: torch.Generator, steps: int
    ) -> None:
        self._settings, self._model, self._generator = settings, model, generator
        # An auxiliary scale and shift for adversarial views, as (name of the layer's own, tensor)
        self._auxiliary = _scales(model) if settings.adversary else {}
        self._optimizer = settings.optimizer([*model.parameters(), *self._auxiliary.values()])
        factor = partial(warmup_cosine, warmup=math.ceil(settings.warmup * steps), steps=steps)
        self._schedule = LambdaLR(self._optimizer, factor)

    def step(self, batch: Tensor, labels: Tensor | None) -> Tensor:  # noqa: ARG002
        views = self._settings.views
        seen = views.apply(batch, views.draw_from(self._generator, len(batch), 2))
        # CLAE's adversary must see the weights that the step then changes
        moved = None if self._settings.adversary is None else self._moved(seen[::2], self._settings.adversary)
        self._optimizer.zero_grad()
        loss = self._differentiated(seen, moved)
        self._optimizer.step()
        self._schedule.step()
        return loss

    def _differentiated(self, seen: Tensor, moved: Tensor | None) -> Tensor:
        """The loss, with its gradient added to those of the parameters."""
        clean = self._embedded(seen, self._project, 2)
        loss = self._nt_xent(clean.z)
        if moved is not None:
            assert self._settings.adversary is not None
            other = self._embedded(moved, self._project_moved, 1)
            loss = loss + self._settings.adversary.weight * self._nt_xent(_paired(clean.z[::2], other.z))
        loss.backward()
        clean.backward()
        if moved is not None:
            other.backward()
        return loss.detach()

    def _moved(self, first: Tensor, adversary: AdversarialViews) -> Tensor:
        embedding = self._embedded(first.clone().requires_grad_(), self._project_moved, 1)
        self._nt_xent(_paired(embedding.z.detach(), embedding.z)).backward()
        return torch.clamp(first + adversary.epsilon * embedding.gradient().sign(), 0, 1)

    def _nt_xent(self, z: Tensor) -> Tensor:
        return nt_xent(z, self._settings.temperature)

    def _embedded(self, images: Tensor, project: Any, views: int) -> Embedding:
        size = self._settings.micro_batch
        return Embedding(self._model, project, images, None if size is None else views * size)

    def _project(self, images: Tensor) -> Tensor:
        with self._autocast(images):
            z: Tensor = self._model(images)
        return z.float()

    def _project_moved(self, images: Tensor) -> Tensor:
        with self._autocast(images), untracked(self._model):
            z: Tensor = functional_call(self._model, {**self._auxiliary}, (images,))
        return z.float()

    def _autocast(self, images: Tensor) -> torch.autocast:
        enabled = self._settings.precision == "bfloat16"
        return torch.autocast(images.device.type, torch.bfloat16, enabled=enabled)

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "auxiliary": {name: tensor.detach() for name, tensor in self._auxiliary.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            for name, tensor in self._auxiliary.items():
                tensor.copy_(state["auxiliary"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])

    def scalars(self) -> dict[str, float]:
        return {"learning_rate": float(self._schedule.get_last_lr()[0])}


def _scales(model: nn.Module) -> dict[str, nn.Parameter]:
    """Copies of the scale and shift of every layer of batch normalisation."""
    found = {}
    for name, layer in norms(model).items():
        for kind, own in layer.named_parameters(recurse=False):
            found[f"{name}.{kind}"] = nn.Parameter(own.detach().clone())
    return found


def _paired(first: Tensor, second: Tensor) -> Tensor:
    """(2N, P): rows 2k and 2k + 1 are row k of each."""
    return torch.stack([first, second], 1).flatten(0, 1)
