"""Finding movies by titles as people type them."""

from __future__ import annotations

import bisect
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from functools import cached_property

import numpy as np
from rapidfuzz import fuzz, process

from data.errors import InputError
from data.movie_ids import plain_id
from data.releases.catalogue import Catalogue, Movie

SEPARATOR = ";"
"""Between titles in one text. Some titles hold it too."""

_YEAR = re.compile(r"\s*\((\d{4})\)\s*$")
_YEAR_AT_END = re.compile(r"(.*\S)\s+(\d{4})")
_BRACKETS = re.compile(r"\([^)]*\)")
_OTHER_NAME = re.compile(r"\((?:a\.?k\.?a\.?\s+)?([^)]*)\)", re.IGNORECASE)
_PARTS = re.compile(r":\s+|\s+-\s+")
"""Between a series' name and that of a part: "Star Wars: Episode IV - A New Hope"."""
_TRAILING_ARTICLE = re.compile(r"^(.*),\s*(the|an?|les?|la|l'|das|der|die|el|il)$")
_LISTED = 5
_LIKE = 70.0
"""The least likeness, of 100, at which a title is offered at all."""

_SURE = 85.0
_SURE_LEAD = 6.0
"""A title is taken without asking if it is at least so alike and leads the next one by so much."""

_SAME_WORD = 80.0
"""The least likeness of a word and its misspelling."""

_PART = 0.92
"""What likeness to a part of a title counts for, beside likeness to a title."""

_OUTSHINES = 2.0
"""A longer title that is a label so many times as often may be what a person means by its beginning."""

_LAST_SIGN = "\U0010ffff"
"""Sorts behind every sign that a word holds."""

_Index = Mapping[str, Sequence[int]]
"""Places in the catalogue by name."""


