"""Table 7: SimCLR."""

from dataclasses import replace

from uae_cli.tables.specs.base import ACCURACY, ASR, TableSpec, error_measure

TABLES = (
    TableSpec(
        number="7",
        title="contrastive learning: a linear probe on the features (the paper's CLAE: +0.05), contrastive "
        "loss on the test set, attack success",
        models=("simclr",),
        arms=("original", "replicate", "mine_uae", "clae"),
        measures=(
            ACCURACY,
            error_measure("test_contrastive_loss", "contrastive loss"),
            ASR,
            replace(ASR, metric="asr_fresh", heading="ASR % on new views"),
        ),
        example="digits_simclr",
    ),
)
