"""The command line: `uae run`, `compare`, `attack`, `table`, `figure`, `runs`, `data`, `bench`, `paper`."""

import argparse
import contextlib
import io
import logging
import os
import select
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from uae_cli import __version__
from uae_cli.errors import ConfigError, UaeError, refusal

_TOP_HELP = """\
Unsupervised adversarial examples: generate them, retrain on them, measure what they change.

  uae run                                        digits, convolutional AE, every arm (2 to 3 CPU minutes)
  uae run scale=smoke                            the same code in seconds, on a few samples
  uae run experiment=mnist_dense_ae seed=1       one row of the paper's Table 4
  uae run -m attack.alpha=0.01,0.05 seed=0,1,2   a sweep; what jobs share is computed once
  uae run --help                                 every choice, the settings, your own experiments
  uae compare 'arm=[exact_uae]' seeds=10         which arms help, by how much, worth how many samples
  uae attack my_pkg:MyAE --data imgs --out uaes  UAEs of a model and images of your own
  uae table 4                                    the paper's Table 4 from all finished runs
  uae figure 5                                   the paper's Figure 5, wherever a run has drawn it
  uae data                                       which datasets are at hand, and how to get the others
  uae bench attack                               what the attack costs beside the model's own passes
  uae paper                                      every table and figure: done, missing, run, as one page
  uae runs                                       all finished runs, and in what two of them differ
  uae doctor                                     what is installed and at hand, and what is in the way
"""

_COMPARE_HELP = """\
Which augmentation helps your model on your data, by how much, and what that is worth. Every arm is retrained
on several seeds and held against replicate: the same samples listed twice, so the same training without
anything new. What is missing is run, several runs side by side; a second call goes on where the first one
stopped. It ends in a table, a figure and a sentence per arm:

  exact_uae: helps: +4.1 to +7.0 %, worth 300 samples (210 to 420).
  gaussian_1e-2: no effect beyond ±1 % (−0.2 to +0.6 %).
  mine_uae: undecided: −3.2 to +5.1 %, more seeds needed (about 25).

  uae compare experiment=digits_dense_ae 'arm=[exact_uae,gaussian_1e-2]' seeds=10
  uae compare experiment=mnist_dense_ae,mnist_sparse_ae 'arm=[exact_uae]' train_sizes=500,1000,5000
  uae compare dataset=folder dataset.path=imgs/ dataset.size=32x32 model=conv_ae '~experiment'
  uae compare --config-dir my_conf 'plugins=[my_network]' '~experiment' model=bottleneck 'arm=[exact_uae]'

seeds=10            0 to 9; or by their numbers, seeds=0,1,2. With n seeds and k arms p can't fall below
                    k · 2/2ⁿ: 6 seeds are the fewest for one arm, 9 for eight
train_sizes=N,M     the first N training samples, the first M …: replicate's errors there are the learning
                    curve that says how many real samples an arm is worth
measure=NAME        of results.csv: test_mse, test_accuracy …; by default the first that there is, on the
                    samples of data.validation_share where that is set
against=ARM         instead of replicate: matched_noise, say (arm=[exact_uae,matched_noise] with
                    arm.matched_noise.of=exact_uae)
margin=1            percent (of an accuracy: points): an interval within ± this is no effect

Everything else is as for uae run; values separated by commas make cells of their own, side by side.
Files: compare.csv, compare.md and compare.png in outputs/compare/NAME.
"""

_ATTACK_HELP = """\
UAEs of a model of your own, for samples of your own. --out gets images/ (PNGs by the samples'
names), uaes.csv (file, success, f, similarity, the norms of δ), uaes.safetensors (unrounded) and figure.png;
its attack/ lets the same command go on after an interruption. Step size and start of δ are chosen by the
size of data and gradients, and told, unless they are set. Settings are those of uae run: attack, similarity,
sampling, criterion, seed, device, precision, chunk_size, memory_budget; and dataset, of images.

  uae attack my_pkg:MyAE --weights my_ae.pt --data imgs/ --out uaes/
  uae attack my_pkg:make_model --data imgs/ --size 32x32 --gray --out uaes/
  uae attack my_pkg:VAE --weights vae.safetensors --data x.npy --output recon_x --out uaes/
  uae attack my_pkg:MyAE --weights my_ae.pt --data torchvision:KMNIST --samples 1000 --out uaes/
  uae attack my_pkg:MyAE --weights my_ae.pt --data hub:ylecun/mnist --samples 1000 --out uaes/
  uae attack my_pkg:MyAE --data table.csv --scale --loss my_pkg:loss --out uaes/ attack.iterations=100 seed=1
"""

