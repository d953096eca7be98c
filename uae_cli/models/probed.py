"""A contrastive encoder with a linear head, as one classifier that can be attacked."""

from torch import Tensor, nn

from uae_cli.models.classifiers import Classifier
from uae_cli.models.simclr import SimCLR


class ProbedEncoder(Classifier):
    """Logits of a linear head on a frozen encoder's features (paper §6.17, Figure 10b).

    Args:
        model: whose encoder is used.
        head: (B, F) → (B, classes).
    """

    def __init__(self, model: SimCLR, head: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.head = model.encoder, head
        self.feature_layer = model.feature_layer

    def embed(self, x: Tensor) -> Tensor:
        """Features of (B, C, H, W) images, (B, F)."""
        features: Tensor = self.encoder(x)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Logits of (B, C, H, W) images, (B, classes)."""
        logits: Tensor = self.head(self.embed(x))
        return logits
