"""The command line: `uae run`, `uae table`, `uae data`."""

import argparse
import logging
import os
import sys
from pathlib import Path

from uae_cli import __version__
from uae_cli.errors import UaeError

_TOP_HELP = """\
Unsupervised adversarial examples: generate them, retrain on them, measure what they change.

  uae run                                        digits, convolutional autoencoder, every arm (a CPU minute)
  uae run experiment=mnist_dense_ae seed=1       one row of the paper's Table 4
  uae run experiment=svhn_conv_ae scale=smoke    the same code in seconds, on a few samples
  uae run -m attack.alpha=0.01,0.05 seed=0,1,2   a sweep; what jobs share is computed once
  uae run --help                                 every setting and every choice
  uae table 4                                    the paper's Table 4 from all finished runs
  uae data                                       which datasets are at hand
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status (2 for a mistake that one line explains)."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        if arguments[:1] == ["run"]:
            from uae_cli.run_command import run_command

            return run_command(arguments[1:])
        return _parse_and_call(arguments)
    except UaeError as error:
        if os.environ.get("UAE_DEBUG"):
            raise
        print(f"uae: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("uae: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130


def _parse_and_call(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="uae", description=_TOP_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"uae {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="run | table | data")
    commands.add_parser("run", help="run an experiment (arguments are Hydra's: group=choice, key=value)")
    _add_table(commands)
    _add_data(commands)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    logging.basicConfig(format="%(message)s")
    status: int = options.call(options)
    return status


def _add_table(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    table = commands.add_parser("table", help="the paper's table N from all finished runs")
    table.add_argument("number", help="4 (test error and success) or 10 (training error)")
    table.add_argument("--format", choices=["text", "csv", "markdown", "latex"], default="text")
    table.add_argument("--out", type=Path, help="write to this file instead of the terminal")
    table.add_argument(
        "--outputs", type=Path, default=Path("outputs"), help="where runs are (default: outputs)"
    )

    def call(options: argparse.Namespace) -> int:
        from uae_cli.report.tables import table_command

        return table_command(options.number, options.outputs, options.format, options.out)

    table.set_defaults(call=call)


def _add_data(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    data = commands.add_parser(
        "data", help="which datasets are at hand, which are missing, where they come from"
    )
    data.add_argument(
        "--root", type=Path, default=Path(os.environ.get("UAE_DATA", "data")), help="the data root"
    )
    data.add_argument("--verify", action="store_true", help="compare checksums too")

    def call(options: argparse.Namespace) -> int:
        from uae_cli.compose import conf_dir
        from uae_cli.datasets.inventory import data_command

        return data_command(options.root, options.verify, conf_dir())

    data.set_defaults(call=call)


if __name__ == "__main__":
    sys.exit(main())
