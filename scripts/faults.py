"""Kills, damage, full disks and bad input: is anything lost, taken for good, or told by a traceback?

    .venv/bin/python scripts/faults.py --out results/faults        # faults.csv, faults.md; an hour
    .venv/bin/python scripts/faults.py --small               # a few of each kind: seconds

Each fault meets `uae` in a process of its own, forked when torch is loaded, and its outcome is one of:

    right      exit status 0 (after a rerun, where the fault stopped it) and the results of an undisturbed run
    told       one line, status 2, and nothing else; after it, a rerun without the fault is right
    silent     status 0, other results, and nobody was told
    left       right in the end, but a half-written file or a run's folder without results is left behind
    lost       a rerun without the fault isn't right
    traceback  any
    hang       over 5 s (60 s where there is work to do)

Full disks are made of tmpfs, by root under Linux; elsewhere by `ulimit -f` alone.
"""

import argparse
import contextlib
import copy
import io
import json
import math
import os
import pickle
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from uae_cli.cli import main as uae
from uae_cli.datasets import Coil20, CsvTable, ImageFolder, IsoletSubset, NpzDataset, TorchvisionDataset
from uae_cli.errors import UaeError
from uae_cli.experiment.check import Preparation
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.hashing import damage, digest
from uae_cli.machine import commit, describe
from uae_cli.models.weights import load_weights
from uae_cli.results.collect import read_rows
from uae_cli.yaml_files import read_yaml

TINY = [
    *("run", "experiment=digits_conv_ae", "scale=smoke", "arm=[replicate,mine_uae]"),
    *("threads=1", "jobs=1", "chunk_size=8", "data.train_size=24", "data.test_size=12"),
    *("model.trainer.epochs=2", "model.trainer.refit_epochs=2", "augmentation.draws=1"),
    *("attack.iterations=3", "similarity.steps=2"),
]
PATIENCE, LONG = 5.0, 60.0  # seconds: of a mistake; of a whole run
WAYS = ("right", "told", "left", "silent", "lost", "traceback", "hang")
Row = tuple[str, str, str]  # kind of fault, what it met, how it came out


@dataclass(frozen=True)
class Called:
    """What `uae` answered in a process of its own; status is negative after a signal, None after a hang."""

    status: int | None
    out: str
    err: str
    peak_kib: int

    @property
    def way(self) -> str:
        """How it came out, as far as the answer alone tells."""
        if self.status is None:
            return "hang"
        if "Traceback (most recent call last)" in self.out + self.err:
            return "traceback"
        if self.status == 2 and len(self.mistake) == 1:
            return "told"
        return {0: "right", -9: "killed"}.get(self.status, "traceback")

    @property
    def mistake(self) -> list[str]:
        """The lines by which it was told."""
        return [line for line in self.err.splitlines() if line.startswith("uae: ") and ": note: " not in line]


