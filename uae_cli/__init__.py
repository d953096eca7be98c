"""Unsupervised adversarial examples: generate them, retrain on them, measure what they change."""

__version__ = "0.1.0"
