import pytest
import torch
from torch import nn

from uae_cli.attacks import Samples
from uae_cli.attacks.criteria import Misclassification, Reconstruction
from uae_cli.attacks.model_checks import warnings_about

UNTARGETED = Misclassification(kappa=0.0, target=None)


class Rounded(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x.round().detach() + 0 * x)


class Noisy(Rounded):
    def forward(self, x):
        return self.model(x + 0.1 * torch.randn_like(x))


def names(model, criterion, x, labels):
    return {
        line.partition(":")[0]
        for line in warnings_about(model, criterion, Samples.first(x, seed=0, labels=labels))
    }


def test_a_sound_model_is_passed_in_silence(trained_classifier, trained_ae, digits, digit_labels):
    assert names(trained_classifier, UNTARGETED, digits[:32], digit_labels[:32]) == set()
    assert names(trained_ae, Reconstruction(kappa=0.0), digits[:32], None) == set()


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda model: nn.Sequential(model, nn.Softmax(1)), "softmax outputs"),
        (lambda model: nn.Sequential(model, nn.LogSoftmax(1)), "softmax outputs"),
        (Rounded, "zero gradients"),
        (Noisy, "random model"),
    ],
)
def test_a_spoilt_one_is_named(trained_classifier, digits, digit_labels, spoil, name):
    assert names(spoil(trained_classifier), UNTARGETED, digits[:32], digit_labels[:32]) == {name}


def test_a_random_target_is_that_of_the_sample_in_its_dataset(trained_classifier, digits, digit_labels):
    class Noted(Misclassification):
        def bind(self, model, clean, batch):
            seen.append(batch.index.tolist())
            return super().bind(model, clean, batch)

    seen: list[list[int]] = []
    targeted, index = Noted(kappa=0.0, target="random"), torch.tensor([3, 8, 40])
    warnings_about(trained_classifier, targeted, Samples(digits[index], index, 0, digit_labels[index]))
    assert seen == [[3, 8, 40]]