def call(
    arguments: list[str],
    scratch: Path,
    *,
    before: Callable[[], object] = lambda: None,
    kill_after: float | None = None,
    patience: float = LONG,
) -> Called:
    """`uae` in a fork; `before` is called in it first."""
    files = [scratch / "stdout", scratch / "stderr"]
    if (child := os.fork()) == 0:
        status = 1
        try:
            for number, file in enumerate(files, start=1):
                os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            os.chdir(scratch)
            before()
            status = uae(arguments)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)
    end = time.monotonic() + (patience if kill_after is None else kill_after)
    while (ended := os.wait4(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
        time.sleep(0.01)
    if ended[0] == 0:
        os.kill(child, signal.SIGKILL)
        ended = os.wait4(child, 0)
    hung = kill_after is None and os.WIFSIGNALED(ended[1]) and os.WTERMSIG(ended[1]) == signal.SIGKILL
    texts = [file.read_text(errors="replace") for file in files]
    return Called(None if hung else os.waitstatus_to_exitcode(ended[1]), *texts, ended[2].ru_maxrss)


class Campaign:
    """All faults of one kind after another; each function yields what came of one fault.

    Args:
        scratch: an empty folder.
        seed: of everything drawn.
    """

    def __init__(self, scratch: Path, seed: int) -> None:
        self.scratch, self.draw = scratch, random.Random(seed)
        register_resolvers()
        self.good = scratch / "good"
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            uae([*TINY, f"outputs={scratch / 'warm'}"])  # forks then have all that is imported and compiled
        started = time.monotonic()
        done = self.run(self.good)
        assert done.status == 0, done.err
        self.seconds = time.monotonic() - started
        self.results = results_of(self.good)
        self.half = {
            "chunk-*.safetensors": stop_unmerged,
            "checkpoint-*.pt": stop_after("checkpoint"),
            "iterations-*.pt": stop_after("iterations"),
        }
        for name, stop in self.half.items():
            stopped = scratch / name.partition("-")[0]
            self.run(stopped, before=stop)
            shutil.rmtree(stopped / "runs")
            assert list(stopped.rglob(name)), f"nothing was stopped with {name}"

    def run(self, outputs: Path, **how: Any) -> Called:
        """The small run, into this folder."""
        return call([*TINY, f"outputs={outputs}"], self.scratch, **how)

    def after(self, outputs: Path, first: Called) -> str:
        """How a fault came out in the end: once it is gone, the same command has to give the same results."""
        if first.way in ("traceback", "hang"):
            return keep(first, first.way)
        again = self.run(outputs) if first.status else first
        if again.way in ("traceback", "hang"):
            return keep(again, again.way)
        if again.status != 0:
            return keep(again, "lost")
        if results_of(outputs) != self.results:
            return keep(again, "lost" if first.status else "silent")
        dead = [log for log in outputs.rglob("run.log") if not (log.parent / "results.csv").exists()]
        if dead or list(outputs.rglob("*.part")):
            return "left"
        return "told" if first.status == 2 else "right"

    def kills(self, count: int) -> Iterator[Row]:
        """SIGKILL and SIGTERM at any time, several during one run."""
        for number in range(0, count, 5):
            outputs = self.scratch / f"killed{number}"
            for _ in range(min(5, count - number)):
                self.run(outputs, kill_after=self.draw.uniform(0, self.seconds))
            way = self.after(outputs, Called(-9, "", "", 0))
            yield from [("kill", "a run", way)] * min(5, count - number)
            shutil.rmtree(outputs, ignore_errors=True)

    def corruptions(self, count: int) -> Iterator[Row]:
        """Every kind of file that is kept × every kind of damage, and again until there are so many."""
        while count > 0:
            for place, name in (
                *((self.good, name) for name in ("model.safetensors", "uae.safetensors", "history.json")),
                *(
                    (self.good, name)
                    for name in ("cost.json", "inputs.json", "seconds.json", "checksums.json")
                ),
                *((self.scratch / name.partition("-")[0], name) for name in self.half),
                *((self.good, name) for name in ("results.csv", "results.json", "config.yaml")),
            ):
                for kind, spoil in DAMAGES.items():
                    outputs = self.scratch / "spoilt"
                    shutil.copytree(place, outputs)
                    found = sorted(path for path in outputs.rglob(name) if ".hydra" not in path.parts)
                    file = self.draw.choice([path for path in found if "stages" in path.parts] or found)
                    spoil(file, self.draw)
                    count -= 1
                    yield (kind, name, self.reread(outputs) if "runs" in file.parts else self.rerun(outputs))
                    shutil.rmtree(outputs, ignore_errors=True)

    def rerun(self, outputs: Path) -> str:
        """Damage of what a run is made of: the same command gives the same results."""
        return self.after(outputs, self.run(outputs))

    def reread(self, outputs: Path) -> str:
        """Damage of a finished run: what is read of it is as before, or a line says that it isn't."""
        ways = set()
        folder = next(path.parent for path in outputs.rglob("run.log"))
        sound = next(path.parent for path in self.good.rglob("run.log"))
        for words in ("table 4", "runs --best test_mse", f"runs diff {folder} {sound}"):
            answer = call([*words.split(), "--outputs", str(outputs)], self.scratch)
            undisturbed = words.replace(str(folder), str(sound)).split()
            wanted = call([*undisturbed, "--outputs", str(self.good)], self.scratch)
            if "left out" in (answer.err + answer.out).lower():
                ways.add("told")
            elif answer.way == "right" and answer.out.replace(str(folder), str(sound)) != wanted.out:
                ways.add(keep(answer, "silent"))
            else:
                ways.add(keep(answer, answer.way))
        return max(ways, key=WAYS.index)

    def full_disks(self, count: int) -> Iterator[Row]:
        """Too little room, from nothing to nearly enough; small files alone; few files; read-only."""
        size = sum(file.stat().st_size for file in self.good.rglob("*") if file.is_file())
        for step in range(count if can_mount() else 0):
            outputs = self.scratch / "small"
            with mounted(outputs, kib := 16 + size * step // count // 1024):
                first = self.run(outputs)
                subprocess.run(["mount", "-o", f"remount,size={64 << 10}k", outputs], check=True)
                yield ("full disk", f"tmpfs up to {size >> 10} kB", self.after(outputs, first))
                assert kib
        for step in range(count):
            limit = 1 << 10 + step * 12 // count
            yield ("ulimit -f", "1 kB to 4 MB", self.limited(resource.RLIMIT_FSIZE, limit))
        for step in range(count):
            yield ("ulimit -n", "8 to 40 files", self.limited(resource.RLIMIT_NOFILE, 8 + step * 32 // count))
        if can_mount():
            outputs = self.scratch / "readonly"
            with mounted(outputs, 64 << 10):
                subprocess.run(["mount", "-o", "remount,ro", outputs], check=True)
                first = self.run(outputs)
                subprocess.run(["mount", "-o", "remount,rw", outputs], check=True)
                yield ("read-only", "the outputs folder", self.after(outputs, first))

    def limited(self, limit: int, value: int) -> str:
        """A run that the system grants less than it needs, then one without the limit."""
        outputs = self.scratch / "limited"
        first = self.run(outputs, before=lambda: resource.setrlimit(limit, (value, value)))
        way = self.after(outputs, first)
        shutil.rmtree(outputs, ignore_errors=True)
        return way

    def settings(self, count: int) -> Iterator[Row]:
        """Resolved configs with one or two values, sections or names out of order, in this process."""
        lines = (
            ["experiment=digits_conv_ae"],
            ["experiment=digits_simclr"],
            ["experiment=digits_classifier_attack"],
            ["experiment=digits_robustness"],
            ["experiment=mice_protein_concrete_ae"],
            ["experiment=digits_sparse_ae", "augmentation=[flip,rotation,mine_uae]"],
        )
        configs = [compose_jobs(line, multirun=False, extra_dir=None)[0].config for line in lines]
        preparation = Preparation()
        for _ in range(count):
            config = copy.deepcopy(self.draw.choice(configs))
            for _ in range(self.draw.choice([1, 1, 2])):
                disarrange(config, self.draw)
            yield (
                "bad setting",
                "resolved config",
                tried(lambda config=config: preparation.settings(config)),
            )

    def files(self, count: int) -> Iterator[Row]:
        """Files of every format, in which bytes were changed, moved, doubled or left out."""
        folder = self.scratch / "files"
        folder.mkdir()
        for what, (file, read) in formats(folder).items():
            content = file.read_bytes()
            for _ in range(count):
                file.write_bytes(mutated(content, self.draw))
                yield ("mutated file", what, tried(read))

    def bombs(self) -> Iterator[Row]:
        """YAML that stands for more than it is, in a run's folder and in a user's own config; a large npz."""
        layers = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
        for what, content in {
            "aliases": f"a0: &a0 [x]\n{layers}".encode(),
            "10,000 levels of [": b"[" * 10_000,
            "1,000 levels of a:": b"\n".join(b" " * n + b"a:" for n in range(1000)),
            "UTF-16": "seed: 1".encode("utf-16"),
            "Latin-1": "name: Zürich".encode("latin-1"),
            "5 MB": b"a: 1\n" * 1_000_000,
            "a number of 10,000 digits": b"seed: " + b"9" * 10_000,
        }.items():
            run, own = self.scratch / "bomb", self.scratch / "conf/experiment/own.yaml"
            for file in (run / "config.yaml", own):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(b"# @package _global_\n" * (file == own) + content)
            for arguments in (
                ["runs", "diff", str(run), str(run)],
                ["run", "--config-dir", str(self.scratch / "conf"), "experiment=own", "scale=smoke"],
            ):
                answer = call(arguments, self.scratch, patience=PATIENCE)
                yield ("YAML bomb", what, answer.way if answer.way != "right" else keep(answer, "silent"))
        file, size = self.scratch / "bomb.npz", 3 << 30
        save_zeros(file, size)
        model = ["~experiment", "model=dense_ae", "sampling=random", "scale=smoke", "threads=1"]
        data = ["dataset=npz", f"dataset.path={file}", f"outputs={self.scratch / 'bombed'}"]
        answer = call(["run", *model, *data], self.scratch, patience=3 * LONG)
        fair = answer.peak_kib < 2 * size >> 10
        yield ("npz bomb", "3 GB of zeros", answer.way if fair else keep(answer, "lost"))

    def attempts(self) -> Iterator[Row]:
        """Code that a config, a pickle or an array would have run."""
        mark, trap = self.scratch / "ran", self.scratch / "trap.pkl"
        trap.write_bytes(pickle.dumps(Trap(mark)))
        torch.save({"a": Trap(mark)}, self.scratch / "trap.pt")
        np.save(self.scratch / "trap.npy", np.array([Trap(mark)] * 8, dtype=object), allow_pickle=True)
        popen = "hydra.test_utils.test_utils.subprocess.Popen"
        for what, words in {
            "pickle as weights": [f"+model.weights={self.scratch / 'trap.pt'}", "protocol=attack"],
            "object npy": ["dataset=npz", f"dataset.path={self.scratch / 'trap.npy'}"],
            "os.system": [f"model.network={{_target_: os.system, command: 'touch {mark}'}}"],
            "read_pickle": [f"model.network={{_target_: pandas.read_pickle, filepath_or_buffer: {trap}}}"],
            "torch.load": [f"model.network={{_target_: torch.load, f: {trap}, weights_only: false}}"],
            "numpy.load": [f"model.network={{_target_: numpy.load, file: {trap}, allow_pickle: true}}"],
            "joblib.load": [f"model.network={{_target_: joblib.load, filename: {trap}}}"],
            "rmdir": ["dataset._target_=pathlib.Path.rmdir"],
            "launcher": [f"hydra.launcher={{_target_: {popen}, args: [touch, {mark}]}}"],
            "hydra_plugins": ["hydra.launcher._target_=hydra_plugins.x.os.system"],
            "log file": [f"hydra.job_logging.handlers.file.filename={mark}"],
            "log mode": ["+hydra.job_logging.handlers.file.mode=w"],
            "ext://": ["hydra.job_logging.handlers.console.stream='ext://antigravity'"],
            "QueueHandler": ["+hydra.job_logging.handlers.q={class: logging.handlers.QueueHandler}"],
            "formatter": [f"+hydra.job_logging.formatters.f={{(): os.system, command: 'touch {mark}'}}"],
            "callback": [f"+hydra.callbacks.c={{_target_: os.system, command: 'touch {mark}'}}"],
            "python tag": ["--config-dir", str(self.tagged(mark)), "experiment=own"],
        }.items():
            answer = call(["run", *words, "scale=smoke", f"outputs={self.scratch / 'tried'}"], self.scratch)
            way = "silent" if mark.exists() else answer.way
            yield ("code execution", what, keep(answer, way) if way != "told" else way)
            mark.unlink(missing_ok=True)

    def tagged(self, mark: Path) -> Path:
        """A user's own folder of configs, with a tag of Python's."""
        file = self.scratch / "tagged/experiment/own.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(f"# @package _global_\nname: !!python/object/apply:os.system ['touch {mark}']\n")
        return file.parents[1]


def results_of(outputs: Path) -> tuple[dict[str, str], str]:
    """All tensors of the finished stages, and what the latest run measured, without times."""
    tensors = {
        file.relative_to(outputs).as_posix(): digest(list(file.read_bytes()))
        for file in sorted((outputs / "stages").glob("*/*.safetensors"))
    }
    tables = sorted(outputs.rglob("results.csv"), key=lambda path: path.stat().st_mtime)
    if not tables:
        return tensors, ""
    rows = read_rows(tables[-1]).query("metric != 'seconds_per_sample'")
    return tensors, rows[["arm", "metric", "value", "n_train", "epochs"]].to_csv(index=False)


def stop_unmerged() -> None:
    """Have this process die with an attack's chunks written, but not merged."""
    from uae_cli.attacks import dataset

    dataset._merge = lambda *_: os._exit(9)


def stop_after(name: str) -> Callable[[], None]:
    """Have this process die once it has saved a checkpoint of this name."""
    from uae_cli.training import checkpoint

    save = checkpoint.Checkpoint.save_now_and_then

    def saved_at_once(self: checkpoint.Checkpoint, state: Callable[[], dict[str, Any]]) -> None:
        self._saved = self._rest = -math.inf
        save(self, state)
        if self._path is not None and self._path.stem.startswith(name):
            os._exit(9)

    def patch() -> None:
        checkpoint.Checkpoint.save_now_and_then = saved_at_once  # type: ignore[method-assign]

    return patch


def flip(file: Path, draw: random.Random) -> None:
    """One bit."""
    content = bytearray(file.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def into_folder(file: Path, _: random.Random) -> None:
    """A folder of its name."""
    file.unlink()
    file.mkdir()


DAMAGES: dict[str, Callable[[Path, random.Random], object]] = {
    "bit flip": flip,
    "empty": lambda file, _: file.write_bytes(b""),
    "truncated": lambda file, draw: os.truncate(file, draw.randrange(1, file.stat().st_size)),
    "zeroed": lambda file, _: file.write_bytes(bytes(file.stat().st_size)),
    "random": lambda file, draw: file.write_bytes(draw.randbytes(file.stat().st_size)),
    "deleted": lambda file, _: file.unlink(),
    "folder": into_folder,
}

WILD: tuple[Any, ...] = (
    "???", None, [], ["a"], [["x"]], [None], [float("nan")], {}, {"a": 1}, {1: 2}, {None: 1}, {"_target_": 5},
    {"_target_": "uae_cli.attacks.MinMax"}, {"_target_": "torch.optim.Adam", "_partial_": "maybe"},
    {"_args_": [1, 2]}, {"a": {"b": [1, {"d": None}]}}, True, False, 0, -1, 1, 3.5, 2**31, 2**63, 10**30,
    -(10**30), 1e300, 1e-320, float("nan"), float("inf"), "", " ", "a", "é\n\x00", "1e5", "x" * 5000,
    "${seed}", "../..", b"x",
)  # fmt: skip
NAMES = ("_partial_", "_target_", "_convert_", "_recursive_", "_args_", "new", 5)


def disarrange(config: dict[str, Any], draw: random.Random) -> None:
    """Put something wild at any place of a config, or leave a setting out."""
    node, key = draw.choice([*nodes(config)])
    if isinstance(node, dict) and draw.random() < 0.08:
        del node[key]
        return
    if isinstance(node, dict) and draw.random() < 0.15:
        key = draw.choice(NAMES)
    node[key] = copy.deepcopy(draw.choice(WILD))


def nodes(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a config."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield node, key
        if isinstance(value, dict | list):
            yield from nodes(value)


def tried(work: Callable[[], object]) -> str:
    """Work in this process, where any other error than ours would be a traceback."""
    started = time.monotonic()
    try:
        work()
        way = "right"
    except UaeError as error:
        way = "told" if len(str(error).splitlines()) == 1 else "traceback"
    except Exception:
        traceback.print_exc()
        way = "traceback"
    return "hang" if time.monotonic() - started > PATIENCE else way


class SmallCoil(Coil20):
    """Of the same format, with fewer images."""

    objects: ClassVar[int] = 2
    views: ClassVar[int] = 4


def formats(folder: Path) -> dict[str, tuple[Path, Callable[[], object]]]:
    """A valid file of every format, and what reads it."""
    from PIL import Image
    from scipy.io import savemat
    from torch import nn

    draw = np.random.default_rng(0)
    x, y = draw.random((40, 6)).astype(np.float32), np.arange(40) % 4
    table = pd.DataFrame(x, columns=[*"abcdef"]).assign(label=y)
    np.savez(folder / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    np.save(folder / "a.npy", x)
    table.to_csv(folder / "a.csv", index=False)
    savemat(
        folder / "isolet_subset.mat", {"X": draw.uniform(-1, 1, (260, 617)), "Y": np.arange(260) % 26 + 1}
    )
    model = nn.Linear(6, 3)
    save_file(model.state_dict(), folder / "a.safetensors")
    torch.save(model.state_dict(), folder / "a.pt")
    (folder / "a.yaml").write_text(
        "# @package _global_\nseed: 1\nattack: {alpha: 0.1}\nlist: [1, &a b, *a]\n"
    )
    (folder / "sealed").mkdir()
    (folder / "sealed/checksums.json").write_text(json.dumps({"cost.json": "0" * 32}))
    (folder / "images").mkdir()
    for number in range(5):
        Image.fromarray(draw.integers(0, 255, (6, 6), np.uint8)).save(folder / f"images/{number}.png")

    def csv(path: Path) -> Callable[[], object]:
        loader = CsvTable(
            name="a", path=path, label=None, drop=[], missing="mean", scaler_fit="train", split_seed=0
        )
        return lambda: loader.load(folder, download=False)

    def npz(name: str) -> Callable[[], object]:
        return lambda: NpzDataset(name="a", path=folder / name).load(folder, download=False)

    raw = folder / "MNIST/raw"  # never the published bytes: checksums stand before the parser
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(
            struct.pack(">4i", 0x803, 10, 28, 28) + draw.bytes(10 * 28 * 28)
        )
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, 10) + bytes(range(10)))
    mnist = TorchvisionDataset(name="mnist")
    with zipfile.ZipFile(folder / "coil-20-proc.zip", "w") as archive:
        for number in range(8):
            Image.fromarray(draw.integers(0, 255, (128, 128), np.uint8)).save(folder / "view.png")
            archive.write(folder / "view.png", f"obj{number // 4 + 1}__{number % 4}.png")
    coil = SmallCoil(name="coil20", split_seed=0)
    images = ImageFolder(name="a", path=folder / "images", size=None, gray=True, labels=False, split_seed=0)
    matrix = IsoletSubset(name="isolet_subset", scaler_fit="train", split_seed=0)
    found: dict[str, tuple[Path, Callable[[], object]]] = {
        "npz": (folder / "a.npz", npz("a.npz")),
        "npy": (folder / "a.npy", npz("a.npy")),
        "csv": (folder / "a.csv", csv(folder / "a.csv")),
        "mat": (folder / "isolet_subset.mat", lambda: matrix.load(folder, download=False)),
        "safetensors": (
            folder / "a.safetensors",
            lambda: load_weights(nn.Linear(6, 3), folder / "a.safetensors"),
        ),
        "torch.save": (folder / "a.pt", lambda: load_weights(nn.Linear(6, 3), folder / "a.pt")),
        "yaml": (folder / "a.yaml", lambda: read_yaml(folder / "a.yaml")),
        "json": (folder / "sealed/checksums.json", lambda: damage(folder / "sealed")),
        "idx": (raw / "train-images-idx3-ubyte", lambda: mnist.load(folder, download=False)),
        "zip": (folder / "coil-20-proc.zip", lambda: coil.load(folder, download=False)),
        "png": (folder / "images/0.png", lambda: images.load(folder, download=False)),
    }
    with contextlib.suppress(ImportError):
        table.to_parquet(folder / "a.parquet")
        found["parquet"] = (folder / "a.parquet", csv(folder / "a.parquet"))
    return found


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Bytes changed, cut off, left out, doubled or put elsewhere."""
    made = bytearray(content)
    for _ in range(draw.choice([1, 1, 3, 30])):
        at, length = draw.randrange(len(made) + 1), draw.choice([1, 4, 64])
        match draw.randrange(5):
            case 0 if made:
                made[min(at, len(made) - 1)] ^= 1 << draw.randrange(8)
            case 1:
                made[at : at + length] = draw.randbytes(length)
            case 2:
                del made[at : at + length]
            case 3:
                made[at:at] = made[draw.randrange(len(made) + 1) :][:length]
            case 4 if draw.random() < 0.2:
                del made[at:]
    return bytes(made)


def save_zeros(file: Path, size: int) -> None:
    """An npz whose training samples take `size` bytes, and itself next to nothing."""
    import zipfile

    shape = (size // np.dtype(float).itemsize // 4096, 64, 64)
    small: dict[str, Any] = {"y_train": np.zeros(shape[0], np.int8), "y_test": np.zeros(4, np.int8)}
    small["x_test"] = np.zeros((4, 64, 64))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in small.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array)
        with archive.open("x_train.npy", "w", force_zip64=True) as member:
            header = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(float)),
                "fortran_order": False,
                "shape": shape,
            }
            np.lib.format.write_array_header_1_0(member, header)
            for _ in range(size >> 24):
                member.write(bytes(1 << 24))


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """What a pickle calls."""
        return Path.touch, (self.mark,)


def can_mount() -> bool:
    """Whether tmpfs can be made here."""
    return os.name == "posix" and os.geteuid() == 0 and sys.platform == "linux"


@contextlib.contextmanager
def mounted(folder: Path, kib: int) -> Iterator[None]:
    """A disk of this size."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def keep(called: Called, way: str) -> str:
    """The way; where it is a bad one, what was said is told."""
    if way not in WAYS[:3]:
        said = f"{called.out[-500:]}\n{called.err[-3000:]}"
        print(f"{way}, status {called.status}\n{said}", file=sys.stderr, flush=True)
    return way


def table_of(rows: list[Row]) -> pd.DataFrame:
    """A line per fault and what it met, with how many came out in each way."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for fault, target, way in rows:
        counts.setdefault((fault, target), Counter())[way] += 1
    return pd.DataFrame(
        {"fault": fault, "target": target, "count": sum(ways.values()), **{way: ways[way] for way in WAYS}}
        for (fault, target), ways in counts.items()
    )


def campaign(scratch: Path, *, small: bool, seed: int) -> Iterator[list[Row]]:
    """All faults, kind by kind, as (fault, target, way)."""
    faults = Campaign(scratch, seed)
    yield list(faults.settings(100 if small else 10_000))
    yield list(faults.files(10 if small else 500))
    yield list(faults.kills(1 if small else 100))
    yield list(faults.full_disks(1 if small else 8))
    if not small:
        yield list(faults.attempts())
        yield list(faults.bombs())
        yield list(faults.corruptions(200))


def report(rows: list[Row], seed: int, seconds: float) -> tuple[str, pd.DataFrame]:
    """What was done where, and what came of it, for people; and the table."""
    table = table_of(rows)
    total = table[["count", *WAYS]].sum()
    machine = describe(torch.device("cpu"))["device"]
    ways = ", ".join(f"{total[way]:,} {way}" for way in WAYS)
    head = f"`scripts/faults.py --seed {seed}`, {machine}, commit {commit() or 'unknown'}"
    told = f"{head}, {seconds / 60:.0f} min: {total['count']:,} faults; {ways}."
    return f"{told}\n\n{table.to_markdown(index=False)}\n", table


def main() -> int:
    """Run the campaign; exit status 1 if anything was lost, silent, told by a traceback, or hung."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--out", type=Path, help="written with .csv and .md, anew after each kind of fault")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started, rows, text = time.monotonic(), list[Row](), ""
    with tempfile.TemporaryDirectory() as scratch:
        for kind in campaign(Path(scratch), small=options.small, seed=options.seed):
            rows += kind
            text, table = report(rows, options.seed, time.monotonic() - started)
            if options.out:
                options.out.with_suffix(".md").write_text(f"# Faults\n\n{text}")
                table.to_csv(options.out.with_suffix(".csv"), index=False)
    print(text)
    return int(any(way in WAYS[3:] for *_, way in rows))


if __name__ == "__main__":
    sys.exit(main())
