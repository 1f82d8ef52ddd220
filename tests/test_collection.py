"""What pytest collects is the same in each of pytest-xdist's workers, which refuse to run otherwise."""

from __future__ import annotations

import gzip

import pytest
from readable_ids import pytest_make_parametrize_id
from skips import ALLOWED


@pytest.mark.parametrize("content", [gzip.compress(b"never the same header"), b"\xff\xfe", b"two\nlines", b"x" * 99])
def test_content_that_is_no_plain_line_is_no_part_of_a_tests_id(content: bytes, request: pytest.FixtureRequest):
    assert pytest_make_parametrize_id(content, "content") == "content"
    assert "[content" in request.node.nodeid


def test_ids_of_tests_are_short_enough_to_be_read(request: pytest.FixtureRequest):
    assert [item.nodeid for item in request.session.items if len(item.nodeid) > 250] == []


def test_what_needs_real_data_may_be_skipped_where_there_is_none(request: pytest.FixtureRequest):
    real = {"ml_latest_small_folder", "ml_100k_folder"}
    needing = [item.nodeid for item in request.session.items if real & set(getattr(item, "fixturenames", ()))]
    assert [node_id for node_id in needing if not node_id.startswith(tuple(ALLOWED))] == []
