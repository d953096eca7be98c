"""Checked settings: the classes that do the work declare their own types and ranges.

A YAML file names such a class in `_target_`; Hydra builds it and pydantic checks every value, so a
setting out of range is refused before any data is read. Defaults live in `conf/`, never in code.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field

STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
UnitInterval = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]


def _named(value: object) -> object:
    if value == "":
        raise ValueError("must name a file or folder; a dot is this one")
    return value


Location = Annotated[Path, BeforeValidator(_named)]
Precision = Literal["float32", "tf32", "bfloat16"]
