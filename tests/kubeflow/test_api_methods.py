from __future__ import annotations

import re
from pathlib import Path

import kfp_server_api
import pytest

from pipeline.kubeflow.api_methods import api_method

PACKAGE = Path(__file__).resolve().parent.parent.parent / "pipeline" / "kubeflow"
ASKED = sorted(
    {
        found
        for path in PACKAGE.glob("*.py")
        for found in re.findall(r'\.ask\(\s*(\w+),\s*f?"([\w{}]+)"', path.read_text(encoding="utf-8"))
    }
)


class RunServiceApi:
    def create_run(self):
        return "of a client as 2.0"


class RecurringRunServiceApi:
    def recurring_run_service_create_recurring_run(self):
        return "of a client as 2.16"

    def create_recurring_run(self):
        raise AssertionError("never both")


def test_a_method_is_found_with_its_services_name_and_without():
    assert api_method(RunServiceApi(), "create_run")() == "of a client as 2.0"
    assert api_method(RecurringRunServiceApi(), "create_recurring_run")() == "of a client as 2.16"


def test_an_operation_that_there_is_not_is_an_error_that_names_it():
    with pytest.raises(AttributeError, match="delete_run"):
        api_method(RunServiceApi(), "delete_run")


def test_the_installed_client_has_every_operation_that_is_asked_for():
    assert ("HealthzServiceApi", "get_healthz") in ASKED
    assert ("RecurringRunServiceApi", "{verb}_recurring_run") in ASKED
    for service, operation in ASKED:
        for verb in ("disable", "enable", "delete"):
            assert callable(api_method(getattr(kfp_server_api, service)(), operation.replace("{verb}", verb)))