_TABLE_HELP = """\
The paper's table N from all finished runs below outputs/: ours ± deviation (over n seeds) beside the
paper's number. Runs that differ in a setting or in scale stand in rows of their own.

  uae table 4                                    test error, gain and success rate, in the terminal
  uae table 10                                   training error
  uae table 4 --out t4.md                        as Markdown; .csv and .tex likewise, or --format
  uae table 4 --format runs --out kept/table4.csv   the rows of each seed, added to those there; later:
  uae table 4 --outputs kept                     the same tables from such files alone
  uae table 4 --outputs /scratch/me/outputs      runs made with outputs=/scratch/me/outputs
"""

_DATA_HELP = """\
Every dataset that `uae run dataset=NAME` takes: whether it is in the data root, its size, where it comes
from, how to get it. Your own arrays are listed too: NAME.npz in the data root, with x_train, y_train,
x_test, y_test (and note), images uint8 or in [0, 1].

  uae data                                       what is in UAE_DATA, or in ./data where that isn't set
  uae data --root /data/sets                     look elsewhere
  uae data --verify                              compare checksums too; exit status 1 if something is corrupt
"""

_BENCH_HELP = """\
What an attack costs on this machine, as a ratio to its floor: the T forward and backward passes through
the attacked model that no method avoids.
Floor and attack are measured chunk by chunk in turns. The first row is the main one; then come three
sizes each of samples, iterations and MINE steps, chunk sizes, one sample at a time, the default job (on
digits), random sampling and its closed form on the dense and the concrete autoencoder, large images, and
an epoch of training. Models are trained for two epochs first (kept for the next call). One to two minutes
on two CPU cores; the tables go to the terminal, bench.csv (a row per setting) and bench.png (mutual
information against seconds) to a folder of outputs/bench.

  uae bench attack                               MNIST if it is in the data root, else digits
  uae bench attack experiment=svhn_conv_ae       settings as for uae run
  uae bench attack device=cuda --samples 60000   the main row at full size
  uae bench attack --out results/bench           write bench.csv and bench.png there
"""

_PAPER_HELP = """\
Every table and figure of the paper: which of its runs are finished below outputs/, which are missing, and,
with --times, how long those would take here (estimated from a step of training and an iteration of attack of
each, which takes minutes itself). With --run, what is missing is made (smoke runs side by side); a second one
goes on where the first one stopped. It ends in one HTML page, outputs/paper.html, that needs no network: our
numbers beside the paper's, the figures, the hardware, the commands.

  uae paper                                      what is done, what is missing
  uae paper --times --only 4,6                   and the time that would take
  uae paper --run --scale smoke                  all of it on a few samples: does everything run?
  uae paper --run --scale subset --only 4,6,f5   some of it on 2,000 samples
  uae paper --run --scale full --seeds 0,1,2     the paper, with a spread over seeds
  uae paper --run --partial data.root=/data      a part of a dataset stands in where the whole is missing
"""

_FIGURE_HELP = """\
Where the paper's figure N lies among the finished runs below outputs/, or copies of it in one folder. Every
run draws its own figures; this finds those that show what the paper's figure shows.

  uae figure 2                                   mutual information while the attack goes on
  uae figure 7 --out figures                     attack success against ε, copied to figures/
"""

