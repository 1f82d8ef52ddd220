"""A shop's own data: the sample's ratings as events, with texts for ids and another name for every column."""

from __future__ import annotations

import csv
import uuid
from datetime import datetime, timezone
from pathlib import Path

from data.releases.sample import write_sample_release

COLUMNS = {"user": "customer", "item": "article", "timestamp": "bought_at"}
"""What the shop calls what; it knows no ratings."""


def sku(movie_id: int | str) -> str:
    """Return the shop's id of a movie of the sample: one is empty, one `UNK`, and one holds a comma."""
    odd = {"2": "", "3": "UNK", "8": "a,b"}
    return odd.get(str(movie_id), f"SKU-{int(movie_id):04d}/ü")


def customer(user: str) -> str:
    """Return the shop's id of a user."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, user))


def write_shop(folder: Path) -> tuple[Path, Path]:
    """Write a shop's events and articles as CSV, and return both files."""
    release = folder / "release"
    release.mkdir(parents=True)
    write_sample_release(release)
    events, articles = folder / "events.csv", folder / "articles.csv"
    with (release / "ratings.csv").open(newline="") as ratings, events.open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["session", "customer", "article", "bought_at"])
        for row in csv.DictReader(ratings):
            if float(row["rating"]) >= 2:
                when = datetime.fromtimestamp(int(row["timestamp"]), timezone.utc)
                writer.writerow(["s", customer(row["userId"]), sku(row["movieId"]), when.isoformat()])
    with (release / "movies.csv").open(newline="") as movies, articles.open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["article", "name", "category"])
        for row in csv.DictReader(movies):
            writer.writerow([sku(row["movieId"]), f"Article {row['title'].partition(' (')[0]}", row["genres"]])
    return events, articles
