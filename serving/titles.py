"""Finding movies by titles as people type them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from rapidfuzz import fuzz, process

from data.errors import InputError
from data.movie_ids import plain_id
from data.releases.catalogue import Catalogue, Movie

SEPARATOR = ";"
"""Between titles in one text. Some titles hold it too."""

_YEAR = re.compile(r"\s*\((\d{4})\)\s*$")
_BRACKETS = re.compile(r"\([^)]*\)")
_TRAILING_ARTICLE = re.compile(r"^(.*),\s*(the|an?|les?|la|l'|das|der|die|el|il)$")
_LISTED = 5
_LIKE = 70.0
"""The least likeness, of 100, at which a title is offered at all."""

_SURE = 85.0
_SURE_LEAD = 6.0
"""A title is taken without asking if it is at least so alike and leads the next one by so much."""


class TitleIndex:
    """A catalogue's titles, searched with tolerance for case, accents, articles and misspelling.

    Examples
    --------
    >>> catalogue = Catalogue.of([Movie(6, "Matrix, The (1999)", 1999, ()), Movie(7, "Heat (1995)", 1995, ())])
    >>> TitleIndex(catalogue).find("the matrx")[0].id
    6
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._accented = [normalise(title, fold_accents=False) for title in catalogue.titles]
        self._plain = [normalise(title) for title in catalogue.titles]
        self._bare = [_without_article(title) for title in self._plain]
        self._with_separator = [place for place, title in enumerate(catalogue.titles) if SEPARATOR in title]

    def find(self, text: str) -> list[Movie]:
        """Return the movies that a text may mean, the likeliest first.

        Parameters
        ----------
        text
            A title; a year in brackets at the end narrows the search.

        Returns
        -------
        list
            One movie where the text says which; several where it doesn't; none where nothing is alike.
        """
        wanted = normalise(text)
        year = _YEAR.search(text)
        places: Sequence[int] = range(len(self._plain))
        if year is not None:
            places = [place for place in places if self._catalogue.years[place] == int(year[1])]
        accented = normalise(text, fold_accents=False)
        exact = [place for place in places if self._accented[place] == accented]
        exact = exact or [place for place in places if self._plain[place] == wanted]
        exact = exact or [place for place in places if self._bare[place] == _without_article(wanted)]
        return self._movies(exact or self._alike(_without_article(wanted), places))

    def find_one(self, text: str) -> Movie:
        """Return the movie that a text means.

        Raises
        ------
        InputError
            No title is like it, or several are; those are named.
        """
        found = self.find(text)
        if not found:
            raise InputError(f"no title in the catalogue is like {text!r}", code="M11")
        if len(found) > 1:
            choices = "; ".join(f"{movie.title} [{movie.id}]" for movie in found)
            raise InputError(f"{text!r} could be: {choices}. Write the title in full, or give the id", code="M12")
        return found[0]

    def find_each(self, text: str) -> list[Movie]:
        """Return the movies that titles and ids, parted by `SEPARATOR`, mean, in their order.

        A title that holds the separator itself is found by its whole, or by a beginning that holds it.

        Raises
        ------
        InputError
            As `find_one` for one of them.
        """
        parts = text.split(SEPARATOR)
        movies: list[Movie] = []
        start = 0
        while start < len(parts):
            movie, start = self._first_of(parts, start)
            movies += [movie] if movie is not None else []
        return movies

    def _first_of(self, parts: Sequence[str], start: int) -> tuple[Movie | None, int]:
        """Return the movie that the parts from `start` begin with, and where the next begins; None for a blank part."""
        for stop in range(len(parts), start + 1, -1):
            joined = normalise(SEPARATOR.join(parts[start:stop]))
            titled = [place for place in self._with_separator if f"{self._plain[place]} ".startswith(f"{joined} ")]
            if joined and len(titled) == 1:
                return self._movies(titled)[0], stop
        part = parts[start].strip()
        if not part:
            return None, start + 1
        movie_id = self._catalogue.parse_id(part)
        if movie_id is not None and normalise(part) not in self._plain:
            return self._catalogue.movie(movie_id), start + 1
        return self.find_one(part), start + 1

    def _alike(self, wanted: str, places: Sequence[int]) -> list[int]:
        if not wanted:
            return []
        candidates = {place: self._bare[place] for place in places}
        found = process.extract(wanted, candidates, scorer=_likeness, processor=None, limit=_LISTED, score_cutoff=_LIKE)
        if not found:
            return []
        runner_up = found[1][1] if len(found) > 1 else 0.0
        if found[0][1] >= _SURE and found[0][1] - runner_up >= _SURE_LEAD:
            found = found[:1]
        return [place for _, _, place in found]

    def _movies(self, places: Sequence[int]) -> list[Movie]:
        return [self._catalogue.movie(plain_id(self._catalogue.ids[place])) for place in places]


def normalise(title: str, *, fold_accents: bool = True) -> str:
    """Return a title in plain form: small letters and digits of any script, the article in front, no brackets.

    >>> normalise("Misérables, Les (1995)")
    'les miserables'
    >>> normalise("Ночной дозор (2004)", fold_accents=False)
    'ночной дозор'
    """
    plain = unicodedata.normalize("NFKC", title).casefold()
    if fold_accents:
        parted = unicodedata.normalize("NFKD", plain)
        plain = "".join(sign for sign in parted if not unicodedata.combining(sign))
    without_year = _YEAR.sub("", plain)
    plain = _BRACKETS.sub(" ", without_year).strip() or without_year or plain
    if match := _TRAILING_ARTICLE.match(plain):
        plain = f"{match[2]} {match[1]}"
    return " ".join(re.findall(r"[^\W_]+", plain))


def _without_article(plain: str) -> str:
    article, _, rest = plain.partition(" ")
    return rest if article in {"the", "a", "an"} and rest else plain


def _likeness(wanted: str, title: str, *, score_cutoff: float | None = None, **_: object) -> float:
    """Return how alike whole titles are, 0 to 100; a text that is the beginning of a title is like it too."""
    if not title:
        return 0.0
    whole = fuzz.ratio(wanted, title)
    words = fuzz.token_sort_ratio(wanted, title)
    beginning = 90.0 * title.startswith(f"{wanted} ")
    score = max(whole, words, beginning)
    return score if score_cutoff is None or score >= score_cutoff else 0.0
