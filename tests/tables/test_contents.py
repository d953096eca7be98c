"""The contents of the paper name experiments and numbers that are there."""

import pytest

from uae_cli.errors import ConfigError
from uae_cli.experiment.compose import conf_dir
from uae_cli.tables import CONTENTS, TABLES, Figure, chosen
from uae_cli.tables.reported import load

EXPERIMENTS = {path.stem for path in (conf_dir() / "experiment").glob("*.yaml")}


@pytest.mark.parametrize("entry", CONTENTS, ids=lambda entry: entry.key)
def test_every_experiment_of_an_entry_is_there(entry) -> None:
    named = {run[0].removeprefix("experiment=") for run in entry.runs}
    assert named
    assert named | {getattr(entry, "example", min(named))} <= EXPERIMENTS


def test_every_table_of_the_papers_numbers_has_an_entry() -> None:
    assert set(load()["table"]) == set(TABLES)


def test_every_table_and_figure_of_the_paper_has_one_entry() -> None:
    assert [entry.number for entry in CONTENTS if entry.kind == "table"][:-2] == [
        str(n) for n in range(2, 14)
    ]
    figures = [entry for entry in CONTENTS if isinstance(entry, Figure)]
    assert [figure.number for figure in figures] == [str(number) for number in range(1, 11)]
    assert all(figure.file for figure in figures)
    assert len({entry.key for entry in CONTENTS}) == len(CONTENTS)


def test_the_runs_of_a_table_are_those_of_the_papers_numbers() -> None:
    assert TABLES["9"].runs == (("experiment=mnist_conv_ae",), ("experiment=table9_cifar10",))
    assert len(TABLES["12"].runs) == 12
    assert TABLES["12"].runs[1] == ("experiment=mnist_conv_ae", "attack.alpha=0.01", "attack.beta=0.1")


def test_a_run_that_two_tables_need_is_the_same() -> None:
    assert TABLES["4"].runs == TABLES["10"].runs


def test_some_are_chosen_by_their_numbers() -> None:
    assert [entry.key for entry in chosen("4,t6,F5,4")] == ["4", "6", "f5"]
    assert chosen(None) == list(CONTENTS)
    with pytest.raises(ConfigError, match=r"--only = 44: no such table or figure; did you mean 4\?"):
        chosen("44")
