import json
import logging
import os
import shutil
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from uae_cli.claim import Claim
from uae_cli.hashing import digest, fingerprint, write_json
from uae_cli.stages.store import StageStore

CPU = torch.device("cpu")


class Work:
    """Writes `answer.json`, and remembers what it found in the folder at each call."""

    def __init__(self, seconds: float = 0) -> None:
        self.seconds, self.found = seconds, []

    def __call__(self, folder: Path) -> None:
        self.found.append(sorted(path.name for path in folder.iterdir()))
        time.sleep(self.seconds)
        write_json(folder / "answer.json", {"value": 42})


@pytest.fixture
def store(tmp_path: Path) -> StageStore:
    return StageStore(tmp_path / "stages", CPU)


def test_a_stage_is_computed_once_and_then_reused(store):
    work = Work()
    first, second = store.get("a label", "fit", {"a": 1}, work), store.get("a label", "fit", {"a": 1}, work)
    assert len(work.found) == 1
    assert (first.reused, second.reused) == (False, True)
    assert (first.key, first.folder) == (second.key, second.folder)
    assert second.read_json("answer.json") == {"value": 42}
    assert second.read_json("inputs.json") == {"a": 1}


@pytest.mark.parametrize("name", ["answer.json", "cost.json", "inputs.json", "checksums.json"])
@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["a bit", "empty", "deleted", "a folder"],
)
def test_a_damaged_stage_is_told_and_made_again(tmp_path, name, harm, caplog):
    work = Work()
    stage = StageStore(tmp_path, CPU).get("a label", "fit", {"a": 1}, work)
    harm(stage.folder / name)
    again = StageStore(tmp_path, CPU).get("a label", "fit", {"a": 1}, work)
    assert (again.reused, len(work.found)) == (False, 2)
    assert str(stage.folder) in caplog.text
    assert "made again" in caplog.text
    assert StageStore(tmp_path, CPU).get("a label", "fit", {"a": 1}, work).reused


def test_a_file_in_a_stages_place_is_no_stage(tmp_path):
    stage = StageStore(tmp_path, CPU).get("a label", "fit", {"a": 1}, Work())
    shutil.rmtree(stage.folder)
    stage.folder.touch()
    assert not StageStore(tmp_path, CPU).get("a label", "fit", {"a": 1}, Work()).reused


def test_another_store_on_the_same_folder_reuses_it(tmp_path):
    work = Work()
    assert [StageStore(tmp_path, CPU).get("a label", "fit", {"a": 1}, work).reused for _ in range(2)] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("attack", {"a": 1}),
        ("fit", {"a": 2}),
        ("fit", {"a": "1"}),
        ("fit", {"b": 1}),
        ("fit", {"a": 1, "b": 0}),
    ],
)
def test_other_kinds_and_inputs_are_other_stages(store, kind, inputs):
    plain = store.get("a label", "fit", {"a": 1}, Work())
    other = store.get("a label", kind, inputs, Work())
    assert not other.reused
    assert other.folder != plain.folder
    assert other.key.startswith(f"{kind}-")


def test_a_killed_attempt_leaves_its_files_to_the_next(store, tmp_path):
    def killed(folder: Path) -> None:
        (folder / "half").write_text("done so far")
        raise KeyboardInterrupt

    work = Work()
    with pytest.raises(KeyboardInterrupt):
        store.get("a label", "fit", {"a": 1}, killed)
    assert not list((tmp_path / "stages").glob("fit-*")), "an unfinished stage looks finished"
    store.get("a label", "fit", {"a": 2}, Work())
    assert not store.get("a label", "fit", {"a": 1}, work).reused
    assert work.found == [["half"]]
    assert store.get("a label", "fit", {"a": 1}, work).reused


def test_jobs_that_want_the_same_stage_at_once_compute_it_once(tmp_path):
    work, jobs = Work(seconds=0.05), 4
    together = threading.Barrier(jobs)

    def job(_: int) -> bool:
        together.wait()
        return StageStore(tmp_path, CPU).get("a label", "fit", {"a": 1}, work).reused

    with ThreadPoolExecutor(jobs) as pool:
        reused = list(pool.map(job, range(jobs)))
    assert sorted(reused) == [False, True, True, True]
    assert work.found == [[]]


def test_the_digest_sees_values_but_not_the_order_of_keys():
    nested = {"a": 1, "b": {"c": [1, 2], "d": None}}
    assert digest(nested) == digest({"b": {"d": None, "c": [1, 2]}, "a": 1})
    others = [
        {**nested, "a": 2},
        {**nested, "b": {"c": [2, 1], "d": None}},
        {"a": 1},
        {"a": True},
        {"a": 1.5},
    ]
    assert len({digest(value) for value in [nested, *others]}) == 6


