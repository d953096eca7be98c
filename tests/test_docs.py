"""The pages in docs/: their commands and code run, and the reference made for them holds every setting.

Of each page, in order and in one empty folder: blocks with a title are written to the file of that name,
Python is run, and so are shells' lines that stand after `<!-- run -->`, on a few samples. The others, which
would take long or need data, are composed and checked as `uae run` does before it begins, or parsed.
"""

import logging
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from omegaconf import OmegaConf

from uae_cli import __version__
from uae_cli.cli import _parser, main
from uae_cli.compare.command import asked, planned
from uae_cli.experiment.compose import compose_jobs, conf_dir, register_resolvers
from uae_cli.experiment.schema import from_config
from uae_cli.experiment.settings import check_own_files, check_reads
from uae_cli.run import hydra_app

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
FENCE = re.compile(
    r"^(?P<run><!-- run -->\n)?(?P<indent> *)```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
TINY = {
    "scale": "smoke",
    "threads": "1",
    "data.train_size": "8",
    "data.test_size": "4",
    "attack.iterations": "2",
    "similarity.steps": "2",
    "similarity.sampling.count": "3",
}
ELSEWHERE = {"python3", ".", "pip"}  # of a shell or an environment that is none of ours


@dataclass(frozen=True)
class Block:
    """A fenced block; `run` if its commands are to be run."""

    language: str
    title: str | None
    text: str
    run: bool
    line: int


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for hit in FENCE.finditer(text):
        body = re.sub(rf"^{hit['indent']}", "", hit["text"], flags=re.MULTILINE)
        yield Block(
            hit["language"], hit["title"], body, bool(hit["run"]), 1 + text[: hit.start()].count("\n")
        )


def words_of(line: str) -> list[str]:
    """A command without its comment and the variables set before it."""
    words = shlex.split(line, comments=True)
    while words and re.match(r"[A-Z]+=", words[0]):
        del words[0]
    return words


def smaller(arguments: list[str]) -> list[str]:
    """What makes this run one on next to nothing, but for what it sets itself or hasn't."""
    set_here = {argument.split("=")[0] for argument in arguments}
    left_out = {"similarity.steps"} if "similarity" in set_here else set()
    if "sampling=random" not in arguments:
        left_out.add("similarity.sampling.count")
    return [f"{name}={value}" for name, value in TINY.items() if name not in set_here | left_out]


def is_run(arguments: list[str]) -> None:
    try:
        status = main(arguments + (smaller(arguments) if arguments[0] == "run" else []))
    except SystemExit as done:  # --version
        status = int(done.code or 0)
    assert status == 0, arguments


def is_checked(arguments: list[str]) -> None:
    """A run as far as before it reads data; of another command, its arguments."""
    if arguments[0] != "run":
        named, rest = _parser().parse_known_args(arguments)
        assert not [word for word in rest if word.startswith("-")], arguments
        if arguments[0] == "compare":
            question, overrides = asked([*named.overrides, *rest])
            planned(question, overrides, named.config_dir)
        return
    options = hydra_app.parse(arguments[1:])
    launcher = [word for word in options.overrides if word.startswith("hydra")]
    overrides = [word for word in options.overrides if word not in launcher]  # plugins of the user's own
    if options.config_dir:
        check_own_files(Path(options.config_dir), overrides)
    jobs = compose_jobs(overrides, multirun=options.multirun, extra_dir=options.config_dir)
    check_reads(overrides, [job.config for job in jobs])
    for job in jobs:
        from_config(job.config | {"tracker": None})  # whose package may be missing


@pytest.fixture
def _a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UAE_DATA", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    register_resolvers()
    handlers = logging.root.handlers[:]
    yield
    for handler in logging.root.handlers:  # Hydra has put its own in their place
        handler.close()
    logging.root.handlers = handlers


@pytest.mark.usefixtures("_a_folder_of_its_own")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_can_be_done(page: Path) -> None:
    names: dict[str, Any] = {}
    for block in blocks(page):
        if block.title:
            file = Path(block.title)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile("\n" * block.line + block.text, str(page), "exec"), names)
        else:
            assert block.language == "sh", f"{page}:{block.line}"
            for words in filter(None, map(words_of, block.text.splitlines())):
                command(words, run=block.run)


