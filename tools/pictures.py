"""Make a small picture of a page, such as README's: `python -m tools.pictures PAGE PICTURE`.

The page is a file or an address, shown by a headless Chromium; the picture is a PNG of few colours, so that it is small
enough to be committed. `make pictures` makes all pictures of the documents.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_COLOURS = 256
_SECONDS = 120
_SETTLING_MS = 5_000
"""How long a page's scripts may take, by the browser's own clock, which runs ahead where nothing is waited for."""


class NoPictureError(Exception):
    """A picture could not be made; the message says why, in a line."""


def take_picture(page: str, width: int, height: int, *, dark: bool = False) -> Image.Image:
    """Return how a page looks in a window.

    Parameters
    ----------
    page
        A file's path, or an address.
    width, height
        Of the window, in pixels.
    dark
        Whether the window asks for dark colours.

    Raises
    ------
    NoPictureError
        There is no browser or no such file, or the browser failed.
    """
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise NoPictureError("there is no Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "picture.png"
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            f"--user-data-dir={folder}/profile",
            f"--window-size={width},{height}",
            f"--virtual-time-budget={_SETTLING_MS}",
            f"--screenshot={picture}",
            *(["--blink-settings=preferredColorScheme=0"] if dark else []),
            _address(page),
        ]
        try:
            subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True)
            return Image.open(io.BytesIO(picture.read_bytes())).convert("RGB")
        except (OSError, subprocess.SubprocessError) as error:
            raise NoPictureError(f"{page} can't be shown by {browser}: {error}") from error


def compress(picture: Image.Image) -> bytes:
    """Return a picture as a PNG of at most 256 colours."""
    content = io.BytesIO()
    # Keeps the colours of small marks, where the default looks for those of large areas.
    few = picture.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(content, "PNG", optimize=True)
    return content.getvalue()


def _address(page: str) -> str:
    if "://" in page:
        return page
    path = Path(page).resolve()
    if not path.is_file():
        raise NoPictureError(f"{page} is no file: run the pipeline first, or name an address")
    return path.as_uri()


def main(arguments: Sequence[str] | None = None) -> int:
    """Make a picture, and return the exit code: 0, or 2 where it can't be made."""
    parser = argparse.ArgumentParser(prog="python -m tools.pictures", description="Make a small picture of a page.")
    parser.add_argument("page", metavar="PAGE", help="a file or an address")
    parser.add_argument("picture", metavar="PICTURE", type=Path, help="the PNG to write")
    parser.add_argument("--width", type=int, default=1120, help="of the window, in pixels (default %(default)s)")
    parser.add_argument("--height", type=int, default=900, help="of the window, in pixels (default %(default)s)")
    parser.add_argument("--dark", action="store_true", help="in dark colours")
    parser.add_argument("--most-kb", type=int, default=150, help="the most that it may have (default %(default)s kB)")
    parsed = parser.parse_args(arguments)
    try:
        content = compress(take_picture(parsed.page, parsed.width, parsed.height, dark=parsed.dark))
        if len(content) > 1000 * parsed.most_kb:
            raise NoPictureError(f"the picture has {len(content) // 1000} kB: lower --height, or raise --most-kb")
        parsed.picture.parent.mkdir(parents=True, exist_ok=True)
        parsed.picture.write_bytes(content)
    except (NoPictureError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{parsed.picture}: {parsed.width} x {parsed.height} pixels, {len(content) // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
