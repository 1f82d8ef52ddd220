"""Options that several commands take, spelt and explained in one place. Imports nothing that takes its time."""

from __future__ import annotations

import argparse

from data.splits import SPLIT_CHOICES
from data.user_files import user_path


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


def add_model_options(parser: argparse.ArgumentParser, *, version: str, no_label: str) -> None:
    """Add the options that choose a published model: `model`, `pipeline`, `label` and `public_key`.

    Parameters
    ----------
    parser
        The command's.
    version
        What the folder of a single version stands for, for the help.
    no_label
        What holds without a label, for the help.
    """
    parser.add_argument(
        "--model",
        type=user_path,
        metavar="DIR",
        help=f"{version}, a folder of versions or one of such folders (default: the newest in runs/serving)",
    )
    parser.add_argument("--pipeline", metavar="NAME", help="whose versions, where several pipelines have published")
    parser.add_argument(
        "--label", metavar="LABEL", help=f"the version with this label, such as stable (default: {no_label})"
    )
    parser.add_argument(
        "--public-key", type=user_path, metavar="FILE", help="refuse versions without this key's signature"
    )