def command(words: list[str], *, run: bool) -> None:
    if words[0] == "torchrun":
        words = ["uae", *words[words.index("uae_cli") + 1 :]]
    if words[0] == "uae":
        (is_run if run else is_checked)(words[1:])
    elif words[0] != "sbatch" and not words[0].startswith("scripts/"):
        assert words[0] in ELSEWHERE, words
    else:
        script = next(word for word in words if word.startswith("scripts/"))
        assert (ROOT / script).is_file(), script


def test_commands_are_found() -> None:
    """A fence that the pattern doesn't know would be passed over."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert 2 * len([*blocks(page)]) == len(re.findall(r"^ *```", text, re.MULTILINE)), page


def test_a_wrong_command_is_noticed() -> None:
    register_resolvers()
    for wrong in ("uae run attack.alpa=1", "uae run experiment=nist", "uae table 4 --ot x", "uaes run"):
        with pytest.raises((Exception, SystemExit)):
            command(words_of(wrong), run=False)


@pytest.fixture(scope="module")
def made() -> ModuleType:
    """`scripts/docs_pages.py`."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return import_module("docs_pages")
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def reference(made: ModuleType) -> str:
    return str(made.configuration())


def test_every_formula_is_understood(made: ModuleType) -> None:
    pytest.importorskip("latex2mathml")
    text = (ROOT / "docs" / "mathematics.md").read_text(encoding="utf-8")
    formulas = re.findall(r"\\\(.+?\\\)|\\\[.+?\\\]", text, re.DOTALL)
    assert len(formulas) > 50
    for formula in formulas:  # what it doesn't know, it would show as it stands
        assert "\\" not in made.mathml(formula), formula
    assert made.mathml(r"\[x \tag{7}\]").endswith("<span>(7)</span></div>")


def test_the_reference_has_every_choice(reference: str) -> None:
    inner = ("adversary", "hydra", "scale_for_criterion", "scale_for_protocol", "scale_for_source")
    files = [file for file in conf_dir().glob("*/*.yaml") if file.parent.name not in inner]
    assert set(re.findall(r"^### `(\w+=\S+)`$", reference, re.MULTILINE)) == {
        f"{file.parent.name}={file.stem}" for file in files
    }


def test_the_reference_has_every_plain_setting_with_its_default(reference: str) -> None:
    whole = OmegaConf.to_container(OmegaConf.load(conf_dir() / "config.yaml"), resolve=False)
    assert isinstance(whole, dict)
    for name, value in whole.items():
        if name not in ("defaults", "hydra") and not isinstance(value, dict):
            [row] = re.findall(rf"^\| `{name}` \| `(.*?)` \|", reference.split("## `arm`")[0], re.MULTILINE)
            assert row == ("null" if value is None else str(value))


@pytest.mark.parametrize(
    "row",
    [
        "| `attack.alpha` | `0.01` | number > 0 | α > 0, step size of δ. |",
        "| `attack.beta` | `0.1` | number > 0, ≤ 1 | β in (0, 1], step size of c. |",
        "| `attack.step` | `gradient` | `gradient` or `sign` | gradient (the paper's), or sign, which",
        "| `model.network.channels` | `[16, 8]` | list of whole number ≥ 1 | feature maps of each encoder",
        "| `seed` | `0` | whole number ≥ 0 | of everything random. |",
    ],
)
def test_a_setting_stands_with_its_default_range_and_meaning(reference: str, row: str) -> None:
    assert row in reference


def test_there_is_one_version() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = OmegaConf.load(ROOT / "CITATION.cff")
    assert {about["version"], cited.version} == {__version__}
    assert about["license"] == cited.license
