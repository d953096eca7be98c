import pytest
import torch

from uae_cli.errors import ConfigError
from uae_cli.evaluation.nearest_neighbours import NearestNeighbours
from uae_cli.evaluation.representation import Representation


def test_it_is_a_vote_of_the_most_similar_by_the_cosine(pixels):
    train, test = (torch.nn.functional.normalize(x, dim=1) for x in (pixels.train, pixels.test))
    votes = pixels.y_train[(test @ train.T).topk(5).indices]
    expected = 100 * float((votes.mode(1).values == pixels.y_test).double().mean())
    assert expected > 95
    assert NearestNeighbours(k=5).accuracy(pixels) == pytest.approx(expected, abs=0.3)


def test_the_length_of_a_feature_does_not_matter():
    train = torch.tensor([[1.0, 0.1], [0.1, 1.0]])
    test = torch.tensor([[0.1, 0.0], [0.0, 100.0]])
    classes = torch.tensor([0, 1])
    assert NearestNeighbours(k=1).accuracy(Representation(train, classes, test, classes)) == 100.0
    assert NearestNeighbours(k=1).accuracy(Representation(train, classes, test, 1 - classes)) == 0.0


def test_more_neighbours_than_samples_are_refused(pixels):
    with pytest.raises(ConfigError, match=r"k = 2000: there are only 1437 training samples"):
        NearestNeighbours(k=2000).accuracy(pixels)
