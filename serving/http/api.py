"""The API with titles and filters, in JSON: what the page asks, and what programs without a catalogue may ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from data.errors import InputError
from data.movie_ids import MovieId
from data.releases.catalogue import Movie
from data.request_log.records import REQUEST_ID
from serving.filters import Filters
from serving.http.live_models import LiveModel, LiveModels
from serving.http.request_log import RequestLog
from serving.recommender import MAX_K, Recommendation

MAX_HISTORY = 1_000
"""Ids in the longest history, and in the longest list of a filter."""

REQUEST_ID_HEADER = "X-Request-ID"
"""Header of an answer that is logged: what feedback names the request by."""

_LONGEST_TEXT = 200
_BYTES_OF_AN_ID = 64
"""About what an id takes in memory."""

_LISTED_METRIC = "recall_at_10"

_Id = StrictInt | StrictStr
_Ids = Annotated[list[_Id], Field(max_length=MAX_HISTORY)]
_Names = Annotated[list[StrictStr], Field(max_length=100)]
_Year = Annotated[StrictInt, Field(ge=0, le=9999)]
_K = Annotated[int, Query(ge=1, le=MAX_K, description="Items in an answer; fewer where fewer are left.")]
_WHICH_VERSION = "A published version; the one that is served by default."
_Version = Annotated[int | None, Query(description=_WHICH_VERSION)]


class MovieOut(BaseModel):
    """One of the data set's items; year 0 is unknown."""

    id: _Id
    title: str
    year: int
    genres: list[str]


class RecommendationOut(MovieOut):
    """An item of an answer; the rank counts from 1."""

    rank: int
    score: float


class VersionOut(BaseModel):
    """A published version; what its publication doesn't say is null."""

    version: int
    labels: list[str] = Field(description="Such as stable and canary.")
    published_at: str | None
    recall_at_10: float | None


class ModelOut(BaseModel):
    """The model that is served, and what can be asked of it."""

    name: str
    version: int
    versions: list[VersionOut]
    num_movies: int = Field(description="Items in the catalogue.")
    genres: list[str]
    first_year: int | None
    last_year: int | None
    words: dict[str, str] = Field(description="What items are called: one, many, and what was done with them.")


class FiltersIn(BaseModel):
    """What every item of an answer must be."""

    model_config = ConfigDict(extra="forbid")

    allow: _Ids | None = Field(default=None, description="The only ids to choose from, one at least.")
    deny: _Ids = Field(default=[], description="Ids not to offer.")
    genres: _Names = Field(default=[], description="An item needs one of them at least.")
    without_genres: _Names = Field(default=[], description="An item must have none of them.")
    first_year: _Year = Field(default=0, description="0 for no bound.")
    last_year: _Year = Field(default=0, description="0 for no bound.")

    def filters(self) -> Filters:
        """Return the filters as the model is asked about them."""
        return Filters(
            allow=None if self.allow is None else tuple(self.allow),
            deny=tuple(self.deny),
            genres=tuple(self.genres),
            without_genres=tuple(self.without_genres),
            first_year=self.first_year,
            last_year=self.last_year,
        )