class TitleIndex:
    """A catalogue's titles, searched with tolerance for case, accents, articles, other names and misspelling.

    Examples
    --------
    >>> catalogue = Catalogue.of([Movie(6, "Matrix, The (1999)", 1999, ()), Movie(7, "Heat (1995)", 1995, ())])
    >>> TitleIndex(catalogue).find("the matrx")[0].id
    6
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._plain = [normalise(title) for title in catalogue.titles]
        self._with_separator = [place for place, title in enumerate(catalogue.titles) if SEPARATOR in title]
        counts = catalogue.train_labels
        self._times = np.zeros(len(catalogue)) if counts is None else counts.sum(axis=1)
        names = [(name, place) for place, title in enumerate(catalogue.titles) for name in _names_of(title)]
        plain = [(normalise(name), place) for name, place in names]
        self._accented = _index((normalise(name, fold_accents=False), place) for name, place in names)
        self._named = _index(plain)
        self._bare = _index((_without_article(name), place) for name, place in plain)
        parted = ((_PARTS.split(name), place) for name, place in names)
        self._parts = _index(
            (_without_article(normalise(part)), place) for parts, place in parted if len(parts) > 1 for part in parts
        )
        self._words = _index((word, place) for name, place in plain for word in name.split())

    def find(self, text: str) -> list[Movie]:
        """Return the movies that a text may mean, the likeliest first.

        Parameters
        ----------
        text
            A title, another name of a movie, a part of a title, or some of its words; a year in brackets at the end
            narrows the search.

        Returns
        -------
        list
            One movie where the text says which; several where it doesn't; none where nothing is alike.
        """
        year = _YEAR.search(text)
        places = set(range(len(self._plain))) if year is None else self._of_year(year[1])
        wanted = normalise(text)
        bare = _without_article(wanted)
        keys = ((self._accented, normalise(text, fold_accents=False)), (self._named, wanted), (self._bare, bare))
        for index, key in keys:
            if exact := places.intersection(index.get(key, ())):
                return self._movies([*self._by_times(exact), *(self._outshining(bare, exact) if year is None else ())])
        if not bare:
            return []
        found = places.intersection(self._parts.get(bare, ())) or self._with_words(bare, places)
        return self._movies(self._by_times(found) if found else self._alike(bare, places))

    def complete(self, text: str, limit: int) -> list[Movie]:
        """Return movies whose names a text, typed so far, may become; the best known first.

        Its words must stand in a movie's names, the last one as a beginning. Where that finds nothing, `find` is asked.

        Parameters
        ----------
        text
            What is typed so far.
        limit
            The most movies to return.
        """
        *whole, beginning = normalise(text).split() or [""]
        if not beginning:
            return []
        known = self._sorted_words
        end = bisect.bisect_left(known, f"{beginning}{_LAST_SIGN}")
        begun = known[bisect.bisect_left(known, beginning) : end]
        found = {place for word in begun for place in self._words[word]}
        found = self._holding(whole, found)
        return self._movies(self._by_times(found)[:limit]) if found else self.find(text)[:limit]

    @cached_property
    def _sorted_words(self) -> list[str]:
        return sorted(self._words)

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
            choices = "; ".join(f"{movie.title} [{movie.id}]" for movie in found[:_LISTED])
            more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
            raise InputError(
                f"{text!r} could be: {choices}{more}. Write the title in full, with its year, or give the id",
                code="M12",
            )
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

    def _of_year(self, year: str) -> set[int]:
        return set(np.flatnonzero(self._catalogue.years == int(year)).tolist())

    def _by_times(self, places: Collection[int]) -> list[int]:
        """Return places by how often their movies are labels, most often first."""
        return sorted(places, key=lambda place: (-self._times[place], place))

    def _outshining(self, bare: str, exact: Set[int]) -> list[int]:
        """Return the movies whose names go on where a title ends, if one of them is far better known."""
        longer = {
            place for name, places in self._bare.items() if name.startswith(f"{bare} ") for place in places
        } - exact
        best = max((self._times[place] for place in longer), default=0.0)
        known = max(self._times[place] for place in exact)
        return self._by_times(longer) if best > 0 and best >= _OUTSHINES * known else []

    def _with_words(self, bare: str, places: Set[int]) -> set[int]:
        """Return the movies among whose names' words are all of a text's; the last may be the year."""
        found = self._holding(bare.split(), places)
        if not found and (dated := _YEAR_AT_END.fullmatch(bare)):
            found = self._holding(dated[1].split(), places & self._of_year(dated[2]))
        return found

    def _holding(self, words: Sequence[str], places: Set[int]) -> set[int]:
        return set(places).intersection(*(self._words.get(word, ()) for word in words))

    def _alike(self, wanted: str, places: Set[int]) -> list[int]:
        """Return the movies with a name that is spelt like a text, or whose words are."""
        likeness = self._with_misspelt_words(wanted)
        for index, weight in ((self._bare, 1.0), (self._parts, _PART)):
            spelt = process.extract(wanted, list(index), scorer=_likeness, limit=2 * _LISTED, score_cutoff=_LIKE)
            for name, score, _ in spelt:
                for place in index[name]:
                    likeness[place] = max(weight * score, likeness[place])
        found = sorted(
            ((score, place) for place, score in likeness.items() if score >= _LIKE and place in places),
            key=lambda item: (-item[0], -self._times[item[1]]),
        )
        if not found:
            return []
        runner_up = found[1][0] if len(found) > 1 else 0.0
        if found[0][0] >= _SURE and found[0][0] - runner_up >= _SURE_LEAD:
            return [found[0][1]]
        return [place for _, place in found[:_LISTED]]

    def _with_misspelt_words(self, wanted: str) -> defaultdict[int, float]:
        """Return movies with a word like each of a text's, and how alike: less where their title says more."""
        of_words: list[dict[int, float]] = []
        for word in wanted.split():
            of_word: dict[int, float] = {}
            for known, score, _ in process.extract(
                word, list(self._words), scorer=fuzz.ratio, limit=None, score_cutoff=_SAME_WORD
            ):
                for place in self._words[known]:
                    of_word[place] = max(score, of_word.get(place, 0.0))
            of_words.append(of_word)
        likeness: defaultdict[int, float] = defaultdict(float)
        for place in set(of_words[0]).intersection(*of_words[1:]):
            said = min(1.0, len(wanted) / max(len(self._plain[place]), 1))
            likeness[place] = (0.6 + 0.4 * said) * sum(of_word[place] for of_word in of_words) / len(of_words)
        return likeness

    def _movies(self, places: Sequence[int]) -> list[Movie]:
        return [self._catalogue.movie(plain_id(self._catalogue.ids[place])) for place in places]


def _index(named: Iterable[tuple[str, int]]) -> _Index:
    """Return the places of each name, each once."""
    index: defaultdict[str, dict[int, None]] = defaultdict(dict)
    for name, place in named:
        if name:
            index[name][place] = None
    return {name: list(places) for name, places in index.items()}


def _names_of(title: str) -> list[str]:
    """Return a title, and the other names that it holds in brackets.

    >>> _names_of("Postman, The (Postino, Il) (1994)")
    ['Postman, The', 'Postino, Il']
    >>> _names_of("(500) Days of Summer (2009)")
    ['(500) Days of Summer', '500 Days of Summer', '500']
    """
    without_year = _YEAR.sub("", title) or title
    others = [name.strip() for name in _OTHER_NAME.findall(without_year)]
    if without_year.startswith("("):
        return [without_year, without_year.replace("(", "", 1).replace(")", "", 1), *others]
    return [_BRACKETS.sub(" ", without_year).strip() or without_year, *others]


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


def _likeness(wanted: str, name: str, *, score_cutoff: float | None = None, **_: object) -> float:
    """Return how alike two whole names are, 0 to 100, in whatever order their words stand."""
    score = max(fuzz.ratio(wanted, name), fuzz.token_sort_ratio(wanted, name))
    return score if score_cutoff is None or score >= score_cutoff else 0.0
