"""One forward pass of a frozen model, with the feature maps that MINE reads on the way."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from uae_cli.errors import ConfigError


@dataclass(frozen=True)
class Response:
    """What the model said of one batch: its input (B, *shape), its output, and the tapped feature maps."""

    x: Tensor
    output: Tensor
    features: Tensor | None


class TappedModel:
    """The attacked model: frozen, in evaluation mode, tapped at one layer.

    Evaluation mode keeps one sample's result independent of its neighbours (BatchNorm, dropout).

    Args:
        model: any module; its parameters stop requiring gradients.
        layer: submodule whose output is kept as `features`, or None.

    Raises:
        ConfigError: the model has no such layer.
    """

    def __init__(self, model: nn.Module, layer: str | None) -> None:
        self._model = model.eval().requires_grad_(False)
        self._layer = None if layer is None else _submodule(model, layer)

    def __call__(self, x: Tensor) -> Response:
        """Run (B, *shape) samples through the model, differentiably in x."""
        if self._layer is None:
            return Response(x, self._model(x), None)
        tapped: list[Tensor] = []
        hook = self._layer.register_forward_hook(lambda _module, _inputs, output: tapped.append(output))
        try:
            output = self._model(x)
        finally:
            hook.remove()  # the model is its owner's again after every pass
        return Response(x, output, tapped[-1])

    @property
    def device(self) -> torch.device:
        """Where the model's parameters are."""
        return next(self._model.parameters()).device


def _submodule(model: nn.Module, layer: str) -> nn.Module:
    try:
        return model.get_submodule(layer)
    except AttributeError:
        names = ", ".join(name for name, _ in model.named_modules() if name)
        raise ConfigError(
            f"similarity.sampling.layer = {layer}: the model has no such layer; it has {names}"
        ) from None
