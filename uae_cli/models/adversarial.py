"""Adversarial autoencoder (Makhzani et al. 2016; paper §4.4)."""

from pydantic import validate_call
from torch import Tensor, nn

from uae_cli.models.base import Autoencoder, flat_size
from uae_cli.settings import Count


class AdversarialAutoencoder(Autoencoder):
    """Encoder d–H–H–L with a sigmoid code, mirrored decoder, and a discriminator L–H–H–1 on the code.

    Args:
        shape: shape of one sample.
        latent_dim: L, the width of the code.
        hidden_dim: H, the width of every hidden layer.
    """

    @validate_call
    def __init__(self, *, shape: tuple[int, ...], latent_dim: Count, hidden_dim: Count) -> None:
        super().__init__()
        size = flat_size(shape)
        self.latent_dim = latent_dim
        self.encoder = nn.Sequential(nn.Flatten(), *_hidden(size, hidden_dim, latent_dim), nn.Sigmoid())
        self.decoder = nn.Sequential(
            *_hidden(latent_dim, hidden_dim, size), nn.Sigmoid(), nn.Unflatten(1, shape)
        )
        self.discriminator = nn.Sequential(*_hidden(latent_dim, hidden_dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct (B, *shape) samples; the discriminator plays no part."""
        reconstruction: Tensor = self.decoder(self.encoder(x))
        return reconstruction


def _hidden(inputs: int, hidden: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Linear(inputs, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, outputs),
    ]
