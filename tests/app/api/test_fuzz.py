"""Requests made from the API's own description: none may bring a bug to light, each answer must be as described."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from app.openapi import describe
from tests.conftest import make_settings
from tests.serving import in_thread

schema = schemathesis.openapi.from_dict(describe())


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path, indexed: Path) -> Iterator[str]:
    made = make_settings(tmp_path_factory.mktemp("fuzz"), cache_dir, CITEWELL_INDEXES_DIR=str(indexed))
    with in_thread(made) as client:
        yield str(client.base_url)


@pytest.mark.slow
@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_api_does_what_it_describes(case: schemathesis.Case, base_url: str):
    response = case.call(base_url=base_url)
    # A question of blanks fits the schema and is refused all the same; 413 refuses a body before its fields are looked at.
    excluded = [positive_data_acceptance, *([negative_data_rejection] if response.status_code == 413 else [])]
    case.validate_response(response, excluded_checks=excluded)
