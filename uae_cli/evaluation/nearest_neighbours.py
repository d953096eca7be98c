"""Accuracy of nearest neighbours on frozen features: a check of a representation without any training."""

from pydantic.dataclasses import dataclass

from uae_cli.errors import ConfigError
from uae_cli.evaluation.representation import Representation
from uae_cli.settings import STRICT, Count


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NearestNeighbours:
    """The majority among the k training samples with the most similar features, by the cosine.

    Attributes:
        k: neighbours.
    """

    k: Count

    def accuracy(self, features: Representation) -> float:
        """Share of test samples classified rightly, in percent.

        Raises:
            ConfigError: there are fewer than k training samples.
        """
        from sklearn.neighbors import KNeighborsClassifier

        if self.k > len(features.train):
            raise ConfigError(
                f"nearest_neighbours.k = {self.k}: there are only {len(features.train)} training samples; "
                "ask for fewer neighbours"
            )
        classifier = KNeighborsClassifier(n_neighbors=self.k, metric="cosine")
        classifier.fit(features.train.cpu().numpy(), features.y_train.cpu().numpy())
        return 100 * float(classifier.score(features.test.cpu().numpy(), features.y_test.cpu().numpy()))
