"""Tables 6 and 12: the concrete autoencoder, and how the attack's step sizes matter."""

from uae_cli.tables.specs.base import ACCURACY, ASR, Measure, Sweep, TableSpec, error_measure

TRAIN_MSE = error_measure("train_mse", "train MSE")

TABLES = (
    TableSpec(
        number="6",
        title="features chosen by a concrete autoencoder: reconstruction, and a classifier on them",
        models=("concrete_ae",),
        arms=("original", "replicate", "mine_uae", "matched_noise"),
        measures=(
            error_measure("test_mse", "test MSE"),
            ACCURACY,
            ASR,
            Measure(
                metric="train_mse", heading="train MSE", show=TRAIN_MSE.show, show_paper=TRAIN_MSE.show_paper
            ),
        ),
        epochs=True,
        example="mice_protein_concrete_ae",
    ),
    TableSpec(
        number="12",
        title="reconstruction error on the test set over step sizes of the attack, MINE-UAE",
        models=("conv_ae", "concrete_ae"),
        arms=("mine_uae",),
        measures=(error_measure("test_mse", "test MSE"),),
        sweep=Sweep(values={"alpha": (0.01, 0.05), "beta": (0.05, 0.1, 0.5)}),
    ),
)
