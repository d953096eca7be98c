from dataclasses import replace

import pytest
import torch

from uae_cli.attacks import Samples
from uae_cli.errors import ConfigError
from uae_cli.evaluation.mutual_information import HeldOutInformation
from uae_cli.mi import FeatureMaps, RandomProjections

CONV = FeatureMaps(layer=None, marginals="all_pairs")
RANDOM = RandomProjections(
    count=17, dimension=12, redraw=True, standardize=True, marginals="shuffle", matrices=True
)


def information(sampling=CONV, **changes) -> HeldOutInformation:
    settings = {"hidden": 10, "steps": 400, "checkpoints": 10, "learning_rate": 2e-3} | changes
    return HeldOutInformation(sampling=sampling, **settings)


def estimate(model, x, moved, sampling=CONV, batch_size=50, index=None, **changes):
    index = torch.arange(len(x)) if index is None else index
    held_out = information(sampling, **changes)
    return held_out.estimate(model, Samples(x, index, 0), moved, batch_size=batch_size)


@pytest.mark.parametrize(
    "sampling", [CONV, RANDOM, replace(RANDOM, matrices=False)], ids=["conv", "matrices", "drawn"]
)
def test_it_falls_as_noise_drowns_the_sample(trained_ae, digits, sampling):
    x, noise = digits[:40], torch.rand(40, 1, 8, 8)
    mixed = [((1 - share) * x + share * noise) for share in (0.0, 0.7, 1.0)]
    clean, half, none = (float(estimate(trained_ae, x, moved, sampling).mean()) for moved in mixed)
    assert clean > half > none
    assert clean > 0.3


def test_long_training_invents_nothing(trained_ae, digits):
    """On the vectors that it learns from, the same network would find whole nats: it knows them by heart.

    Even unrelated images share something, for the same filters made their maps.
    """
    x, unrelated = digits[:40], torch.rand(40, 1, 8, 8)
    short, long = (float(estimate(trained_ae, x, unrelated, steps=steps).mean()) for steps in (400, 1500))
    assert long < short + 0.1
    assert long < 0.7 * float(estimate(trained_ae, x, x).mean())


def test_estimates_belong_to_their_samples_whatever_the_batch(trained_ae, digits):
    x = digits[:12]
    moved = (x + 0.1 * torch.rand(x.shape)).clamp(0, 1)
    whole = estimate(trained_ae, x, moved, checkpoints=1)
    torch.testing.assert_close(
        estimate(trained_ae, x, moved, checkpoints=1, batch_size=5), whole, rtol=1e-3, atol=1e-3
    )
    assert whole.shape == (12,)


def test_an_estimate_does_not_depend_on_which_other_pairs_are_there(trained_ae, digits):
    x, there = digits[:12], torch.tensor([1, 4, 5, 11])
    moved = (x + 0.1 * torch.rand(x.shape)).clamp(0, 1)
    whole = estimate(trained_ae, x, moved, checkpoints=1, index=torch.arange(50, 62))
    part = estimate(trained_ae, x[there], moved[there], checkpoints=1, index=50 + there)
    torch.testing.assert_close(part, whole[there], rtol=1e-3, atol=1e-3)
    ranked = estimate(trained_ae, x[there], moved[there], checkpoints=1)
    assert float((ranked - whole[there]).abs().min()) > 1e-3


def test_the_best_checkpoint_is_one_for_all(trained_ae, digits):
    x = digits[:12]
    each = [estimate(trained_ae, x, x, steps=50 * n, checkpoints=1) for n in (1, 2, 3)]
    chosen = estimate(trained_ae, x, x, steps=150, checkpoints=3)
    means = [float(values.mean()) for values in each]
    assert float(chosen.mean()) >= max(means) - 0.05


def test_too_few_vectors_are_refused(trained_ae, digits):
    few = RandomProjections(
        count=3, dimension=4, redraw=True, standardize=True, marginals="shuffle", matrices=True
    )
    with pytest.raises(ConfigError, match="3 vectors a sample, but two halves of at least 2"):
        information(few).check(trained_ae, digits)
    information(RANDOM).check(trained_ae, digits)
