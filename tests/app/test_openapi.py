"""The committed description is the promise: a change that breaks a client fails, an addition only needs `make openapi`."""

import copy
import json
from typing import Any

import pytest

from app.core.config import CHECKOUT
from app.openapi import describe

assert CHECKOUT is not None
PROMISED = json.loads((CHECKOUT / "docs/openapi.json").read_text())
METHODS = {"get", "post", "put", "patch", "delete"}


def breaks(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What a client of ``old`` would miss in ``new``, in words."""
    found: list[str] = []
    for path, item in old["paths"].items():
        for method, operation in item.items():
            if method not in METHODS:
                continue
            where = f"{method.upper()} {path}"
            now = new["paths"].get(path, {}).get(method)
            if now is None:
                found.append(f"{where} is gone")
                continue
            found += [
                f"{where}: response {status} is gone" for status in operation["responses"] if status not in now["responses"]
            ]
            had = {p["name"] for p in operation.get("parameters", [])}
            found += [
                f"{where}: parameter {p['name']} is now required"
                for p in now.get("parameters", [])
                if p.get("required") and p["name"] not in had
            ]
            found += [f"{where}: parameter {name} is gone" for name in had - {p["name"] for p in now.get("parameters", [])}]
    schemas, now_schemas = old["components"]["schemas"], new["components"]["schemas"]
    for name, schema in schemas.items():
        now = now_schemas.get(name)
        if now is None:
            found.append(f"schema {name} is gone")
            continue
        found += [
            f"{name}.{field} is now required"
            for field in set(now.get("required", [])) - set(schema.get("required", []))
            if name.endswith("Request") or name == "Turn"
        ]
        for field, kind in schema.get("properties", {}).items():
            present = now.get("properties", {}).get(field)
            if present is None:
                found.append(f"{name}.{field} is gone")
                continue
            for key in ("type", "const", "$ref", "items"):
                if kind.get(key) != present.get(key):
                    found.append(f"{name}.{field}: {key} was {kind.get(key)}, is {present.get(key)}")
            found += [
                f"{name}.{field}: value {value} is gone" for value in kind.get("enum", []) if value not in present.get("enum", [])
            ]
    return found


def test_the_api_breaks_no_promise():
    assert breaks(PROMISED, describe()) == []


def test_the_committed_description_is_todays():
    assert describe() == PROMISED, "run `make openapi` and commit docs/openapi.json"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda d: d["paths"].pop("/v1/search"), "/v1/search is gone"),
        (lambda d: d["components"]["schemas"]["CitationBody"]["properties"].pop("quote"), "CitationBody.quote is gone"),
        (lambda d: d["components"]["schemas"]["AnswerRequest"]["required"].append("user"), "user is now required"),
        (lambda d: d["components"]["schemas"]["CitationBody"]["properties"]["start"].update(type="string"), "start: type"),
        (
            lambda d: d["components"]["schemas"]["ClaimBody"]["properties"]["support"]["enum"].remove("partial"),
            "value partial is gone",
        ),
        (lambda d: d["paths"]["/v1/answers"]["post"]["responses"].pop("503"), "response 503 is gone"),
    ],
)
def test_a_breaking_change_is_seen(change: Any, word: str):
    changed = copy.deepcopy(PROMISED)
    change(changed)

    assert any(word in line for line in breaks(PROMISED, changed))
    assert breaks(changed, changed) == []


def test_every_error_is_described_as_a_problem_document():
    for path, item in PROMISED["paths"].items():
        for method, operation in item.items():
            for status, response in operation["responses"].items():
                if status.startswith(("4", "5")) and path != "/readyz":
                    assert list(response["content"]) == ["application/problem+json"], (method, path, status)
