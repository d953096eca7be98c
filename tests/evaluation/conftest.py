"""A representation that is really there: the digits' own pixels."""

from pathlib import Path

import pytest

from uae_cli.datasets import Dataset, Digits
from uae_cli.evaluation.representation import Representation


@pytest.fixture(scope="session")
def labelled() -> Dataset:
    """All of scikit-learn's digits, with their classes."""
    return Digits(name="digits").load(Path("/nonexistent"), download=False)


@pytest.fixture(scope="session")
def pixels(labelled: Dataset) -> Representation:
    return Representation(
        labelled.x_train.flatten(1), labelled.y_train, labelled.x_test.flatten(1), labelled.y_test
    )
