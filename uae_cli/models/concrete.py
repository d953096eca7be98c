"""Concrete autoencoder: K chosen features, and a decoder of them (Balın et al. 2019; paper §4.5)."""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, validate_call
from torch import Tensor, nn
from torch.nn import functional as F

from uae_cli.errors import ConfigError
from uae_cli.models.base import Autoencoder, generator_here, glorot_
from uae_cli.settings import Count

_SLOPE = 0.2
_TRUNCATED_DEVIATION = 0.87962566103423978  # of a standard normal cut off at ±2


class ConcreteSelector(nn.Module):
    """K nodes, each a distribution over d features that hardens into one of them (Balın et al. 2019, §3.1).

    Args:
        features: d.
        selected: K.

    Attributes:
        logits: (K, d), the nodes' unnormalised log-probabilities.
    """

    def __init__(self, *, features: int, selected: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(selected, features))

    def start_(self, generator: torch.Generator) -> None:
        """Draw the logits in place: Keras's Glorot-normal, as in the program of Balın et al."""
        scale = (2 / sum(self.logits.shape)) ** 0.5 / _TRUNCATED_DEVIATION
        nn.init.trunc_normal_(self.logits, std=scale, a=-2 * scale, b=2 * scale, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """The chosen features (B, K) of (B, d) samples."""
        return x.index_select(1, self.choice())

    def choice(self) -> Tensor:
        """The feature that each node chooses, (K,) int64; nodes may agree."""
        return self.logits.detach().argmax(1)

    def maxima(self) -> Tensor:
        """Probability of each node's choice, (K,); all 1 when the selection has hardened."""
        return self.logits.detach().softmax(1).amax(1)

    def gumbel(self, generator: torch.Generator) -> Tensor:
        """Standard Gumbel noise (K, d): one draw for a whole batch, as in the program of Balın et al."""
        uniform = torch.empty_like(self.logits).uniform_(generator=generator)
        # In [0, 1), so that only the lower end has no logarithm
        uniform.clamp_(min=torch.finfo(uniform.dtype).tiny)
        return uniform.log_().neg_().log_().neg_()

    def relaxed(self, x: Tensor, noise: Tensor, temperature: float) -> Tensor:
        """X · softmax((logits + noise) / temperature)ᵀ, (B, K): each node's mixture of the features."""
        mixture = ((self.logits + noise) / temperature).softmax(1)
        return x @ mixture.T


class ConcreteDecoder(nn.Module):
    """K–H–…–H–d with LeakyReLU(0.2) and dropout after every hidden layer.

    Args:
        inputs: K.
        hidden: width of each hidden layer.
        outputs: d.
        dropout: share of hidden values that training sets to zero.
    """

    def __init__(self, *, inputs: int, hidden: list[int], outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        widths = zip([inputs, *hidden], hidden, strict=False)
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in widths)
        self.last = nn.Linear(hidden[-1], outputs)

    def forward(self, code: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Decode (B, K) to (B, d); drops values only if given what draws them."""
        for layer in self.hidden:
            code = F.leaky_relu(layer(code), _SLOPE)
            if generator is not None:
                # torch's own dropout takes no generator, so a resumed fit would drop others
                keep = torch.empty_like(code).bernoulli_(1 - self.dropout, generator=generator)
                code = code * keep / (1 - self.dropout)
        decoded: Tensor = self.last(code)
        return decoded


class ConcreteAutoencoder(Autoencoder):
    """Reconstructs a sample from K of its features, which training chooses.

    Args:
        shape: shape of one sample, of any number of dimensions; d is the number of its values.
        selected: K, at most d.
        hidden: widths of the decoder's hidden layers.
        dropout: share of hidden values dropped in training, in [0, 1).
        output: linear, as in the program of Balın et al. (reconstructions may leave [0, 1]), or sigmoid.

    Attributes:
        selector: chooses.
        decoder: reconstructs.

    Raises:
        ConfigError: K > d.
    """

    @validate_call
    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        selected: Count,
        hidden: Annotated[list[Count], Field(min_length=1)],
        dropout: Annotated[float, Field(ge=0, lt=1)],
        output: Literal["linear", "sigmoid"],
    ) -> None:
        super().__init__()
        generator = generator_here()
        size = math.prod(shape)
        if selected > size:
            raise ConfigError(
                f"model.network.selected = {selected}: the dataset has only {size} features; select fewer"
            )
        self.selector = ConcreteSelector(features=size, selected=selected)
        self.decoder = ConcreteDecoder(inputs=selected, hidden=hidden, outputs=size, dropout=dropout)
        self._output = torch.sigmoid if output == "sigmoid" else nn.Identity()
        self.selector.start_(generator)
        glorot_(self.decoder, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct (B, *shape) samples from the chosen features; nothing is random."""
        code = self.selector(x.flatten(1))
        return self._shaped(self.decoder(code), x)

    def relaxed(self, x: Tensor, *, temperature: float, generator: torch.Generator) -> Tensor:
        """Reconstruct (B, *shape) samples as in training: a soft selection, and dropout.

        Args:
            x: the samples.
            temperature: of the selection, above 0; towards 0 each node takes a single feature.
            generator: on the model's device, draws the Gumbel noise and what is dropped.
        """
        noise = self.selector.gumbel(generator)
        code = self.selector.relaxed(x.flatten(1), noise, temperature)
        return self._shaped(self.decoder(code, generator), x)

    def _shaped(self, decoded: Tensor, x: Tensor) -> Tensor:
        reconstruction: Tensor = self._output(decoded)
        return reconstruction.view(x.shape)
