"""Runs that a cluster starts by itself, again and again: the API's recurring runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kfp_server_api import (
    RecurringRunServiceApi,
    V2beta1CronSchedule,
    V2beta1PeriodicSchedule,
    V2beta1RecurringRun,
    V2beta1Trigger,
)

from data.errors import InputError
from pipeline.kubeflow.client import RunRequest, connect, describe_request, objects_in, text_in, what_to_run
from pipeline.kubeflow.connection import Connection

_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Seconds by unit, the longest last."""

_EVERY = re.compile(rf"([1-9][0-9]{{0,5}})([{''.join(_UNITS)}])")
_CRON_FIELD = re.compile(r"[0-9A-Za-z*/,?-]+")
_SHORTHANDS = frozenset(("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"))
_FIELDS_OF_CRON = 5
_PAGE_SIZE = 100


@dataclass(frozen=True)
class Schedule:
    """A recurring run.

    Attributes
    ----------
    schedule_id, name
        As the API has them.
    state
        `ENABLED` or `DISABLED`.
    trigger
        When runs start: `every 6h` or a cron expression, its seconds first.
    """

    schedule_id: str
    name: str
    state: str
    trigger: str


def parse_every(text: str) -> int:
    """Return the seconds between two runs.

    Raises
    ------
    InputError
        The text is not a number with a unit.

    Examples
    --------
    >>> parse_every("6h")
    21600
    """
    match = _EVERY.fullmatch(text)
    if match is None:
        raise InputError(f"--every {text!r} is not a number of m, h, d or w, such as 30m, 6h, 1d or 1w", code="K06")
    return int(match[1]) * _UNITS[match[2]]


def parse_cron(text: str) -> str:
    """Return a cron expression as the backend reads it: with seconds first.

    The five fields of cron are minute, hour, day of the month, month and day of the week. The backend reads a field of
    seconds before them, and would take the minute for it (kubeflow/pipelines #2318, #5014).

    Raises
    ------
    InputError
        The expression has neither five nor six fields.

    Examples
    --------
    >>> parse_cron("30 4 * * MON")
    '0 30 4 * * MON'
    """
    fields = text.split()
    if fields and fields[0] in _SHORTHANDS and len(fields) == 1:
        return fields[0]
    if len(fields) not in (_FIELDS_OF_CRON, _FIELDS_OF_CRON + 1) or not all(map(_CRON_FIELD.fullmatch, fields)):
        raise InputError(
            f"--cron {text!r} is not a cron expression: minute, hour, day of the month, month and day of the week, "
            "such as '30 4 * * *'; a field of seconds may stand before them",
            code="K07",
        )
    return " ".join(fields if len(fields) > _FIELDS_OF_CRON else ["0", *fields])


def create_schedule(
    request: RunRequest, connection: Connection, *, cron: str | None = None, interval_seconds: int | None = None
) -> str:
    """Have the cluster start runs by itself, one at a time, and return the schedule's id.

    A run that is due while the one before goes on is left out; what was missed is not caught up with.

    Parameters
    ----------
    request
        What each run is. Its root is always sent: the backend ignores the one that was compiled in.
    connection
        The cluster.
    cron
        When runs start, as `parse_cron` returns it, in the time zone of the backend, which is UTC unless configured.
    interval_seconds
        In place of `cron`: the time between two starts.

    Raises
    ------
    InputError
        The request can't be right, or the host can't be reached, refuses it, or is not the API.
    """
    if cron is not None:
        trigger = V2beta1Trigger(cron_schedule=V2beta1CronSchedule(cron=cron))
    else:
        trigger = V2beta1Trigger(periodic_schedule=V2beta1PeriodicSchedule(interval_second=str(interval_seconds)))
    described = describe_request(request)
    api = connect(connection)
    body = V2beta1RecurringRun(
        **what_to_run(api, described, connection.namespace),
        trigger=trigger,
        mode="ENABLE",
        max_concurrency="1",
        no_catchup=True,
    )
    reply = api.ask(RecurringRunServiceApi, "create_recurring_run", body)
    return api.require_id(reply, "recurring_run_id", "a schedule")


def list_schedules(connection: Connection) -> list[Schedule]:
    """Return the schedules, the newest first.

    Raises
    ------
    InputError
        The host can't be reached, refuses the request, or is not the API.
    """
    api = connect(connection)
    options: dict[str, Any] = {"page_size": _PAGE_SIZE, "sort_by": "created_at desc"}
    if connection.namespace is not None:
        options["namespace"] = connection.namespace
    schedules: list[Schedule] = []
    while True:
        reply = api.ask(RecurringRunServiceApi, "list_recurring_runs", **options)
        schedules += [
            Schedule(
                schedule_id=api.require_id(one, "recurring_run_id", "a schedule"),
                name=text_in(one, "display_name"),
                state=text_in(one, "status"),
                trigger=_describe_trigger(one.get("trigger")),
            )
            for one in objects_in(reply, "recurringRuns")
        ]
        token = text_in(reply, "next_page_token")
        if not token or token == options.get("page_token"):
            return schedules
        options["page_token"] = token


def change_schedule(schedule_id: str, change: Literal["pause", "resume", "delete"], connection: Connection) -> None:
    """Pause, resume or delete a schedule; runs that it started go on.

    Raises
    ------
    InputError
        There is no such schedule, or the host can't be reached, refuses the request, or is not the API.
    """
    api = connect(connection)
    # The API's answer to a change is empty; asked for first, a wrong id, and another thing than the API, is noticed.
    reply = api.ask(RecurringRunServiceApi, "get_recurring_run", schedule_id)
    if api.require_id(reply, "recurring_run_id", "a schedule") != schedule_id:
        raise InputError(f"{api.host} answers with another schedule than {schedule_id}", code="K08")
    verb = {"pause": "disable", "resume": "enable", "delete": "delete"}[change]
    api.ask(RecurringRunServiceApi, f"{verb}_recurring_run", schedule_id)


def _describe_trigger(trigger: object) -> str:
    if not isinstance(trigger, Mapping):
        return ""
    cron, periodic = trigger.get("cron_schedule"), trigger.get("periodic_schedule")
    if isinstance(cron, Mapping):
        return text_in(cron, "cron")
    seconds = str(periodic.get("interval_second", "")) if isinstance(periodic, Mapping) else ""
    if not seconds.isdecimal() or int(seconds) == 0:
        return ""
    unit = max(
        (unit for unit, size in _UNITS.items() if int(seconds) % size == 0), key=_UNITS.__getitem__, default=None
    )
    return f"every {int(seconds) // _UNITS[unit]}{unit}" if unit else f"every {seconds} s"
