"""What a run's figures come from: libraries and machine."""

from __future__ import annotations

import os
import platform

from components.report.report_model import Provenance
from data.examples.manifest import library_versions

LIBRARIES = (
    "tfx",
    "tensorflow",
    "tf-keras",
    "tensorflow-recommenders",
    "tensorflow-model-analysis",
    "tensorflow-data-validation",
    "tensorflow-transform",
    "apache-beam",
    "ml-metadata",
    "numpy",
    "pyarrow",
)
"""As package registries call them."""

_BYTES_A_GIB = 1 << 30


def describe_process(source_digest: str | None = None) -> Provenance:
    """Return the libraries and the machine of this process; nothing that names the machine or a person.

    Parameters
    ----------
    source_digest
        Of the code that trains.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _BYTES_A_GIB
    return Provenance(
        source_digest=source_digest,
        libraries=library_versions(LIBRARIES),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(memory, 1),
        platform=f"{platform.system()} {platform.release()}, {platform.machine()}",
    )
