"""Arms: what the model is retrained on beside the training samples (paper §4.4, §6.10).

Every arm is compared with a `replicate` that lists the samples as often as the arm has samples, so that
both take the same optimiser steps.
"""

from uae_cli.arms.adversarial import (
    Adversarial,
    Chain,
    ChangesTraining,
    ContrastiveAdversary,
    FreshAttack,
    attacks_of,
    parts_of,
)
from uae_cli.arms.base import Arm, ArmInputs, ExtraSamples, Transform
from uae_cli.arms.conventional import (
    FeatureSwap,
    Flip,
    Gaussian,
    MatchedNoise,
    Mixup,
    Replicate,
    ReplicateExtra,
    Rotation,
    Shift,
)

__all__ = [
    "Adversarial",
    "Arm",
    "ArmInputs",
    "Chain",
    "ChangesTraining",
    "ContrastiveAdversary",
    "ExtraSamples",
    "FeatureSwap",
    "Flip",
    "FreshAttack",
    "Gaussian",
    "MatchedNoise",
    "Mixup",
    "Replicate",
    "ReplicateExtra",
    "Rotation",
    "Shift",
    "Transform",
    "attacks_of",
    "parts_of",
]
