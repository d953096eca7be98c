"""`uae bench attack`: compose, train a small model once, measure, print and save."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from uae_cli.attacks import GaussianInformation, Mine, Nothing
from uae_cli.attacks.memory import MOST_SAMPLES, choose_chunk, measure
from uae_cli.bench.measure import Bench, Row, training_row
from uae_cli.errors import ConfigError, DataError, check_writable
from uae_cli.experiment.check import Preparation, Prepared
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.machine import choose_threads, device_name, keep_freed_memory
from uae_cli.mi import RandomProjections
from uae_cli.models import ConvAutoencoder
from uae_cli.progress import Bars
from uae_cli.stages import Stages

_EPOCHS, _TRAINED_ON = 2, 2000
# Settings that the row of random sampling shares with the others; its model and sampling are its own
_SHARED = (
    *("dataset", "data.", "device", "threads", "precision", "seed", "memory_budget", "outputs"),
    "similarity.steps",
)
# Sizes of the rows beside the main one, for well under two minutes on two CPU cores
_FEW, _SHORT = 24, 10  # samples and iterations
_CHUNKED = 128  # samples of the rows of chunk sizes, or one chunk where that is more
_CHUNKS = (8, 32, 128, 1024, 4096, 8192)
_LARGE = 64  # images of 224 × 224
_RANDOMLY_SAMPLED = ("dense_ae", "concrete_ae")
_STEPS, _MARGINALS = (1, 5, 20), ("all_pairs", "shuffle")

_COLUMNS = {  # of the table in the terminal: heading and format
    "model": ("model", "{}"),
    "setting": ("setting", "{}"),
    "samples": ("n", "{:.0f}"),
    "iterations": ("T", "{:.0f}"),
    "mine_steps": ("steps", "{:.0f}"),
    "marginals": ("marginals", "{}"),
    "chunk_size": ("chunk", "{:.0f}"),
    "seconds_per_sample": ("s/sample", "{:.5f}"),
    "ratio": ("×floor", "{:.2f}"),
    "mine_per_floor": ("MINE", "{:.2f}"),
    "mutual_information": ("in-attack", "{:.3f}"),
}


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
    started, preparation = time.perf_counter(), Preparation()
    ready = _ready(overrides, preparation)
    experiment = ready.experiment
    if _mine(ready) is None:
        raise ConfigError("bench: no arm attacks with MINE; leave mine_uae among the arms")
    shared = [o for o in overrides if o.startswith(_SHARED) and not o.startswith("dataset=")]
    # Without the default experiment, which is of digits and has settings of its own
    plain = [*shared, "~experiment", f"dataset={experiment.dataset.name}", "sampling=random"]
    others = [_ready([*plain, f"model={name}"], preparation) for name in _RANDOMLY_SAMPLED]
    # Of digits there may be fewer than data.train_size= asks of another dataset
    default = [o for o in shared if not o.startswith("data.")]
    digits = _ready([*default, "experiment=digits_conv_ae"], preparation)
    name = f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(3)}"
    folder = out or experiment.outputs / "bench" / name
    check_writable("--out", folder)
    torch.set_num_threads(choose_threads(experiment.threads))
    keep_freed_memory()
    frame = pd.DataFrame(_rows(ready, digits, others, samples))
    frame.to_csv(folder / "bench.csv", index=False)
    _draw(frame, folder / "bench.png")
    console = Console()
    _show(frame, console if console.is_terminal else Console(width=120))
    print(f"{time.perf_counter() - started:.0f} s; everything is in {folder}")
    return 0


def _ready(overrides: list[str], preparation: Preparation) -> Prepared:
    if not any(o.lstrip("+~").startswith(("experiment", "dataset=")) for o in overrides):
        try:
            return _composed(["experiment=mnist_conv_ae", "data.download=false", *overrides], preparation)
        except DataError:
            overrides = ["experiment=digits_conv_ae", *overrides]
    return _composed(overrides, preparation)


def _composed(overrides: list[str], preparation: Preparation) -> Prepared:
    return preparation.whole(compose_jobs(overrides, multirun=False, extra_dir=None)[0].config)


def _mine(ready: Prepared) -> Mine | None:
    arms = (getattr(arm, "similarity", None) for arm in ready.experiment.arm.values())
    return next((similarity for similarity in arms if isinstance(similarity, Mine)), None)


def _rows(ready: Prepared, digits: Prepared, others: list[Prepared], samples: int) -> list[Row]:
    bars = Bars()
    bench = _bench(ready, bars)
    experiment, device = ready.experiment, ready.device
    chunk, fitting = _chunks(ready, bench)
    settings = list(_settings(samples, chunk, experiment.attack.total_iterations, fitting=fitting))
    bench.row("warm-up", samples=2, chunk_size=2, iterations=1)  # compiles the kernel
    rows = []
    passes = [options["samples"] * options["iterations"] for options in settings]
    with bars.bar("bench", sum(passes)) as advance:
        for options, done in zip(settings, passes, strict=True):
            rows.append(bench.row(**options))
            advance(done)
        small = _bench(digits, bars)
        rows.append(small.row("default job", samples=samples, chunk_size=_chunks(digits, small)[0]))
        for other in others:
            rows += _random_rows(other, _bench(other, bars), samples)
        rows.append(_large_row(bench, min(samples, _LARGE)))
        rows.append(training_row(experiment.model, bench.x[:_TRAINED_ON], device, bench.common))
    return rows


def _random_rows(ready: Prepared, bench: Bench, samples: int) -> list[Row]:
    """Random sampling: MINE on drawn pairs, and its closed form, which is as fast as no similarity at all."""
    chunk, few = _chunks(ready, bench)[0], min(samples, _CHUNKED)
    exact: Any = GaussianInformation(goal="minimize", dimension=1.0, floor=1e-6)
    nothing: Any = Nothing()
    bench.row("warm-up", samples=2, chunk_size=2, iterations=1)
    return [
        bench.row("random sampling", samples=few, chunk_size=min(chunk, few)),
        bench.row("closed form", samples=samples, chunk_size=chunk, similarity=exact),
        bench.row("no similarity", samples=samples, chunk_size=chunk, similarity=nothing),
    ]


def _large_row(bench: Bench, samples: int) -> Row:
    """Random sampling of colour images of 224 × 224 with a small network, for its memory."""
    shape = (3, 224, 224)
    with torch.random.fork_rng():
        model = ConvAutoencoder(shape=shape, channels=[4, 2], kernel=3).to(bench.x.device)
        x = torch.rand(samples, *shape)
    sampling: Any = RandomProjections(
        count=500, dimension=128, redraw=True, standardize=True, marginals="shuffle", matrices=False
    )
    mine: Any = Mine(
        goal="minimize", require_positive=True, sampling=sampling, hidden=10, steps=20, learning_rate=1e-3
    )
    common = bench.common | {"dataset": "uniform noise", "model": "conv_ae 4-2"}
    large = Bench(replace(bench.attack, similarity=mine), model, x, bench.seed, common)
    return large.row("224 × 224 × 3", samples=samples, chunk_size=samples, iterations=2)


def _settings(samples: int, chunk: int, iterations: int, *, fitting: int) -> Iterator[dict[str, Any]]:
    """The main row, which the goals are about; linearity in samples, iterations and MINE steps; chunk sizes.

    `chunk` is the one chosen, `fitting` the largest that the memory holds.
    """

    def setting(name: str, count: int, size: int, turns: int = iterations, **more: Any) -> dict[str, Any]:
        return {"setting": name, "samples": count, "chunk_size": size, "iterations": turns, **more}

    few, short = min(samples, _FEW), min(iterations, _SHORT)
    yield setting("main", samples, chunk, rates=True)
    for size in (1, 2, 4):
        yield setting(f"samples x{size}", max(1, min(samples, size * _FEW)), min(chunk, _FEW), short)
    for part in (4, 2, 1):
        yield setting(f"iterations /{part}", few, chunk, max(1, iterations // part))
    for marginals in _MARGINALS:
        for steps in _STEPS:
            yield setting(f"steps {steps}", few, chunk, mine_steps=steps, marginals=marginals)
    for size in _CHUNKS:
        if size <= min(fitting, max(_CHUNKED, 2 * chunk)) and size <= max(_CHUNKED, samples):
            yield setting(f"chunk {size}", min(samples, max(_CHUNKED, size)), size, max(1, short // 2))
    yield setting("one at a time", min(samples, 4), 1)


def _chunks(ready: Prepared, bench: Bench) -> tuple[int, int]:
    """How many samples at once a run would take, and how many the memory holds."""
    experiment, device = ready.experiment, ready.device
    need = measure(bench.attack, bench.model, bench.x)
    choose = partial(choose_chunk, need, device, budget_gib=experiment.memory_budget)
    most = experiment.chunk_size or MOST_SAMPLES[device.type]
    return choose(most=most, exact=experiment.chunk_size is not None), choose(most=_CHUNKS[-1], exact=False)


def _bench(ready: Prepared, bars: Bars) -> Bench:
    """A model trained for two epochs on a subset: the time of an attack doesn't depend on how well."""
    experiment, device, data = ready.experiment, ready.device, ready.data
    work = Stages(experiment, data, device, bars)
    fitted = work.fit("bench", data.x_train[:_TRAINED_ON], epochs=_EPOCHS)
    mine: Any = _mine(ready)
    common = {
        "dataset": experiment.dataset.name,
        "model": experiment.model.name,
        "device": str(device),
        "hardware": device_name(device),
        "threads": torch.get_num_threads(),
        "date": f"{datetime.now():%Y-%m-%d}",
    }
    return Bench(experiment.triple(mine), fitted.model, data.x_train, experiment.seed, common)


