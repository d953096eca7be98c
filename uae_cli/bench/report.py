"""The benchmark's rows as tables in the terminal, one CSV and one figure."""

from pathlib import Path
from typing import Literal

import matplotlib as mpl
import pandas as pd
from rich.console import Console
from rich.table import Table

from uae_cli.bench.settings import MARGINALS

_COLUMNS = {
    "setting": "{}",
    "samples": "{:.0f}",
    "iterations": "{:.0f}",
    "mine_steps": "{:.0f}",
    "marginals": "{}",
    "chunk_size": "{:.0f}",
    "seconds_per_sample": "{:.5f}",
    "ratio": "{:.2f}",
    "mine_per_floor": "{:.2f}",
    "samples_per_second": "{:.0f}",
    "mutual_information": "{:.3f}",
}
_HEADINGS = {
    "samples": "n",
    "iterations": "T",
    "mine_steps": "steps",
    "chunk_size": "chunk",
    "seconds_per_sample": "s/sample",
    "ratio": "×floor",
    "mine_per_floor": "MINE",
    "samples_per_second": "samples/s",
    "mutual_information": "MI",
}


def write(frame: pd.DataFrame, folder: Path) -> None:
    """`bench.csv` and `bench.png` into `folder`."""
    frame.to_csv(folder / "bench.csv", index=False)
    _draw(frame, folder / "bench.png")


def show(frame: pd.DataFrame, console: Console) -> None:
    """The rows, and below them where the main row's time goes."""
    first = frame.iloc[0]
    table = Table(
        title=f"{first['dataset']}, {first['model']}, {first['hardware']}, {first['threads']} threads",
        caption="×floor: beside the model's own passes; MINE: its part of it, likewise; MI: nats at the end",
    )
    for name in _COLUMNS:
        side: Literal["left", "right"] = "left" if _COLUMNS[name] == "{}" else "right"
        table.add_column(_HEADINGS.get(name, name), justify=side, no_wrap=True)
    for _, row in frame.iterrows():
        table.add_row(
            *("" if pd.isna(row[name]) else form.format(row[name]) for name, form in _COLUMNS.items())
        )
    console.print(table)
    shares = {
        str(name).removeprefix("share_"): value
        for name, value in first.to_dict().items()
        if str(name).startswith("share_")
    }
    console.print("main: " + ", ".join(f"{name} {value:.0%}" for name, value in shares.items()))
    for unit, column in (("GFLOP/s", "gflop_per_second"), ("GB/s", "gb_per_second")):
        whole, floor, peak = (first[f"{name}{column}"] for name in ("", "floor_", "peak_"))
        console.print(
            f"      {whole:.1f} {unit} ({whole / peak:.0%} of what the device did in one large operation), "
            f"floor {floor:.1f} {unit} ({floor / peak:.0%})"
        )


def _draw(frame: pd.DataFrame, path: Path) -> None:
    mpl.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="seconds per sample", ylabel="mean mutual information at the end (nats)")
    trade = frame[frame["setting"].str.startswith("steps ")]
    for marginals in MARGINALS:
        rows = trade[trade["marginals"] == marginals]
        axes.plot(rows["seconds_per_sample"], rows["mutual_information"], "o-", label=marginals)
        for _, row in rows.iterrows():
            axes.annotate(f"{row['mine_steps']:.0f}", (row["seconds_per_sample"], row["mutual_information"]))
    axes.legend(title="marginals (points: steps)")
    figure.savefig(path, dpi=150)
