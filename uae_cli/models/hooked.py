"""One forward pass of a frozen model, with the feature maps that MINE reads on the way."""

from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from uae_cli.errors import ConfigError
from uae_cli.settings import Precision


@dataclass(frozen=True)
class Response:
    """What the model said of one batch: its input (B, *shape), its output, and the hooked feature maps."""

    x: Tensor
    output: Tensor
    features: Tensor | None


class HookedModel:
    """The attacked model: frozen, in evaluation mode, hooked at one layer.

    Evaluation mode keeps one sample's result independent of its neighbours (BatchNorm, dropout).

    Args:
        model: any module; its parameters stop requiring gradients.
        layer: submodule whose output is kept as `features`, or None.
        precision: bfloat16 runs the model's passes under autocast; its answers are float32 all the same.

    Raises:
        ConfigError: the model has no such layer.
    """

    def __init__(self, model: nn.Module, layer: str | None, *, precision: Precision = "float32") -> None:
        self._model = model.eval().requires_grad_(False)
        self._layer = None if layer is None else _submodule(model, layer)
        self._half = precision == "bfloat16"

    def __call__(self, x: Tensor) -> Response:
        """Run (B, *shape) samples through the model, differentiably in x."""
        hooked: list[Tensor] = []
        hook = None
        if self._layer is not None:
            hook = self._layer.register_forward_hook(lambda _module, _inputs, made: hooked.append(made))
        half = torch.autocast(x.device.type, torch.bfloat16, enabled=self._half)
        try:
            with record_function("uae.model"), half:
                output = self._model(x)
        finally:
            if hook is not None:
                hook.remove()  # the model is its owner's again after every pass
        features = hooked[-1] if hooked else None  # a layer may never be called
        if self._half:
            return Response(x, output.float(), None if features is None else features.float())
        return Response(x, output, features)

    @property
    def device(self) -> torch.device:
        """Where the model's parameters (or else its buffers) are."""
        return next(chain(self._model.parameters(), self._model.buffers())).device


# A convolution's maps are read behind these, where they follow it
_BEHIND = tuple(
    f"torch.nn.modules.{name}" for name in ("activation", "batchnorm", "instancenorm", "normalization")
)


def first_convolution(model: nn.Module) -> str | None:
    """The layer whose output is the first convolution's maps (paper §6.2); None if there is none.

    The first in the order in which the model holds its layers, transposed convolutions aside; behind the
    normalisation and activation that follow it in an `nn.Sequential`. Elsewhere what follows can't be seen,
    and it is the convolution itself.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return _behind(model, name)
    return None


def _behind(model: nn.Module, name: str) -> str:
    above, dot, own = name.rpartition(".")
    parent = model.get_submodule(above)
    if isinstance(parent, nn.Sequential):
        names = [child for child, _ in parent.named_children()]
        for following in names[names.index(own) + 1 :]:
            if type(parent.get_submodule(following)).__module__ not in _BEHIND:
                break
            own = following
    return f"{above}{dot}{own}"


def _submodule(model: nn.Module, layer: str) -> nn.Module:
    try:
        return model.get_submodule(layer)
    except AttributeError:
        names = ", ".join(name for name, _ in model.named_modules() if name)
        raise ConfigError(
            f"similarity.sampling.layer = {layer}: the model has no such layer; it has {names}"
        ) from None
