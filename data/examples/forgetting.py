"""A user taken out of the last histories of a folder of examples, which hold no other user ids."""

from __future__ import annotations

from pathlib import Path

from data.examples.last_histories import LAST_HISTORIES_FILE
from data.examples.manifest import Manifest
from data.examples.shards import file_sha256
from data.rows_of_users import count_rows, is_unfinished, take_user_out


def holds_last_history(folder: Path, user: str) -> bool:
    """Return whether a folder with a manifest holds a user's last history, or what was left of taking one out.

    Raises
    ------
    InputError
        The manifest or the file can't be read.
    """
    path = folder / LAST_HISTORIES_FILE
    if not path.is_file():
        return False
    if is_unfinished(path):
        return True
    histories = Manifest.load(folder).last_histories
    return count_rows(path, user) > 0 or (histories is not None and histories.sha256 != file_sha256(path))


def forget_last_history(folder: Path, user: str) -> None:
    """Write the last histories anew without a user's, and the manifest that tells their digest.

    Killed in between, `holds_last_history` still answers that there is something to do.

    Raises
    ------
    InputError
        The manifest or the file can't be read.
    OSError
        They can't be replaced.
    """
    path = folder / LAST_HISTORIES_FILE
    users = take_user_out(path, user)
    manifest = Manifest.load(folder)
    if manifest.last_histories is not None:
        histories = manifest.last_histories.model_copy(update={"users": users, "sha256": file_sha256(path)})
        manifest.model_copy(update={"last_histories": histories}).replace(folder)
