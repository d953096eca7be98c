"""Stages made by several processes are those that one makes, and no process stays behind."""

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch

from uae_cli.errors import ConfigError
from uae_cli.stages import Stages, side_by_side
from uae_cli.stages.ahead import _log_to


def fit(epochs: int, stages: Stages) -> None:
    stages.fit(f"{epochs} epochs", stages.data.x_train, epochs=epochs)


def wait(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


def names(stages: Stages) -> set[str]:
    return {folder.name for folder in (stages.experiment.outputs / "stages").glob("[!.]*")}


def tensors(stages: Stages) -> dict[str, bytes]:
    """Every file of tensors that the stages hold, to the byte."""
    files = (stages.experiment.outputs / "stages").glob("*/*.safetensors")
    return {f"{file.parent.name} {file.name}": file.read_bytes() for file in files}


def metrics(stages: Stages) -> dict[str, list[dict[str, float]]]:
    lines = stages.experiment.protocol.run(stages).lines
    return {
        line.arm: [{k: v for k, v in draw.items() if k != "seconds_per_sample"} for draw in line.draws]
        for line in lines
    }


def test_another_process_makes_what_one_makes_alone(make_stages, tmp_path):
    settings = ("threads=1", "augmentation.draws=2", f"outputs={tmp_path / 'alone'}")
    alone = make_stages("jobs=1", *settings)
    expected = metrics(alone)
    both, told, mine = make_stages("jobs=2", "threads=1", "augmentation.draws=2"), [], []
    both.on_epoch = lambda label, *_: told.append(label)
    evaluate, train = both.evaluated, both._train

    def evaluated(fitted):  # at first of the original: by then the others have begun
        wait(lambda: names(both) == names(alone))
        return evaluate(fitted)

    def trained(label, *arguments):
        mine.append(label)
        train(label, *arguments)

    both.evaluated, both._train = evaluated, trained
    assert metrics(both) == expected
    assert mine == ["original"]
    assert told.count("matched_noise") == 3
    assert not any(cost["reused"] for cost in both.store.costs)
    assert {cost["threads"] for cost in both.store.costs} == {1}
    ours, theirs = tensors(alone), tensors(both)
    assert ours.keys() == theirs.keys()
    assert ours == theirs
    assert not workers()


def workers() -> list[int]:
    return [p.pid for p in psutil.Process().children() if "Loky" in " ".join(p.cmdline())]


def test_no_process_outlives_the_block(make_stages):
    stages = make_stages("jobs=2", "threads=1")

    def interrupted() -> None:
        with side_by_side(stages, [partial(fit, n) for n in (1000000, 2)]):
            fit(1, stages)
            wait(lambda: len(workers()) == 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not workers()


def test_a_mistake_is_told_as_by_one_process(make_stages):
    stages = make_stages("jobs=2", "threads=1", "model.trainer.objective.optimizer.lr=1e30")
    with pytest.raises(ConfigError, match=r"^model\.trainer\.objective\.optimizer: the loss became"):
        stages.experiment.protocol.run(stages)
    assert not workers()


def test_a_process_that_dies_costs_nothing_but_time(make_stages, caplog):
    stages = make_stages("jobs=2", "threads=1")
    units = [partial(fit, n) for n in (1000000, 2, 3)]
    with side_by_side(stages, units):
        fit(1, stages)
        wait(lambda: len(workers()) == 1)
        for pid in workers():
            psutil.Process(pid).kill()
        wait(lambda: "another process ended" in caplog.text)
        fit(2, stages)
    assert [cost["reused"] for cost in stages.store.costs] == [False, False]


def test_a_process_that_dies_while_another_stage_is_made_in_between_is_told(make_stages, caplog):
    """Of what is made in between, nothing is said."""
    stages = make_stages("jobs=2", "threads=1")

    def killing(stages: Stages) -> None:
        for pid in workers():
            psutil.Process(pid).kill()
        wait(lambda: "another process ended" in caplog.text)

    with side_by_side(stages, [partial(fit, 1000000), partial(fit, 2), killing]):
        fit(1, stages)
        wait(lambda: len(workers()) == 1)
        assert stages.store.meanwhile()
    assert "another process ended" in caplog.text


def test_threads_and_jobs_are_afterwards_what_they_were(make_stages):
    stages = make_stages("jobs=2", "threads=1")
    torch.set_num_threads(2)
    with side_by_side(stages, [partial(fit, 1), partial(fit, 2)]):
        assert (torch.get_num_threads(), stages.jobs) == (1, 2)
    assert (torch.get_num_threads(), stages.jobs) == (2, 1)
    assert not stages.store.meanwhile()


def test_automatic_jobs_begin_none_for_what_is_done_at_once(make_stages, monkeypatch):
    monkeypatch.setattr("uae_cli.machine._idle_cores", lambda: 4)
    stages = make_stages("threads=1")
    with side_by_side(stages, [partial(fit, n) for n in (1, 2)]):
        fit(1, stages)
        assert stages.jobs == 2
        assert not workers()
    assert stages.jobs == 1


def test_what_a_worker_logs_goes_where_the_run_does(tmp_path: Path) -> None:
    before, level, file = logging.root.handlers[:], logging.root.level, tmp_path / "run.log"
    file.write_text("so far\n")
    try:
        _log_to([(str(file), logging.Formatter("! %(message)s"))])
        logging.getLogger("uae_cli.training").warning("slow")
    finally:
        for handler in set(logging.root.handlers) - set(before):
            logging.root.removeHandler(handler)
            handler.close()
        logging.root.setLevel(level)
    assert file.read_text() == "so far\n! slow\n"
