"""Beam's options: the defaults, and a check of the server that a person's options name."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from itertools import zip_longest

from data.errors import InputError

_IN_PROCESS_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"

IN_PROCESS_ARGS = (f"--runner={_IN_PROCESS_RUNNER}", "--direct_running_mode=in_memory", "--direct_num_workers=1")
"""The runner that `DirectRunner` was. Since 2.68 that tries another one first, Prism, which it downloads, whatever the
running mode. Its own multi-processing was five times slower where it was tried."""

DEFAULT_ARGS = (*IN_PROCESS_ARGS, f"--job_server_timeout={7 * 24 * 60 * 60}")
"""What a person's own options stand behind, and win over. A job may take a week: by default, Beam's client gives up on
some servers' jobs after a minute, which then go on alone."""

SECONDS_TO_ANSWER = 5.0

_SERVERS = {"--job_endpoint": ("embed",), "--flink_master": ("[local]", "[auto]", "local")}
"""Beam's options that name a server, and the values that name none."""


def check_job_server(beam_args: Sequence[str]) -> None:
    """Try the servers that Beam's options name.

    Beam itself tries for over a minute, and then prints a traceback.

    Parameters
    ----------
    beam_args
        Beam's own flags.

    Raises
    ------
    InputError
        A server takes no connection within `SECONDS_TO_ANSWER`.
    """
    for argument, following in zip_longest(beam_args, beam_args[1:], fillvalue=""):
        option, equals, value = argument.partition("=")
        address = value if equals else following
        if option in _SERVERS and address not in _SERVERS[option]:
            _connect(option, address)


def _connect(option: str, address: str) -> None:
    host, colon, port = address.removeprefix("http://").removeprefix("https://").rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(f"{option} {address} is not HOST:PORT", code="A09")
    try:
        with contextlib.closing(socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_TO_ANSWER)):
            pass
    except OSError as error:
        raise InputError(
            f"nothing answers at {option} {address} ({error.strerror or error}): start the server, or correct the "
            "address",
            code="A09",
        ) from error
