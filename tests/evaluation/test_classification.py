import pytest
import torch
from torch import nn

from uae_cli.datasets import Dataset
from uae_cli.errors import ConfigError
from uae_cli.evaluation import ClassificationEvaluation, EvaluationData
from uae_cli.progress import Bars


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
