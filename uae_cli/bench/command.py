"""`uae bench attack`: compose, train a small model once, measure, print and save."""

import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from uae_cli.attacks.memory import MOST_SAMPLES, choose_chunk, measure
from uae_cli.attacks.similarities.similarities import Mine
from uae_cli.bench import report
from uae_cli.bench.measure import Bench, Row
from uae_cli.bench.settings import LARGEST_CHUNK, main_setting, projection_setting, side_settings
from uae_cli.bench.training import training_row
from uae_cli.errors import ConfigError, DataError
from uae_cli.experiment.check import Preparation, Prepared
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.machine import choose_threads, device_name, keep_freed_memory
from uae_cli.progress import Bars
from uae_cli.stages import Stages

_EPOCHS, _TRAINED_ON = 2, 2000
# Settings that the row of random sampling shares with the others; its model and sampling are its own
_SHARED = (
    "dataset",
    "data.",
    "device",
    "threads",
    "precision",
    "seed",
    "memory_budget",
    "outputs",
    "similarity.steps",
)


@dataclass(frozen=True)
class _Ready:
    prepared: Prepared
    config: dict[str, Any]


def bench_command(overrides: list[str], *, samples: int, out: Path | None) -> int:
    """Measure, print and save; returns the exit status.

    Args:
        overrides: Hydra's, as for `uae run`.
        samples: attacked in the main row; the others take fewer.
        out: folder of `bench.csv` and `bench.png`.

    Raises:
        UaeError: a setting or the data are unusable.
    """
    if samples < 1:
        raise ConfigError(f"--samples = {samples}: must be at least 1")
    register_resolvers()
    started = time.perf_counter()
    preparation = Preparation()
    ready = _ready(overrides, preparation)
    experiment = ready.prepared.experiment
    if not any(isinstance(getattr(arm, "similarity", None), Mine) for arm in experiment.arm.values()):
        raise ConfigError("bench: no arm attacks with MINE; leave mine_uae among the arms")
    dataset = ready.config["dataset"]["name"]
    dense = _ready(
        [
            *(o for o in overrides if o.startswith(_SHARED) and not o.startswith("dataset=")),
            "~experiment",  # the default one is of digits, with settings of its own
            f"dataset={dataset}",
            "model=dense_ae",
            "sampling=random",
        ],
        preparation,
    )
    folder = _folder(out, experiment.outputs)
    torch.set_num_threads(choose_threads(experiment.threads))
    keep_freed_memory()
    frame = pd.DataFrame(_rows(ready, dense, samples))
    report.write(frame, folder)
    console = Console()
    report.show(frame, console if console.is_terminal else Console(width=110))
    print(f"{time.perf_counter() - started:.0f} s; everything is in {folder}")
    return 0


def _ready(overrides: list[str], preparation: Preparation) -> _Ready:
    if not any(o.lstrip("+~").startswith(("experiment", "dataset=")) for o in overrides):
        try:
            return _composed(["experiment=mnist_conv_ae", "data.download=false", *overrides], preparation)
        except DataError:
            overrides = ["experiment=digits_conv_ae", *overrides]
    return _composed(overrides, preparation)


def _composed(overrides: list[str], preparation: Preparation) -> _Ready:
    config = compose_jobs(overrides, multirun=False, extra_dir=None)[0].config
    return _Ready(preparation.whole(config), config)


def _folder(out: Path | None, outputs: Path) -> Path:
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(3)}"
    folder = out or outputs / "bench" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".probe").touch()
        (folder / ".probe").unlink()
    except OSError as error:
        raise ConfigError(f"--out = {folder}: cannot be written ({error.strerror})") from error
    return folder


def _rows(ready: _Ready, dense: _Ready, samples: int) -> list[Row]:
    bars = Bars()
    bench, random = _bench(ready, bars), _bench(dense, bars)
    experiment, device = ready.prepared.experiment, ready.prepared.device
    chunk, fitting = _chunks(ready, bench)
    iterations = experiment.attack.total_iterations
    settings = [main_setting(samples, chunk), *side_settings(samples, chunk, iterations, fitting=fitting)]

    def passes(options: dict[str, Any]) -> int:
        return int(options["samples"] * options.get("iterations", iterations))

    bench.row("warm-up", samples=2, chunk_size=2, iterations=1)  # compiles the kernel
    rows = []
    with bars.bar("bench", sum(passes(options) for _, options in settings)) as advance:
        for name, options in settings:
            rows.append(bench.row(name, **options))
            advance(passes(options))
        name, options = projection_setting(samples, _chunks(dense, random)[0])
        rows.append(random.row(name, **options))
        rows.append(training_row(experiment.model, bench.x[:_TRAINED_ON], device, bench.common))
    return rows


def _chunks(ready: _Ready, bench: Bench) -> tuple[int, int]:
    """How many samples at once a run would take, and how many the memory holds."""
    experiment, device = ready.prepared.experiment, ready.prepared.device
    choose = partial(
        choose_chunk,
        measure(bench.attack, bench.model, bench.x),
        device,
        budget_gib=experiment.memory_budget,
    )
    most = experiment.chunk_size or MOST_SAMPLES[device.type]
    return choose(most=most, exact=experiment.chunk_size is not None), choose(most=LARGEST_CHUNK, exact=False)


def _bench(ready: _Ready, bars: Bars) -> Bench:
    """A model trained for two epochs on a subset: the time of an attack doesn't depend on how well."""
    experiment, device, data = ready.prepared.experiment, ready.prepared.device, ready.prepared.data
    work = Stages(experiment, data, device, bars)
    fitted = work.fit("bench", data.x_train[:_TRAINED_ON], epochs=_EPOCHS)
    arms = (getattr(arm, "similarity", None) for arm in experiment.arm.values())
    mine: Any = next(similarity for similarity in arms if isinstance(similarity, Mine))
    common = {
        "dataset": ready.config["dataset"]["name"],
        "model": experiment.model.name,
        "device": str(device),
        "hardware": device_name(device),
        "threads": torch.get_num_threads(),
        "date": f"{datetime.now():%Y-%m-%d}",
    }
    return Bench(experiment.triple(mine), fitted.model, data.x_train, experiment.seed, common)