_RUNS_HELP = """\
All finished runs below outputs/, the latest last, with what was set on their command lines.

  uae runs                                       every run; the first column is what it is called here
  uae runs --experiment digits_conv_ae           of one experiment
  uae runs --best test_mse_gain_vs_replicate     best first, each with its best arm
  uae runs diff 1a2b3c 4d5e6f/0                  the settings in which two runs (or run folders) differ
  uae runs --verify                              is every file as it was written? Exit status 1 if not
  uae runs prune                                 what could go: remains of killed runs, runs that were
                                                 repeated, stages that no run uses; --yes removes it
  uae runs prune --older 30d                     what was last used before that, finished runs too
  uae runs prune 1a2b3c 'mnist_*'                these runs, and the stages that only they have used
  uae runs prune --keep 5GB                      what could go, the oldest first, until 5 GB are left
"""

_DOCTOR_HELP = """\
Versions, launchers, disk, datasets at hand, device, threads and memory: what uae finds here and would use.
Exit status 1 if something is in the way.

  uae doctor                                     runs are put into outputs/
  uae doctor --outputs /scratch/me/outputs       or elsewhere
"""

_FORMATS: dict[str | None, Any] = {".csv": "csv", ".md": "markdown", ".tex": "latex"}
_PATIENCE = 10.0  # seconds from a signal until all should have been cleared up
_COMMANDS = ("run", "compare", "attack", "table", "figure", "runs", "data", "bench", "paper", "doctor")


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status.

    That is 2 for a mistake that one line explains, and 130 after Ctrl-C and 143 after SIGTERM.
    """
    arguments = sys.argv[1:] if argv is None else argv
    stopped_by: int = signal.SIGINT

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped_by
        stopped_by = stopped_by if number == signal.SIGALRM else number
        # Once more if nothing comes of it: in a callback of a compiler's, say, exceptions are lost
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        raise KeyboardInterrupt

    _open_streams()
    logging.raiseExceptions = False  # a log that can't be written is no reason to fill the terminal
    if threading.current_thread() is threading.main_thread():
        # What timeout, Slurm and systemd send leaves as little behind as Ctrl-C
        signal.signal(signal.SIGTERM, stop)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, stop)
    try:
        status = _call(arguments)
        sys.stdout.flush()
    except UaeError as error:
        if os.environ.get("UAE_DEBUG"):
            raise
        print(f"uae: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
        way = "the same command goes on after the last saved epoch or iteration"
        print(f"uae: interrupted; {way}", file=sys.stderr)
        return 128 + stopped_by
    except BrokenPipeError:
        if not _reader_left():
            raise
        _mute()
        return 141
    except OSError as error:
        line = refusal(error, "standard output")
        if line is None or os.environ.get("UAE_DEBUG"):
            raise
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        _mute()
        print(f"uae: {line}", file=sys.stderr)
        return 2
    return status


def _open_streams() -> None:
    """What was closed is opened on nothing; what can't be told in the terminal's letters becomes a ?."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _reader_left() -> bool:
    """Whether nobody reads standard output or error (head, less) any more."""
    watched = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # tests have streams of their own
            watched.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in watched.poll(0))


def _mute() -> None:
    """Python would complain once more while it shuts down."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    """Mistakes are told like all others, in one line."""

    def error(self, message: str) -> NoReturn:
        """See `argparse.ArgumentParser.error`.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{message}; see {self.prog} --help")


def _call(arguments: list[str]) -> int:
    if arguments[:1] == ["-sc"] and "query=" in "".join(arguments[1:2]):
        # What the shell calls at every <TAB>, once uae run -sc install=… has told it to
        from uae_cli.run.hydra_app import complete

        complete(arguments[1], _COMMANDS)
        return 0
    if arguments[:1] in (["run"], ["compare"], ["attack"]) and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # where a user's own classes are; what is installed goes first
    if arguments[:1] in (["run"], ["-sc"]):
        from uae_cli.run.command import run_command

        return run_command(arguments[arguments[0] == "run" :], announced=True)
    if arguments and not arguments[0].startswith("-") and arguments[0] not in _COMMANDS:
        from uae_cli.text import nearest

        raise ConfigError(f"{arguments[0]}: no such command; {nearest(arguments[0], _COMMANDS)}")
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if options.command in ("compare", "attack", "bench", "paper"):
        # Settings may stand on either side of the options, which argparse allows no subcommand
        options.overrides += [argument for argument in rest if not argument.startswith("-")]
        rest = [argument for argument in rest if argument.startswith("-")]
    if rest:
        way = "options are written --name VALUE; " if "=" in rest[0] else ""
        page = f"uae {options.command}" if options.command else "uae"
        raise ConfigError(f"unrecognized arguments: {' '.join(rest)}; {way}see {page} --help")
    if options.command is None:
        parser.print_help()
        return 0
    logging.basicConfig(format="%(message)s")
    logging.getLogger("uae_cli.progress").setLevel(logging.INFO)
    logging.getLogger("uae_cli.api").setLevel(logging.INFO)
    return _run(options)