def test_the_fingerprint_sees_values_and_shape():
    x = torch.arange(12.0).view(3, 4)
    changed = x.clone()
    changed[2, 3] += 1e-6 * changed[2, 3]
    assert fingerprint(x) == fingerprint(x.clone()) == fingerprint(x.T.contiguous().T)
    assert len({fingerprint(y) for y in (x, changed, x.view(4, 3), x.flip(0))}) == 4


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "value.json"
    write_json(path, {"a": 1})
    real = Path.write_text

    def torn(self, text, **options):
        real(self, text[: len(text) // 2], **options)
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(OSError, match="disk full"):
        write_json(path, {"a": list(range(100))})
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_written_file_leaves_no_other_behind(tmp_path):
    write_json(tmp_path / "value.json", {"a": Path("b")})
    assert [path.name for path in tmp_path.iterdir()] == ["value.json"]
    assert json.loads((tmp_path / "value.json").read_text()) == {"a": "b"}


def test_where_another_process_is_at_a_stage_something_else_is_done_first(store, tmp_path):
    stage = store.get("a label", "fit", {"a": 1}, Work())
    other = Claim(tmp_path / "stages" / ".partial" / f"{stage.key}.claim")
    assert other.take()
    done = []

    def meanwhile() -> bool:
        done.append("something")
        if len(done) == 2:
            other.release()
        return True

    store.meanwhile = meanwhile
    assert store.get("a label", "fit", {"a": 1}, Work()).reused
    assert len(done) == 2


def test_it_waits_for_another_process_and_says_for_which(store, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    stage = store.get("a label", "fit", {"a": 1}, Work())
    other = Claim(tmp_path / "stages" / ".partial" / f"{stage.key}.claim")
    assert other.take()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.get, "a label", "fit", {"a": 1}, Work())
        try:
            until = time.monotonic() + 60
            while "waiting for" not in caplog.text:
                assert time.monotonic() < until
                time.sleep(0.05)
        finally:
            other.release()
        assert waiting.result().reused
    assert f"fit a label: waiting for process {os.getpid()} on {socket.gethostname()}, since 2" in caplog.text


def test_a_process_that_was_held_up_until_another_took_over_writes_nothing_into_its_work(tmp_path, caplog):
    first, second, work = StageStore(tmp_path, CPU), StageStore(tmp_path, CPU), Work()
    found = []

    def held_up(folder: Path) -> None:
        (folder / "half").write_text("done so far")
        found.extend(tmp_path.glob(".partial/*.claim"))
        found[0].unlink()  # as if it had shown no sign of life
        second.get("a label", "fit", {"a": 1}, work)
        write_json(folder / "late.json", {})

    stage = first.get("a label", "fit", {"a": 1}, held_up)
    assert stage.reused
    assert work.found == [["half"]]
    assert "another took over" in caplog.text
    assert not (stage.folder / "late.json").exists()
    assert not list((tmp_path / ".partial").iterdir())


def test_what_killed_processes_leave_is_cleared_by_the_next(tmp_path, dead):
    partial = tmp_path / ".partial"
    partial.mkdir()
    dead(partial / "fit-0123456789abcdef.claim")
    live = Claim(partial / "fit-1123456789abcdef.claim")
    assert live.take()
    StageStore(tmp_path, CPU)
    assert [path.name for path in partial.iterdir()] == ["fit-1123456789abcdef.claim"]
    live.release()


def test_what_a_killed_process_was_writing_does_not_become_part_of_the_stage(store, tmp_path):
    def killed(folder: Path) -> None:
        (folder / "answer.json.part").write_text("{")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get("a label", "fit", {"a": 1}, killed)
    stage = store.get("a label", "fit", {"a": 1}, lambda folder: (folder / "other").touch())
    assert not list(stage.folder.glob("*.part"))


def test_what_another_process_of_the_run_has_made_is_not_called_reused(tmp_path):
    ours, others, next_run = (StageStore(tmp_path, CPU) for _ in range(3))
    others.run = ours.run
    for store in (others, ours, ours, next_run):
        store.get("a label", "fit", {"a": 1}, Work())
    assert [cost["reused"] for cost in others.costs + ours.costs + next_run.costs] == [
        False,
        False,
        True,
        True,
    ]
    assert "run" not in ours.costs[0]
