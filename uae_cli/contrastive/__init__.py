"""Contrastive learning: random views of a sample, and the loss that compares them."""

from uae_cli.contrastive.nt_xent import nt_xent, per_sample_nt_xent
from uae_cli.contrastive.views import ViewParameters, Views

__all__ = ["ViewParameters", "Views", "nt_xent", "per_sample_nt_xent"]