def _run(o: argparse.Namespace) -> int:
    """Import only what the command needs: some of it takes seconds."""
    if o.command == "compare":
        from uae_cli.compare.command import compare_command

        return compare_command(o.overrides, name=o.name, config_dir=o.config_dir)
    if o.command == "attack":
        from uae_cli.api.command import attack_command

        return attack_command(o)
    if o.command == "table":
        from uae_cli.tables import table_command

        fmt = o.format or _FORMATS.get(o.out and o.out.suffix, "text")
        return table_command(o.number, o.outputs, fmt, o.out)
    if o.command == "figure":
        from uae_cli.paper.command import figure_command

        return figure_command(o.number, o.outputs, o.out)
    if o.command == "data":
        from uae_cli.datasets.command import data_command, default_root
        from uae_cli.experiment.compose import conf_dir

        return data_command(o.root or default_root(), o.verify, conf_dir())
    if o.command == "bench":
        from uae_cli.bench.command import bench_command

        return bench_command(o.overrides, samples=o.samples, out=o.out)
    if o.command == "runs":
        from uae_cli.results.command import diff_command, runs_command

        if o.what[:1] == ["prune"]:
            from uae_cli.results.disk import prune_command

            return prune_command(o.outputs, o.what[1:], o.older, o.keep, yes=o.yes)
        if o.older or o.keep or o.yes:
            raise ConfigError("runs: --older, --keep and --yes go with uae runs prune; see uae runs --help")
        if o.verify:
            from uae_cli.results.disk import verify_command

            return verify_command(o.outputs)
        if not o.what:
            return runs_command(o.outputs, o.experiment, o.best)
        if o.what[0] != "diff" or len(o.what) != 3:
            raise ConfigError(f"runs {' '.join(o.what)}: write uae runs diff A B; see uae runs --help")
        return diff_command(o.outputs, *o.what[1:])
    if o.command == "doctor":
        from uae_cli.doctor import doctor_command

        return doctor_command(o.outputs)
    from uae_cli.paper.command import paper_command

    return paper_command(
        run=o.run,
        times=o.times,
        scale=o.scale,
        only=o.only,
        seeds=o.seeds,
        partial=o.partial,
        settings=o.overrides,
        outputs=o.outputs,
        out=o.out,
    )


