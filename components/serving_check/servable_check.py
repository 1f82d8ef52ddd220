"""The servable check: a model answers requests, in a process without this project's code, before it is published.

TFX's InfraValidator needs a container engine or Kubernetes, and sends no request whose answer it knows.
"""

import logging
import os
import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from tfx import v1 as tfx
from tfx.utils import path_utils

from components.finding import Finding
from components.gate_settings import ServableCheckSettings

FINDINGS_FILE = "findings.json"

_CHECKER = Path(__file__).with_name("check_export.py")
_MARKS = {True: "INFRA_BLESSED", False: "INFRA_NOT_BLESSED"}

logger = logging.getLogger("next_movie.servable_check")


class Servability(BaseModel):
    """What the check found; latencies are None where the model did not answer, or has no longest history."""

    model_config = ConfigDict(extra="forbid")

    findings: list[Finding]
    latency_ms: float | None = None
    longest_latency_ms: float | None = None


def check_model(folder: str, settings: ServableCheckSettings) -> Servability:
    """Check an exported model in a fresh process.

    Parameters
    ----------
    folder
        The SavedModel.
    settings
        The limits.

    Returns
    -------
    Servability
        Without findings if the model can be served. A process that dies or hangs is a finding too.
    """
    # Isolated (-I): neither PYTHONPATH nor the working directory brings the project's code along.
    limits = [str(settings.max_latency_ms), str(settings.max_longest_latency_ms)]
    command = [sys.executable, "-I", str(_CHECKER), folder, *limits]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    try:
        process = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=settings.max_seconds,
            check=False,
            env={**os.environ, **quiet},
        )
    except subprocess.TimeoutExpired:
        return _failed(f"the model did not answer all requests within {settings.max_seconds:g} s")
    lines = process.stdout.strip().splitlines()
    if process.returncode != 0 or not lines:
        last_line = (process.stderr.strip().splitlines() or ["no message"])[-1]
        return _failed(f"the process that asked the model ended with {process.returncode}: {last_line}")
    return Servability.model_validate_json(lines[-1])


def _failed(what: str) -> Servability:
    return Servability(findings=[Finding(kind="servable", what=what)])


@tfx.dsl.components.component
def ServableCheck(  # noqa: N802
    model: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Model],
    blessing: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.InfraBlessing],
    settings: tfx.dsl.components.Parameter[str],
    code_digest: tfx.dsl.components.Parameter[str],
) -> None:
    """Bless a model that answers as it should; the Pusher publishes blessed models only.

    `settings` is a `ServableCheckSettings` as JSON. `code_digest` only tells TFX's cache when this code changes.
    """
    result = check_model(path_utils.serving_model_path(model.uri), ServableCheckSettings.model_validate_json(settings))
    blessed = not result.findings
    for finding in result.findings:
        logger.warning("not servable: %s", finding.what)
    blessing.set_int_custom_property("blessed", int(blessed))
    with tfx.dsl.io.fileio.open(f"{blessing.uri}/{FINDINGS_FILE}", "w") as file:
        file.write(result.model_dump_json(indent=2))
    with tfx.dsl.io.fileio.open(f"{blessing.uri}/{_MARKS[blessed]}", "w") as file:
        file.write("")
