"""Train an autoencoder on digits, and from epoch 10 on their UAEs too, made anew every 10 epochs.

python examples/plain_torch.py
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader

from uae_cli import Refresh, attack


def main(epochs: int = 30, every: int = 10) -> None:
    """Train, and tell how it goes."""
    torch.manual_seed(0)
    x = torch.tensor(load_digits().images / 16, dtype=torch.float32)[:, None]
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 4, stride=2, padding=1),
        nn.Sigmoid(),
    )
    refresh = Refresh(x, lambda seed: attack(model, x, seed=seed, similarity="gaussian_mi"), every=every)
    loader = DataLoader(refresh.data, batch_size=64, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(epochs):
        if refresh(epoch):
            print(f"epoch {epoch}: {refresh.data.found}")
        for batch in loader:
            loss = nn.functional.mse_loss(model(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print(f"loss {float(loss.detach()):.4f} with {len(refresh.data)} samples")


if __name__ == "__main__":
    main()