def _parser() -> _Parser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = _Parser(prog="uae", description=_TOP_HELP, formatter_class=layout)
    parser.add_argument("--version", action="version", version=f"uae {__version__}")
    commands = parser.add_subparsers(dest="command", metavar=" | ".join(_COMMANDS))
    commands.add_parser("run", help="run an experiment (arguments are Hydra's: group=choice, key=value)")

    def command(name: str, line: str, page: str) -> _Parser:
        return commands.add_parser(name, help=line, description=page, formatter_class=layout)

    compare = command("compare", "which arms help, by how much, worth how many samples", _COMPARE_HELP)
    compare.add_argument("overrides", nargs="*", help="the question and settings, as for uae run")
    compare.add_argument("--name", help="of the report's folder (default: the experiment's)")
    compare.add_argument("--config-dir", "-cd", help="your own folder of configs, as for uae run")
    attack = command("attack", "UAEs of a model of your own", _ATTACK_HELP)
    attack.add_argument(
        "model", help="module:Class, module:function that makes it (given shape=), or an nn.Module"
    )
    attack.add_argument("overrides", nargs="*", help="settings, as for uae run")
    attack.add_argument("--weights", type=Path, help="state dict, by torch.save or safetensors")
    kinds = "folder of images, .npy, .npz, .csv, .parquet, torchvision:NAME or hub:OWNER/NAME"
    attack.add_argument("--data", required=True, help=kinds)
    attack.add_argument("--samples", type=int, metavar="N", help="only the first N of them")
    attack.add_argument("--out", type=Path, required=True, help="an empty or new folder")
    attack.add_argument("--size", help="resize images to HEIGHTxWIDTH, or to a square")
    attack.add_argument("--gray", action="store_true", help="make images grey")
    scale = "for values outside [0, 1]: take the smallest and the largest as the range"
    attack.add_argument("--scale", action="store_true", help=scale)
    layer = "whose feature maps the similarity reads (default: the first convolution)"
    attack.add_argument("--layer", default="auto", help=layer)
    attack.add_argument("--output", help="name or number of the reconstruction in what the model answers")
    attack.add_argument("--loss", help="module:function of (x, output), one number per sample")
    attack.add_argument("--similarity", default="mine", help="mine (default), gaussian_mi, l2, …")
    table = command("table", "the paper's table N from all finished runs", _TABLE_HELP)
    table.add_argument("number", help="2 to 13, s6.6 or s6.15")
    ending = "default: what the ending of --out says (.csv, .md, .tex), else text"
    table.add_argument("--format", choices=["text", "csv", "runs", "markdown", "latex"], help=ending)
    table.add_argument("--out", type=Path, help="write to this file instead of the terminal")
    figure = command("figure", "the paper's figure N from all finished runs", _FIGURE_HELP)
    figure.add_argument("number", help="1 to 10")
    figure.add_argument("--out", type=Path, help="copy to this folder")
    data = command("data", "which datasets are at hand, which are missing, where they come from", _DATA_HELP)
    data.add_argument("--root", type=Path, help="the data root")
    data.add_argument("--verify", action="store_true", help="compare checksums too")
    bench = command("bench", "what the attack costs beside the model's own passes", _BENCH_HELP)
    bench.add_argument("what", choices=["attack"], help="what is measured")
    bench.add_argument("overrides", nargs="*", help="settings, as for uae run")
    bench.add_argument("--samples", type=int, default=1000, help="in the main row (default: 1000)")
    bench.add_argument("--out", type=Path, help="folder of bench.csv and bench.png")
    paper = command("paper", "every table and figure: done, missing, run, as one page", _PAPER_HELP)
    paper.add_argument("overrides", nargs="*", help="settings for every run, as for uae run")
    paper.add_argument("--run", action="store_true", help="make what is missing")
    paper.add_argument("--times", action="store_true", help="estimate the time of what is missing")
    paper.add_argument("--scale", choices=["smoke", "subset", "full"], default="full")
    paper.add_argument("--only", help="tables by number, figures with an f: 4,6,s6.15,f5")
    paper.add_argument("--seeds", default="0", help="of every run (default: 0)")
    part = "use a part of a dataset where the whole one is missing"
    paper.add_argument("--partial", action="store_true", help=part)
    runs = command("runs", "all finished runs, and in what two of them differ", _RUNS_HELP)
    runs.add_argument(
        "what", nargs="*", metavar="diff A B | prune [RUN …]", help="runs, by name, folder or pattern"
    )
    runs.add_argument(
        "--verify", action="store_true", help="check all files; exit status 1 if one is damaged"
    )
    runs.add_argument("--older", metavar="AGE", help="prune: only what was last used so long ago (30d, 12h)")
    runs.add_argument("--keep", metavar="SIZE", help="prune: the oldest, until so much is left (5GB)")
    runs.add_argument("--yes", action="store_true", help="prune: do it, instead of saying what it would do")
    runs.add_argument("--experiment", help="only runs of this experiment")
    runs.add_argument("--best", metavar="MEASURE", help="best first, by a measure of results.csv")
    doctor = command("doctor", "what is installed and at hand, and what is in the way", _DOCTOR_HELP)
    where = "where runs are (default: outputs)"
    for one in (table, figure, paper, runs, doctor):
        one.add_argument("--outputs", type=Path, default=Path("outputs"), help=where)
    paper.add_argument("--out", type=Path, help="the page (default: paper.html in the outputs folder)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
