"""What can be chosen about a run on a cluster."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from data.errors import InputError

DEFAULT_PIPELINE_ROOT = "minio://mlpipeline/v2/artifacts"
"""The root that an unchanged installation of Kubeflow Pipelines uses."""

_DOMAIN = (
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])"
)
_PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?P<name>(?:{_DOMAIN}(?::[0-9]+)?/)?{_PATH}(?:/{_PATH})*)"
    r"(?::\w[\w.-]{0,127})?(?:@[a-zA-Z][a-zA-Z0-9]*(?:[-_+.][a-zA-Z][a-zA-Z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)
"""References of container images, as the project `distribution/reference` defines them."""

_LONGEST_IMAGE_NAME = 255


def check_image(image: str) -> str:
    """Return the name of a container image, checked.

    Raises
    ------
    InputError
        No container runtime takes it.
    """
    match = _IMAGE.fullmatch(image)
    if match is None or len(match["name"]) > _LONGEST_IMAGE_NAME:
        raise InputError(
            f"{image!r} is not the name of an image: it reads HOST/PATH:TAG or HOST/PATH@sha256:DIGEST, and the path "
            "is of lower-case letters, digits, '.', '_' and '-'",
            code="K25",
        )
    return image


ImageName = Annotated[str, AfterValidator(check_image)]


class AcceleratorSettings(BaseModel):
    """Accelerators of one container."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(min_length=1)
    """The resource's name: `nvidia.com/gpu` on Kubernetes, such as `NVIDIA_TESLA_T4` on Vertex."""

    count: int = Field(default=1, ge=1)
    """How many."""


class ComponentSettings(BaseModel):
    """How one component's container runs; what is not set is left to `defaults`, and then to the cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: ImageName | None = None
    """Image in place of the one that the command line names."""

    cpu: float | None = Field(default=None, gt=0)
    """Cores, as request and as limit."""

    memory_gb: float | None = Field(default=None, gt=0)
    """Memory in units of 10^9 bytes, as request and as limit."""

    accelerator: AcceleratorSettings | None = None
    """Accelerators, if any."""

    retries: int | None = Field(default=None, ge=0)
    """Times that a failed task is tried again."""

    node_selector: dict[str, str] | None = None
    """Labels that a node must bear."""

    caching: bool | None = None
    """Whether the task may be answered from the backend's cache; on where that can be right, unless set."""


class VolumeSettings(BaseModel):
    """The volume that outlives runs: published models and the last runs' statistics."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str = Field(default="next-movie", pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    """Name of a PersistentVolumeClaim in the namespace of the runs."""

    mount_path: str = Field(default="/mnt/next-movie", pattern=r"^/.*[^/]$")
    """Where tasks see it."""


class KubeflowSettings(BaseModel):
    """A run on a cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pipeline_root: str = DEFAULT_PIPELINE_ROOT
    """Where artifacts go: a URI under `gs://`, `s3://` or `minio://`."""

    data_root: str | None = Field(default=None, min_length=1)
    """URI of the release's archive or folder, or of data generated elsewhere; without it the release is downloaded."""

    data_digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """`source_digest` in the manifest of data generated from what lies at `data_root`; a run with other data fails.

    Stated, it lets the backend's cache answer for the data's generation."""

    beam_args: tuple[str, ...] = ()
    """Options for Beam, above running in the task's own process."""

    volume: VolumeSettings = VolumeSettings()
    """What outlives a run."""

    defaults: ComponentSettings = ComponentSettings()
    """For every component."""

    components: dict[str, ComponentSettings] = Field(default_factory=dict)
    """By component id, such as `Trainer`; stands above `defaults`."""

    def of(self, component: str) -> ComponentSettings:
        """Return what holds for a component."""
        own = self.components.get(component, ComponentSettings())
        return self.defaults.model_copy(update=own.model_dump(exclude_none=True, exclude={"accelerator"})).model_copy(
            update={"accelerator": own.accelerator or self.defaults.accelerator}
        )
