"""The list of tables and figures names experiments and tables that are there."""

import pytest

from uae_cli.errors import ConfigError
from uae_cli.experiment.compose import conf_dir
from uae_cli.paper.items import ITEMS, chosen, runs_of
from uae_cli.tables.specs import SPECS

EXPERIMENTS = {path.stem for path in (conf_dir() / "experiment").glob("*.yaml")}


def test_every_table_is_listed_and_every_experiment_is_there() -> None:
    assert {item.number for item in ITEMS if item.kind == "table"} == set(SPECS)
    named = {run[0].removeprefix("experiment=") for run in runs_of(ITEMS)}
    assert named <= EXPERIMENTS


def test_every_figure_of_the_paper_is_listed() -> None:
    figures = [item for item in ITEMS if item.kind == "figure"]
    assert [item.number for item in figures] == [str(number) for number in range(1, 11)]
    assert all(item.files for item in figures)


def test_some_are_chosen_by_their_numbers() -> None:
    assert [item.key for item in chosen("4,t6,F5,4")] == ["4", "6", "f5"]
    assert chosen(None) == list(ITEMS)
    with pytest.raises(ConfigError, match=r"--only = 44: no such table or figure; did you mean 4\?"):
        chosen("44")


def test_a_run_that_two_tables_need_is_made_once() -> None:
    both = chosen("4,10")
    assert runs_of(both) == runs_of(both[:1])
