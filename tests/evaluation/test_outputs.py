"""Reconstruction errors and accuracies, against numpy and by hand."""

import pytest
import torch
from torch import Tensor, nn

from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation import ClassificationEvaluation, EvaluationData, ReconstructionEvaluation
from uae_cli.evaluation.outputs import mean_squared_error, reconstruct
from uae_cli.progress import Bars


class Shift(nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_the_error_is_the_mean_over_samples_and_values(batch_size):
    x = torch.rand(7, 3, 2, 2)
    assert mean_squared_error(Shift(0.5), x, batch_size=batch_size) == pytest.approx(0.25)


def test_a_smaller_last_batch_weighs_no_more():
    x = torch.tensor([[0.0], [0.0], [1.0]])
    double = nn.Linear(1, 1, bias=False)
    nn.init.constant_(double.weight, 2.0)
    assert mean_squared_error(double, x, batch_size=2) == pytest.approx(1 / 3)


def test_it_agrees_with_numpy_on_a_trained_model(trained_ae, digits):
    output = trained_ae(digits).detach().double().numpy()
    expected = ((digits.double().numpy() - output) ** 2).mean()
    assert mean_squared_error(trained_ae, digits, batch_size=64) == pytest.approx(expected, rel=1e-6)
    assert 0 < expected < 0.1


def test_many_samples_are_summed_in_double_precision():
    x = torch.zeros(300_000, 1)
    assert mean_squared_error(Shift(0.1), x, batch_size=1000) == pytest.approx(0.01, rel=1e-6)


def test_reconstructions_are_plain_tensors(trained_ae, digits):
    found = reconstruct(trained_ae, digits[:3])
    assert not found.requires_grad
    torch.testing.assert_close(found, trained_ae(digits[:3]).detach())


def data(digits, labels) -> Dataset:
    return Dataset(name="d", x_train=digits, y_train=labels, x_test=digits, y_test=labels, source="")


@pytest.mark.parametrize("batch_size", [7, 400])
def test_accuracy_counts_the_samples(trained_classifier, digits, digit_labels, batch_size):
    judged_on = EvaluationData(data(digits, digit_labels), 0, batch_size, Bars())
    correct = int((trained_classifier(digits).argmax(1) == digit_labels).sum())
    measured = ClassificationEvaluation().measure(trained_classifier, judged_on)
    assert measured == {"test_accuracy": pytest.approx(100 * correct / 400)}
    assert 80 < measured["test_accuracy"] < 100


@pytest.mark.parametrize("model", [nn.Identity(), nn.Sequential(nn.Flatten(), nn.Linear(64, 9))])
def test_a_model_without_a_logit_for_each_class_is_refused(digits, digit_labels, model):
    with pytest.raises(ConfigError, match="needs a logit for each of 10 classes"):
        ClassificationEvaluation().check(model, data(digits, digit_labels))


def test_a_classifier_is_accepted(trained_classifier, digits, digit_labels):
    with torch.no_grad():
        ClassificationEvaluation().check(trained_classifier, data(digits, digit_labels))


def test_a_model_without_reconstructions_is_refused(trained_ae, trained_classifier, digits, digit_labels):
    judged_on = data(digits, digit_labels)
    ReconstructionEvaluation().check(trained_ae, judged_on)
    with pytest.raises(ConfigError, match=r"samples of shape \(1, 8, 8\) with \(10,\); use an autoencoder"):
        ReconstructionEvaluation().check(trained_classifier, judged_on)
