"""Tables 4 and 10: autoencoders retrained on every arm."""

from uae_cli.results.columns import ARMS
from uae_cli.tables.specs.base import ASR, TableSpec, error_measure

AUTOENCODERS = ("sparse_ae", "dense_ae", "conv_ae", "adversarial_ae")

TABLES = (
    TableSpec(
        number="4",
        title="reconstruction error on the test set, attack success on the training set",
        models=AUTOENCODERS,
        arms=ARMS,
        needs=ARMS[2:],
        measures=(error_measure("test_mse", "test MSE"), ASR),
        epochs=True,
    ),
    TableSpec(
        number="10",
        title="reconstruction error on the training set, epochs of training",
        models=AUTOENCODERS,
        arms=ARMS,
        needs=ARMS[2:],
        measures=(error_measure("train_mse", "train MSE"),),
        epochs=True,
    ),
)
