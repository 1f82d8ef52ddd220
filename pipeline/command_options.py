"""Options that several commands take, spelt and explained in one place. Imports nothing that takes its time."""

from __future__ import annotations

import argparse

from data.splits import SPLIT_CHOICES


def add_settings_options(parser: argparse.ArgumentParser, *, no_config: str, no_release: str) -> None:
    """Add the options that choose settings: `config`, `release`, `name`, `split` and, from `--set`, `values`.

    Parameters
    ----------
    parser
        The command's, or a subcommand's.
    no_config, no_release
        What holds without the option, for its help.
    """
    parser.add_argument(
        "--config", metavar="NAME_OR_FILE", help=f"a name in configs/ or a YAML file (default: {no_config})"
    )
    parser.add_argument(
        "--release", help=f"the MovieLens release, from ml-100k to ml-32m, or sample (default: {no_release})"
    )
    parser.add_argument("--name", metavar="NAME", help="the name of your own data, which keeps data sets apart")
    parser.add_argument("--split", help=f"{SPLIT_CHOICES} (default: the configuration's)")
    parser.add_argument(
        "--set",
        dest="values",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a single setting above the configuration's, such as --set model.dropout=0.3; may be repeated",
    )
