"""The same with Lightning, which uae doesn't depend on: UAEs are made anew by a callback.

pip install lightning && python examples/lightning_refresh.py
"""

from typing import Any

import lightning
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader

from uae_cli import Refresh, attack


class Autoencoder(lightning.LightningModule):
    """A small convolutional autoencoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU())
        self.decoder = nn.Sequential(nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct."""
        reconstruction: Tensor = self.decoder(self.encoder(x))
        return reconstruction

    def training_step(self, batch: Tensor) -> Tensor:
        """Squared error."""
        return nn.functional.mse_loss(self(batch), batch)

    def configure_optimizers(self) -> Any:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=3e-3)


class RefreshUaes(lightning.Callback):
    """Calls a `Refresh` at every epoch's beginning; the trainer must reload its loader (see `main`)."""

    def __init__(self, refresh: Refresh) -> None:
        self.refresh = refresh

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Before the next epoch's loader is made."""
        self.refresh(trainer.current_epoch + 1)


def main(epochs: int = 30, every: int = 10) -> None:
    """Train, and tell how it ends."""
    lightning.seed_everything(0)
    x = torch.tensor(load_digits().images / 16, dtype=torch.float32)[:, None]
    model = Autoencoder()
    refresh = Refresh(
        x, lambda seed: attack(model.forward, x, seed=seed, similarity="gaussian_mi"), every=every
    )
    trainer = lightning.Trainer(
        max_epochs=epochs,
        reload_dataloaders_every_n_epochs=1,
        callbacks=[RefreshUaes(refresh)],
        logger=False,
        enable_checkpointing=False,
    )
    trainer.fit(model, DataLoader(refresh.data, batch_size=64, shuffle=True))
    print(f"{len(refresh.data)} samples, {refresh.data.found}")


if __name__ == "__main__":
    main()