class RecommendIn(BaseModel):
    """A question by a history."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"history": [8, 2, 35], "k": 5, "filters": {"first_year": 1980}}},
    )

    history: _Ids = Field(description="Ids, oldest first. What the model doesn't know is passed over.")
    k: Annotated[StrictInt, Field(ge=1, le=MAX_K)] = Field(default=10, description="Items in the answer.")
    include_seen: StrictBool = Field(default=False, description="Offer the history's own items too.")
    filters: FiltersIn = FiltersIn()
    version: StrictInt | None = Field(
        default=None, description="A published version; the one that is served by default."
    )
    user: StrictInt | Annotated[StrictStr, Field(max_length=_LONGEST_TEXT)] | None = Field(
        default=None, description="Who asks: for the request log alone, if one is kept."
    )


class FeedbackIn(BaseModel):
    """What was taken of an answer."""

    model_config = ConfigDict(extra="forbid")

    request_id: Annotated[StrictStr, Field(pattern=REQUEST_ID)] = Field(
        description=f"The answer's header {REQUEST_ID_HEADER}; behind it `/` and the row's number from 0 for a row of "
        "a :predict request with several."
    )
    taken: Annotated[_Ids, Field(min_length=1)] = Field(description="Ids, whether or not the answer held them.")


class FeedbackOut(BaseModel):
    """That feedback is kept."""

    request_id: str


class AnswerOut(BaseModel):
    """An answer, and which version gave it."""

    version: int
    unknown: list[_Id] = Field(description="Ids of the history that the model doesn't know.")
    popular: bool = Field(description="Whether the history holds nothing known, so that this is what is popular.")
    movies: list[RecommendationOut]


class ErrorOut(BaseModel):
    """What is wrong with a request."""

    error: str


def make_api(models: LiveModels, log: RequestLog | None = None) -> APIRouter:
    """Return the routes below `/api`; that of feedback where a request log is kept."""
    api = APIRouter(
        prefix="/api",
        tags=["recommendations with titles"],
        responses={400: {"model": ErrorOut}, 404: {"model": ErrorOut}},
    )

    @api.get("/model", summary="The model that is served, and its versions")
    def describe() -> ModelOut:
        return _describe(models)

    @api.get("/movies", summary="Titles that begin so, or are like it; or those of ids")
    def search(
        query: Annotated[str, Query(max_length=_LONGEST_TEXT)] = "",
        id: Annotated[list[str], Query(max_length=MAX_HISTORY, description="In place of a query.")] = [],  # noqa: B006
        limit: Annotated[int, Query(ge=1, le=50, description="The most titles for a query.")] = 8,
    ) -> list[MovieOut]:
        recommender = models.current.recommender
        if id:
            found = (recommender.catalogue.parse_id(text) for text in id)
            return [_movie(recommender.catalogue.movie(movie_id)) for movie_id in found if movie_id is not None]
        return [_movie(movie) for movie in recommender.titles.complete(query, limit)]

    @api.get("/similar", summary="Items like one")
    def similar(
        id: Annotated[str, Query(max_length=_LONGEST_TEXT)],
        k: _K = 10,
        version: _Version = None,
    ) -> AnswerOut:
        model = find_version(models, version)
        movie_id = model.recommender.catalogue.parse_id(id)
        if movie_id is None or not model.recommender.known([movie_id])[0]:
            raise HTTPException(404, f"the model knows no {model.words.one} {id}")
        return AnswerOut(
            version=model.version, unknown=[], popular=False, movies=_movies(model.recommender.similar(movie_id, k))
        )

    @api.post("/recommend", summary="What comes after a history")
    def recommend(question: RecommendIn, response: Response) -> AnswerOut:
        model = find_version(models, question.version)
        history: list[MovieId] = list(question.history)
        _check_ids(model, history)
        known = model.recommender.known(history)
        try:
            movies = model.recommender.recommend(
                history, question.k, include_seen=question.include_seen, filters=question.filters.filters()
            )
        except InputError as error:
            raise HTTPException(400, error.message) from error
        if log is not None and (request_id := log.new_request_id()) is not None:
            response.headers[REQUEST_ID_HEADER] = request_id
            row = (history, [movie.movie_id for movie in movies])
            size = _BYTES_OF_AN_ID * (len(history) + len(movies) + 1)
            log.add_answers(request_id, model.version, lambda: [row], size, question.user)
        return AnswerOut(
            version=model.version,
            unknown=[movie_id for movie_id, is_known in zip(history, known, strict=True) if not is_known],
            popular=not any(known),
            movies=_movies(movies),
        )

    if log is not None:
        _add_feedback(api, models, log)
    return api


def _add_feedback(api: APIRouter, models: LiveModels, log: RequestLog) -> None:
    @api.post("/feedback", status_code=202, responses={503: {"model": ErrorOut}}, summary="What was taken of an answer")
    def feedback(given: FeedbackIn) -> FeedbackOut:
        _check_ids(models.current, list(given.taken), "what was taken")
        if not log.add_feedback(given.request_id, given.taken):
            raise HTTPException(503, "the request log has no room now: try again later")
        return FeedbackOut(request_id=given.request_id)


def find_version(models: LiveModels, version: int | None) -> LiveModel:
    """Return a version, None for the one that is served.

    Raises
    ------
    HTTPException
        It is not published (404), or can't be loaded (400).
    """
    if version is None:
        return models.current
    try:
        model = models.get(version)
    except InputError as error:
        raise HTTPException(400, error.message) from error
    if model is None:
        raise HTTPException(404, f"{models.name} has no version {version}")
    return model


def _check_ids(model: LiveModel, movie_ids: list[MovieId], place: str = "the history") -> None:
    for movie_id in movie_ids:
        if not model.recommender.catalogue.may_be_id(movie_id):
            raise HTTPException(400, f"{movie_id!r} in {place} is no id of this data set's")


def _describe(models: LiveModels) -> ModelOut:
    model = models.current
    catalogue = model.recommender.catalogue
    years = catalogue.years[catalogue.years > 0]
    labels = models.labels()
    return ModelOut(
        name=models.name,
        version=model.version,
        versions=[_version(models, version, labels) for version in models.versions()],
        num_movies=len(catalogue),
        genres=list(catalogue.genre_names()),
        first_year=int(years.min()) if len(years) else None,
        last_year=int(years.max()) if len(years) else None,
        words=model.words.model_dump(),
    )


def _version(models: LiveModels, version: int, labels: Mapping[str, int]) -> VersionOut:
    publication = models.publication(version)
    metrics = publication.get("metrics")
    recall = metrics.get(_LISTED_METRIC) if isinstance(metrics, dict) else None
    published_at: Any = publication.get("published_at")
    return VersionOut(
        version=version,
        labels=[label for label, of_version in labels.items() if of_version == version],
        published_at=published_at if isinstance(published_at, str) else None,
        recall_at_10=recall if isinstance(recall, float) else None,
    )


def _movie(movie: Movie) -> MovieOut:
    return MovieOut(id=movie.id, title=movie.title, year=movie.year, genres=list(movie.genres))


def _movies(answer: list[Recommendation]) -> list[RecommendationOut]:
    return [
        RecommendationOut(
            id=movie.movie_id,
            title=movie.title,
            year=movie.year,
            genres=list(movie.genres),
            rank=movie.rank,
            score=movie.score,
        )
        for movie in answer
    ]
