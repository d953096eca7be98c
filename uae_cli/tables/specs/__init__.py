"""What each table of the paper shows; a new table is one more entry of a module's `TABLES`."""

from uae_cli.tables.specs import augmentations, contrastive, reconstruction, selection, supervised
from uae_cli.tables.specs.base import Measure, TableSpec

SPECS: dict[str, TableSpec] = {
    spec.number: spec
    for module in (reconstruction, augmentations, selection, contrastive, supervised)
    for spec in module.TABLES
}

__all__ = ["SPECS", "Measure", "TableSpec"]
