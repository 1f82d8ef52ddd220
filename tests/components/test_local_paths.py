"""Steps that need a local disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.local_paths import local_path
from data.errors import InputError


@pytest.mark.parametrize("uri", ["/artifacts/Trainer/model/3", "runs/artifacts", "/gcs/bucket/root", "C:/odd"])
def test_a_local_uri_is_its_path(uri):
    assert local_path(uri) == Path(uri)


@pytest.mark.parametrize("uri", ["gs://bucket/root/model", "s3://bucket/x", "ram://x/y", "minio://bucket/x"])
def test_a_remote_uri_is_refused_by_name_in_one_line(uri):
    with pytest.raises(InputError) as refused:
        local_path(uri)
    assert str(refused.value).startswith(uri)
    assert "\n" not in str(refused.value)
