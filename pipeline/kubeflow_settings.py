"""What can be chosen about a run on a cluster."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

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


_NAME = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
"""Names of Kubernetes' objects: RFC 1123's subdomains."""

_FOLDER = r"^/[^:]*[^:/]$"
_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
_LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"

LabelKey = Annotated[str, StringConstraints(pattern=_LABEL_KEY)]
Labels = dict[LabelKey, Annotated[str, StringConstraints(pattern=_LABEL_VALUE)]]
ObjectName = Annotated[str, StringConstraints(pattern=_NAME)]


class SecretSettings(BaseModel):
    """A secret that a container sees: in environment variables, as files, or both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ObjectName
    """The secret's, in the namespace of the runs."""

    env: dict[Annotated[str, StringConstraints(pattern=_VARIABLE)], str] = Field(default_factory=dict)
    """Keys of the secret by the environment variable that gets the value."""

    mount_path: str | None = Field(default=None, pattern=_FOLDER)
    """The folder in which each key is a file."""

    @model_validator(mode="after")
    def _is_seen(self) -> SecretSettings:
        if not self.env and self.mount_path is None:
            raise ValueError(f"the secret {self.name!r} needs `env` or `mount_path`")
        return self


class TolerationSettings(BaseModel):
    """A taint of nodes that a task may run on all the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: LabelKey | None = None
    """The taint's key; None, with the operator `Exists`, for all."""

    operator: Literal["Equal", "Exists"] = "Equal"
    """Whether the value counts."""

    value: str | None = None
    """The taint's value, for `Equal`."""

    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; None for all."""

    seconds: int | None = Field(default=None, ge=0)
    """How long a task stays on a node that gets the taint `NoExecute`; None for as long as it takes."""

    @model_validator(mode="after")
    def _says_which(self) -> TolerationSettings:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("a toleration with the operator Exists has no value")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("a toleration without a key needs the operator Exists")
        return self


class ComponentSettings(BaseModel):
    """How one component's container runs; what is not set is left to `defaults`, and then to the cluster.

    Lists and maps of a component stand in place of those of `defaults`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: ImageName | None = None
    """Image in place of the one that the command line names."""

    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """When the image is pulled; Kubernetes itself pulls `:latest` always and others once."""

    image_pull_secrets: tuple[ObjectName, ...] | None = None
    """Secrets with which the image is pulled."""

    cpu: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """The most cores; also those that are reserved, unless `cpu_request` is set."""

    cpu_request: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Cores that are reserved."""

    memory_gb: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """The most memory in units of 10^9 bytes; also what is reserved, unless `memory_request_gb` is set."""

    memory_request_gb: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Memory that is reserved, in units of 10^9 bytes."""

    accelerator: AcceleratorSettings | None = None
    """Accelerators, if any."""

    retries: int | None = Field(default=None, ge=0)
    """Times that a failed task is tried again."""

    deadline_seconds: int | None = Field(default=None, ge=1)
    """How long an attempt may take before the cluster ends it."""

    node_selector: Labels | None = None
    """Labels that a node must bear."""

    tolerations: tuple[TolerationSettings, ...] | None = None
    """Taints of nodes that the task may run on all the same."""

    secrets: tuple[SecretSettings, ...] | None = None
    """Secrets that the container sees."""

    labels: Labels | None = None
    """Labels of the pod."""

    annotations: dict[LabelKey, str] | None = None
    """Annotations of the pod."""

    caching: bool | None = None
    """Whether the task may be answered from the backend's cache; on where that can be right, unless set."""

    def find_larger_requests(self) -> list[str]:
        """Return the names of resources of which more is reserved than allowed."""
        amounts = {"cpu": (self.cpu_request, self.cpu), "memory": (self.memory_request_gb, self.memory_gb)}
        return [
            name
            for name, (request, limit) in amounts.items()
            if request is not None and limit is not None and request > limit
        ]


class VolumeSettings(BaseModel):
    """The volume that outlives runs: published models and the last runs' statistics."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: ObjectName = "next-movie"
    """Name of a PersistentVolumeClaim in the namespace of the runs."""

    mount_path: str = Field(default="/mnt/next-movie", pattern=_FOLDER)
    """Where tasks see it."""


class WebhookSettings(BaseModel):
    """Where the last task of a run says how the run ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: ObjectName
    """The secret that holds the address, in the namespace of the runs."""

    key: str = Field(default="url", min_length=1)
    """The secret's key."""

    page: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")
    """URL of Kubeflow's pages, for a link to the run."""


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

    own_credentials: bool = False
    """Whether the cluster has credentials for other buckets than the root's, where that is the backend's own store."""

    beam_args: tuple[str, ...] = ()
    """Options for Beam, above running in the task's own process."""

    volume: VolumeSettings = VolumeSettings()
    """What outlives a run."""

    webhook: WebhookSettings | None = None
    """Has a task at the end of each run, whatever became of it, post how the run ended."""

    defaults: ComponentSettings = ComponentSettings()
    """For every component."""

    components: dict[str, ComponentSettings] = Field(default_factory=dict)
    """By component id, such as `Trainer`; stands above `defaults`."""

    @model_validator(mode="after")
    def _requests_lie_below_limits(self) -> KubeflowSettings:
        for component in ("", *self.components):
            for resource in self.of(component).find_larger_requests():
                raise ValueError(f"{component or 'defaults'}: more {resource} is requested than its limit allows")
        return self

    def of(self, component: str) -> ComponentSettings:
        """Return what holds for a component."""
        own = self.components.get(component, ComponentSettings())
        chosen = {name: value for name, value in own if value is not None}
        return self.defaults.model_copy(update=chosen)