def _show(frame: pd.DataFrame, console: Console) -> None:
    """The rows, and below them where the main row's time goes."""
    first = frame.iloc[0]
    table = Table(
        title=f"{first['dataset']}, {first['model']}, {first['hardware']}, {first['threads']} threads",
        caption="×floor: beside the model's passes; MINE: its part; in-attack: its value at the end, nats",
    )
    for heading, form in _COLUMNS.values():
        side: Literal["left", "right"] = "left" if form == "{}" else "right"
        table.add_column(heading, justify=side, no_wrap=True)
    for _, row in frame.iterrows():
        cells = ((row[name], form) for name, (_, form) in _COLUMNS.items())
        table.add_row(*("" if pd.isna(value) else form.format(value) for value, form in cells))
    console.print(table)
    shares = first.filter(like="share_").items()
    parts = (f"{str(name).removeprefix('share_')} {value:.0%}" for name, value in shares)
    console.print("main: " + ", ".join(parts))
    for unit, column in (("GFLOP/s", "gflop_per_second"), ("GB/s", "gb_per_second")):
        whole, floor, peak = (first[f"{name}{column}"] for name in ("", "floor_", "peak_"))
        console.print(
            f"      {whole:.1f} {unit} ({whole / peak:.0%} of what the device did in one large operation), "
            f"floor {floor:.1f} {unit} ({floor / peak:.0%})"
        )


def _draw(frame: pd.DataFrame, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="seconds per sample", ylabel="mean bound of MINE in the attack (nats)")
    trade = frame[frame["setting"].str.startswith("steps ")]
    for marginals, rows in trade.groupby("marginals"):
        axes.plot(rows["seconds_per_sample"], rows["mutual_information"], "o-", label=marginals)
        for _, row in rows.iterrows():
            axes.annotate(f"{row['mine_steps']:.0f}", (row["seconds_per_sample"], row["mutual_information"]))
    axes.legend(title="marginals (points: steps)")
    figure.savefig(path, dpi=150)
