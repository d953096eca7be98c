"""A config calls nothing that the user hasn't allowed."""

import pickle
from pathlib import Path

import pytest

from uae_cli.errors import ConfigError
from uae_cli.experiment.compose import compose_jobs, register_resolvers
from uae_cli.experiment.permission import check_said


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def compose(*overrides: str, extra_dir: Path | None = None) -> None:
    register_resolvers()
    compose_jobs(list(overrides), multirun=False, extra_dir=extra_dir and str(extra_dir))


@pytest.mark.parametrize(
    "override",
    [
        "model.network._target_=os.system",
        "model.network._target_=builtins.eval",
        "dataset._target_=pathlib.Path.rmdir",
        "model.network._target_=torch.load",
        "model.network._target_=uae_cli.hashing.write_json",
        "model.network._target_=uae_cli.models.base.torch.load",
        "+arm.mine_uae.similarity.network._target_=subprocess.Popen",
        "+hydra.callbacks.mine._target_=os.system",
        "+hydra.callbacks.mine._target_=hydra.utils.get_object",
        "+hydra.job_logging.handlers.mine={class: subprocess.Popen}",
        "+hydra.job_logging.handlers.mine={class: logging.handlers.QueueHandler}",
        "hydra.launcher._target_=hydra_plugins.x.os.system",
        "hydra.launcher._target_=hydra.test_utils.test_utils.subprocess.Popen",
        "+hydra.sweeper.custom_search_space=os.system",
    ],
)
def test_what_is_not_ours_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=r"allow it: plugins=\["):
        compose(override)


def test_the_pickle_of_a_strangers_experiment_is_not_opened(tmp_path: Path) -> None:
    pickled, mark = tmp_path / "w.pkl", tmp_path / "ran"
    pickled.write_bytes(pickle.dumps(Trap(mark)))
    file = tmp_path / "conf/experiment/theirs.yaml"
    file.parent.mkdir(parents=True)
    for place, call in (("model:\n  network", "_target_"), ("hydra:\n  job_logging:\n    formatters", "()")):
        called = f"{{{call}: pandas.read_pickle, filepath_or_buffer: {pickled}}}"
        file.write_text(f"# @package _global_\n{place}: {{mine: {called}}}\n")
        with pytest.raises(ConfigError, match=r" = pandas\.read_pickle: "):
            compose("experiment=theirs", extra_dir=tmp_path / "conf")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("+hydra.job_logging.handlers.file.mode=w", "only added to"),
        ("hydra.job_logging.handlers.file.filename=/etc/passwd", "in the run's folder"),
        ("hydra.job_logging.handlers.console.level='ext://antigravity'", "ext://sys.stdout or"),
        ("hydra.job_logging.handlers.console.stream='cfg://handlers'", "ext://sys.stdout or"),
        ("hydra.job_logging.handlers.console.stream='${hydra.job.name}'", "must not refer"),
        ("hydra.job.name='../../x'", "must be letters"),
    ],
)
def test_logging_imports_nothing_and_writes_nowhere_else(override: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        compose(override)


def test_what_a_cluster_runs_beside_the_job_is_said_on_the_command_line() -> None:
    hydra = {"job": {"name": "uae"}, "launcher": {"setup": ["rm -r outputs"]}}
    check_said({}, hydra, ["hydra.launcher.setup=['rm -r outputs']"])
    with pytest.raises(ConfigError, match=r"launcher\.setup: stands in a file"):
        check_said({}, hydra, [])


@pytest.mark.parametrize("group", ["job_logging", "hydra_logging"])
@pytest.mark.parametrize("choice", ["default", "none", "disabled", "stdout", "colorlog"])
def test_hydras_own_logging_is_allowed(group: str, choice: str) -> None:
    if (group, choice) != ("hydra_logging", "stdout"):
        try:
            compose(f"hydra/{group}={choice}")
        except ConfigError as error:
            assert "no such choice" in str(error)  # noqa: PT017 - a plugin that isn't installed


@pytest.mark.parametrize("plugins", ["plugins=[collections]", "plugins=[os,collections.abc,collections]"])
def test_a_module_is_allowed_by_its_name(plugins: str) -> None:
    compose("protocol._target_=collections.OrderedDict", plugins)


def test_a_name_that_only_begins_like_an_allowed_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"plugins=\[os,ossify\]"):
        compose("protocol._target_=ossify.Protocol", "plugins=[os]")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plugins: [pandas]", r"plugins = \['pandas'\]: stands in a file"),
        ("hydra: {job: {env_set: {PATH: /elsewhere}}}", "env_set: stands in a file"),
        (
            "data: {hidden: {(): pandas.read_pickle}}\n"
            "hydra: {job_logging: {formatters: {mine: '${data.hidden}'}}}",
            "must not refer",
        ),
    ],
)
def test_a_file_allows_itself_nothing(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / "experiment/theirs.yaml"
    file.parent.mkdir()
    file.write_text(f"# @package _global_\n{text}\n")
    with pytest.raises(ConfigError, match=line):
        compose("experiment=theirs", extra_dir=tmp_path)
