"""A library's report of a bad setting, in the user's words."""

from functools import partial
from typing import Annotated, Literal

import pytest
import torch
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from uae_cli.errors import ConfigError, SettingError, UnknownSettingError
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.experiment.refused import validation_error
from uae_cli.experiment.schema import check_optimizer
from uae_cli.experiment.settings import check_without_torch
from uae_cli.settings import STRICT, Count, Positive


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Sample:
    rate: Positive
    count: Count | Literal["auto"] = "auto"
    names: Annotated[list[str], Field(min_length=1)] | None = None


def refused(**settings: object) -> ConfigError:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(Sample).validate_python(settings)
    return validation_error(raised.value, "part")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"rate": 0}, "part.rate = 0: must be greater than 0"),
        ({"rate": "x"}, "part.rate = x: must be a number"),
        ({"rate": None}, "part.rate = null: must be a number"),
        ({"rate": 1, "count": 1.5}, "part.count = 1.5: must be a whole number, or 'auto'"),
        ({"rate": 1, "count": 0}, "part.count = 0: must be at least 1, or 'auto'"),
        ({"rate": 1, "rat": 2}, "part.rat: no such setting"),
        ({}, "part.rate: must be given, e.g. part.rate=…"),
        ({"rate": 0, "rat": 2}, "part.rate = 0: must be greater than 0; part.rat: no such setting"),
    ],
)
def test_one_line(settings: dict[str, object], line: str) -> None:
    assert str(refused(**settings)) == line


def test_the_setting_can_be_looked_up() -> None:
    bad, unknown = refused(rate=0), refused(rate=1, rat=2)
    assert isinstance(bad, SettingError)
    assert bad.setting == "part.rate"
    assert isinstance(unknown, UnknownSettingError)
    assert unknown.setting == "part.rat"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"lr": -1}, "o.lr = -1: invalid learning rate"),
        ({"lr": "x"}, "o.lr = x: must be a number"),
        ({"lr": 1.0, "weight_deca": 1}, "o.weight_deca: no such setting; did you mean o.weight_decay?"),
    ],
)
def test_optimizers(settings: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError, match="^" + line.replace("?", r"\?")):
        check_optimizer(partial(torch.optim.Adam, **settings), "o")


def test_a_good_optimizer_passes() -> None:
    check_optimizer(partial(torch.optim.Adam, lr=1e-3), "o")


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("data.train_size=0", "data.train_size = 0: must be at least 1"),
        ("+data.trainsize=1", "data.trainsize: no such setting"),
        ("augmentation.rounds=0", "augmentation.rounds = 0: must be at least 1"),
        ("chunk_size=x", "chunk_size = x: must be a whole number"),
        ("precision=half", "precision = half: must be 'float32', 'tf32' or 'bfloat16'"),
    ],
)
def test_what_needs_no_torch(override: str, line: str) -> None:
    register_resolvers()
    [job] = compose_jobs([override], multirun=False, extra_dir=None)
    with pytest.raises(ConfigError, match=f"^{line}$"):
        check_without_torch(job.config)
