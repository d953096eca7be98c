"""Dense and sparse autoencoders: one layer each way (paper §4.4; settings of the authors' program)."""

from pydantic import validate_call
from torch import Tensor, nn

from uae_cli.models.base import Autoencoder, flat_size
from uae_cli.settings import Count


class DenseAutoencoder(Autoencoder):
    """d–L–d with a sigmoid after both layers; the sparse autoencoder is the same network.

    Args:
        shape: shape of one sample.
        latent_dim: L, the width of the code.
    """

    @validate_call
    def __init__(self, *, shape: tuple[int, ...], latent_dim: Count) -> None:
        super().__init__()
        size = flat_size(shape)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, latent_dim), nn.Sigmoid())
        self.decoder = nn.Sequential(nn.Linear(latent_dim, size), nn.Sigmoid(), nn.Unflatten(1, shape))

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct (B, *shape) samples."""
        reconstruction: Tensor = self.decoder(self.encoder(x))
        return reconstruction
