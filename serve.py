"""Serve the published model with a page to try it: `python serve.py`, then open http://127.0.0.1:8501/."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from data.command import CommandParser, run_command
from data.environment import prepare_environment
from data.errors import InputError
from data.user_files import user_path
from data.version import add_version_option
from pipeline.command_options import add_model_options
from pipeline.defaults import DEFAULT_SERVING

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")
_ANYWHERE = ("0.0.0.0", "::", "")  # noqa: S104, compared with
_GRACE_SECONDS = 10
_BACKLOG = 1_024
_MOST_AT_ONCE = 1_000
"""Requests in work at a time; more are refused with status 503."""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; a wrong argument ends the process with exit code 2."""
    parser = CommandParser(
        prog="serve.py",
        description="Serve the published model: a page to try it, an API with titles, TensorFlow Serving's REST paths.",
        epilog="Goes over to newly published versions by itself. Exit codes: 0 stopped; 2 something can't be used.",
    )
    add_version_option(parser)
    add_model_options(
        parser, version="a published version, which then stays", no_label="stable, if there is one, or the newest"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen at (default: %(default)s, this machine alone); there is no login: "
        "put a proxy with one in front of any other",
    )
    parser.add_argument(
        "--port", type=_port, default=8501, help="0 for any that is free (default: %(default)s, TensorFlow Serving's)"
    )
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="a name to be asked under")
    parser.add_argument(
        "--max-body", type=_positive, default=1 << 20, metavar="BYTES", help="the longest request (default: 1 MiB)"
    )
    parser.add_argument(
        "--max-rows", type=_positive, default=256, metavar="N", help="rows in a :predict request (default: %(default)s)"
    )
    logged = parser.add_argument_group("request log", "what was asked and answered, for training: off by default")
    logged.add_argument(
        "--request-log", type=user_path, metavar="FOLDER", help="where requests and feedback are written: personal data"
    )
    logged.add_argument(
        "--log-sample", type=_share, default=1.0, metavar="SHARE", help="share of the requests that are logged (1)"
    )
    logged.add_argument(
        "--log-file-bytes", type=_positive, default=64 << 20, metavar="BYTES", help="the longest file (default: 64 MiB)"
    )
    logged.add_argument(
        "--log-keep-days", type=_positive, default=30, metavar="N", help="when files are deleted (default: %(default)s)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument("--verbose", action="store_true", help="show what the libraries log, and each request")
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port < 1 << 16:
        raise argparse.ArgumentTypeError(f"{port} is no port: it may be 0 to 65535")
    return port


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share above 0 and up to 1")
    return share


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command(lambda: _serve(parse_arguments(arguments)))


def _serve(options: argparse.Namespace) -> None:
    prepare_environment(verbose=options.verbose)
    from serving.labels import version_to_serve
    from serving.newest_model import check_model, resolve_model
    from serving.signing import verify_version
    from serving.versions import is_version

    given = options.model or DEFAULT_SERVING
    version = resolve_model(given, options.pipeline)
    check_model(str(version), os.path.isfile)
    if not version.name.isdecimal():
        raise InputError(f"{version} is no published version: its folder's name is no number", code="M04")
    stays = is_version(given)
    if options.public_key is not None:
        chosen = None if stays else version_to_serve(version.parent, options.label)
        verify_version(version if chosen is None else version.parent / str(chosen), options.public_key)
    # Before TensorFlow is imported, which takes seconds: another server may be here already.
    with _listen(options.host, options.port) as listener:
        _run(version, listener, options, stays=stays)


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises
    ------
    InputError
        The address is no one's here, or something else listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Told the protocol, asyncio sends answers at once, and not 40 ms later, when the caller confirms their beginning.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        return listener
    except OSError as error:
        listener.close()
        raise InputError(
            f"{host} port {port} can't be listened at ({error.strerror or error}): "
            "stop what does so already, or take another --port or --host",
            code="H01",
        ) from error


def _run(version: Path, listener: socket.socket, options: argparse.Namespace, *, stays: bool) -> None:
    import uvicorn

    from serving.http.app import ServerSettings, make_app
    from serving.http.live_models import LiveModels
    from serving.http.request_log import LogSettings, RequestLog
    from serving.labels import version_to_serve
    from serving.signing import verify_version

    def choose(folder: Path) -> int | None:
        return int(version.name) if stays else version_to_serve(folder, options.label)

    def check(folder: Path) -> None:
        if options.public_key is not None:
            verify_version(folder, options.public_key)

    logging.basicConfig(format="%(message)s")
    logging.getLogger("next_movie").setLevel(logging.INFO)
    models = LiveModels(version.parent, choose, check)
    log = None
    if options.request_log is not None:
        kept = LogSettings(
            sample=options.log_sample, file_bytes=options.log_file_bytes, keep_days=options.log_keep_days
        )
        log = RequestLog(options.request_log, kept, models.labels)
    models.follow()
    hosts = () if options.host in _ANYWHERE else (*_LOOPBACK, options.host)
    if options.allow_host:
        hosts = (*_LOOPBACK, options.host, *options.allow_host)
    settings = ServerSettings(max_body=options.max_body, max_rows=options.max_rows, hosts=hosts)
    address = _address(options.host, listener.getsockname()[1])

    def announce() -> None:
        print(
            f"page     {address}/",
            f"API      {address}/docs",
            f"predict  {address}/v1/models/{models.name}:predict",
            f"health   {address}/healthz   metrics {address}/metrics   stop with Ctrl-C",
            sep="\n",
            flush=True,
        )
        if options.open:
            webbrowser.open(f"{address}/")

    config = uvicorn.Config(
        make_app(models, settings, announce, log),
        log_level="info" if options.verbose else "error",
        access_log=options.verbose,
        server_header=False,
        limit_concurrency=_MOST_AT_ONCE,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _address(host: str, port: int) -> str:
    """Return under which address the server is reached from this machine."""
    if host in _ANYWHERE:
        return f"http://127.0.0.1:{port}"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


if __name__ == "__main__":
    sys.exit(main())
