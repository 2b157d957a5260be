"""The API's description as a file: ``python -m app.openapi docs/openapi.json``."""

import json
import sys
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from app.core.config import load_settings
from app.main import create_app


def describe() -> dict[str, Any]:
    """Return the OpenAPI document of the whole application."""
    app: FastAPI = create_app(load_settings({}))
    return app.openapi()


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(describe(), indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
