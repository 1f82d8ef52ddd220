"""How an Examples artifact holds a folder of examples: TFX wants a folder for each split."""

from __future__ import annotations

from collections.abc import Iterator

from data.examples.last_histories import LAST_HISTORIES_FILE
from data.examples.manifest import MANIFEST_FILE, Manifest
from data.examples.shards import SPLITS, TIMELINES
from data.releases.catalogue import CATALOGUE_FILE

DIGEST_PROPERTY = "manifest_digest"
"""Custom property of the Examples artifact: the digest of the data that it was copied from."""


def places_of_files(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield the files of a folder of examples by name, each with its place in the artifact.

    Timelines, catalogue and manifest lie beside the splits, since they are no examples: statistics and Transform have
    no use for them, and later steps need nothing but the artifact.
    """
    for split in SPLITS:
        names = sorted(shard.name for shard in manifest.shards_of(split))
        for number, name in enumerate(names):
            yield name, f"Split-{split}/data_tfrecord-{number:05d}-of-{len(names):05d}.gz"
    for shard in manifest.shards_of(TIMELINES):
        yield shard.name, f"{TIMELINES}/{shard.name}"
    histories = (LAST_HISTORIES_FILE,) if manifest.last_histories is not None else ()
    for name in (CATALOGUE_FILE, *histories, MANIFEST_FILE):
        yield name, name
