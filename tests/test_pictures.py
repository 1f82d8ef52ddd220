"""Small pictures of pages, made by `tools/pictures.py`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from browser import chromium
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import pictures  # noqa: E402

PAGE = """<style>body { margin: 0; background: #fff } b { display: block; height: 50px; background: #00f }
@media (prefers-color-scheme: dark) { body { background: #000 } }</style>
<b></b><script>setTimeout(() => document.querySelector("b").style.background = "#f00", 300)</script>"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    if chromium() is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    path = tmp_path / "page.html"
    path.write_text(PAGE, encoding="utf-8")
    return path


def pixel(path: Path, x: int, y: int) -> tuple[int, ...]:
    return Image.open(path).convert("RGB").getpixel((x, y))


def test_a_picture_shows_a_settled_page_in_the_colours_that_are_asked_for(page: Path, tmp_path: Path) -> None:
    light, dark = tmp_path / "new" / "light.png", tmp_path / "dark.png"

    assert pictures.main([str(page), str(light), "--width", "300", "--height", "200"]) == 0
    assert pictures.main([page.as_uri(), str(dark), "--width", "300", "--height", "200", "--dark"]) == 0

    assert Image.open(light).size == (300, 200)
    assert (pixel(light, 10, 10), pixel(light, 10, 90)) == ((255, 0, 0), (255, 255, 255))
    assert (pixel(dark, 10, 10), pixel(dark, 10, 90)) == ((255, 0, 0), (0, 0, 0))


def test_a_picture_that_gets_too_large_is_not_written(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "picture.png"

    assert pictures.main([str(page), str(picture), "--most-kb", "0"]) == 2

    assert not picture.exists()
    assert "kB: lower --height" in capsys.readouterr().err


def test_a_page_that_is_not_there_is_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pictures.main([str(tmp_path / "none.html"), str(tmp_path / "picture.png")]) == 2

    said = capsys.readouterr().err
    assert said.count("\n") == 1


def test_without_a_browser_no_picture_is_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert pictures.main([__file__, str(tmp_path / "picture.png")]) == 2

    assert "apt-get install chromium" in capsys.readouterr().err


def test_compression_keeps_the_colour_of_a_small_mark_among_many_others() -> None:
    picture = Image.linear_gradient("L").convert("RGB").resize((400, 400))
    picture.paste((0xB7, 0x79, 0x1F), (5, 5, 9, 9))

    again = Image.open(io.BytesIO(pictures.compress(picture))).convert("RGB")

    kept = again.getpixel((7, 7))
    assert all(abs(part - other) < 12 for part, other in zip(kept, (0xB7, 0x79, 0x1F), strict=True))


def test_pictures_of_the_documents_are_small_and_have_words_in_their_place() -> None:
    shown = sorted((ROOT / "docs" / "images").glob("*.png"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert shown
    for path in shown:
        assert path.stat().st_size < 150_000, path
        assert any(len(words) > 40 for words in pictures_words(readme, f"docs/images/{path.name}")), (
            f"{path.name} has no words in README"
        )


def pictures_words(text: str, path: str) -> list[str]:
    """Return the alternative texts under which a document shows a picture."""
    return [part.rpartition("![")[2] for part in text.split(f"]({path})")[:-1]]
