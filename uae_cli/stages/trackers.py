"""Experiment trackers beside TensorBoard: MLflow, Weights & Biases, trackio. By default all work offline."""

import importlib
import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic.dataclasses import dataclass

from uae_cli.errors import ConfigError
from uae_cli.settings import STRICT
from uae_cli.text import one_line

log = logging.getLogger(__name__)

_AT_ONCE = 500  # metrics; MLflow's servers take 1,000
_UNNAMEABLE = re.compile(r"[^/\w.\- :]")  # to MLflow: the + of arms one after another


class _Run(Protocol):
    """A run as one of the trackers knows it."""

    def point(self, name: str, value: float, step: int) -> None: ...

    def finish(self, results: Mapping[str, float], files: list[Path]) -> None: ...

    def fail(self) -> None: ...


class Tracked:
    """A run under way; what goes wrong with a tracker is told once, and ends the tracking, not the run.

    An exception that leaves its block marks the run as failed.
    """

    def __init__(self, name: str, begin: Callable[[], _Run]) -> None:
        self._name, self._failed = name, False
        self._run: _Run
        self._try(lambda: setattr(self, "_run", begin()))

    def __enter__(self) -> None: ...

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            self._try(lambda: self._run.fail())

    def point(self, name: str, value: float, step: int) -> None:
        """One point of a curve."""
        self._try(lambda: self._run.point(name, value, step))

    def finish(self, results: Mapping[str, float], files: list[Path]) -> None:
        """The run is finished: what came out, and the files to keep with it."""
        self._try(lambda: self._run.finish(results, files))

    def _try(self, work: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            work()
        except Exception as error:
            self._failed = True
            log.warning("tracker %s: %s; this run is no longer told to it", self._name, one_line(error))


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MLflow:
    """MLflow, `pip install mlflow`.

    Attributes:
        uri: of the tracking store: sqlite:///FILE, or http://…
        experiment: that runs are put into.

    Raises:
        ConfigError: MLflow isn't installed.
    """

    uri: str
    experiment: str

    def __post_init__(self) -> None:
        _imported("mlflow")

    def begin(self, name: str, settings: Mapping[str, object], tags: Mapping[str, str]) -> Tracked:
        """A new run."""
        return Tracked("mlflow", lambda: _MLflowRun(self, name, settings, tags))


class _MLflowRun:
    def __init__(
        self, where: MLflow, name: str, settings: Mapping[str, object], tags: Mapping[str, str]
    ) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        files = None
        if where.uri.startswith("sqlite:///"):
            database = Path(where.uri.removeprefix("sqlite:///")).absolute()
            database.parent.mkdir(parents=True, exist_ok=True)
            files = (
                database.parent / "mlartifacts"
            ).as_uri()  # by default it would be below where one stands
        self._client, self._metric, self._points = MlflowClient(where.uri), Metric, list[Any]()
        found = self._client.get_experiment_by_name(where.experiment)
        group = (
            found.experiment_id
            if found
            else self._client.create_experiment(where.experiment, artifact_location=files)
        )
        self._run = self._client.create_run(group, tags=dict(tags), run_name=name).info.run_id
        params = [Param(key, str(value)[:500]) for key, value in settings.items()]
        for start in range(0, len(params), 100):  # as many as a server takes
            self._client.log_batch(self._run, params=params[start : start + 100])

    def point(self, name: str, value: float, step: int) -> None:
        self._points.append(self._metric(_UNNAMEABLE.sub("_", name), value, int(1000 * time.time()), step))
        if len(self._points) >= _AT_ONCE:
            self._send()

    def _send(self) -> None:
        self._client.log_batch(self._run, metrics=self._points)
        self._points = []

    def finish(self, results: Mapping[str, float], files: list[Path]) -> None:
        for name, value in results.items():
            self.point(name, value, 0)
        self._send()
        for file in files:
            self._client.log_artifact(self._run, str(file))
        self._client.set_terminated(self._run)

    def fail(self) -> None:
        self._send()
        self._client.set_terminated(self._run, "FAILED")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Wandb:
    """Weights & Biases, `pip install wandb`.

    Attributes:
        project: that runs are put into.
        mode: offline writes files that `wandb sync` sends later.
        folder: of those files; `wandb/` is made below.

    Raises:
        ConfigError: wandb isn't installed.
    """

    project: str
    mode: Literal["offline", "online"]
    folder: Path

    def __post_init__(self) -> None:
        _imported("wandb")

    def begin(self, name: str, settings: Mapping[str, object], tags: Mapping[str, str]) -> Tracked:
        """A new run."""

        def init() -> _WandbRun:
            wandb = _imported("wandb")
            self.folder.mkdir(parents=True, exist_ok=True)
            run = wandb.init(
                project=self.project,
                mode=self.mode,
                dir=str(self.folder),
                name=name,
                config=dict(settings),
                tags=[f"{key}:{value}"[:64] for key, value in tags.items()],
                settings=wandb.Settings(silent=True, console="off"),
                reinit="create_new",
            )
            run.define_metric("*", step_metric="step")  # every fit's epochs begin with 1
            return _WandbRun(run)

        return Tracked("wandb", init)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Trackio:
    """Hugging Face's trackio, `pip install trackio`; wandb's interface, kept on this machine.

    Attributes:
        project: that runs are put into.

    Raises:
        ConfigError: trackio isn't installed.
    """

    project: str

    def __post_init__(self) -> None:
        _imported("trackio")

    def begin(self, name: str, settings: Mapping[str, object], tags: Mapping[str, str]) -> Tracked:
        """A new run."""
        init = _imported("trackio").init
        return Tracked(
            "trackio",
            lambda: _WandbRun(init(project=self.project, name=name, config={**settings, **tags})),
        )


class _WandbRun:
    def __init__(self, run: Any) -> None:
        self._run = run

    def point(self, name: str, value: float, step: int) -> None:
        self._run.log({name: value, "step": step})

    def finish(self, results: Mapping[str, float], files: list[Path]) -> None:
        self._run.log(dict(results))
        if hasattr(self._run, "save"):
            for file in files:
                self._run.save(str(file), base_path=str(file.parent), policy="now")
        self._run.finish()

    def fail(self) -> None:
        if hasattr(self._run, "save"):
            self._run.finish(exit_code=1)
        else:  # trackio knows no failures
            self._run.finish()


def _imported(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        way = f"pip install {package}, or leave the tracker out"
        raise ConfigError(f"tracker = {package}: can't be imported ({one_line(error)}); {way}") from error
