"""What an operator asks of documents beyond what must hold for any: their languages, and the form of their metadata."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from app.core.config import IngestSettings
from app.core.errors import DocumentRefused, Misconfigured
from ingest.parse import Parsed

_LOOKED_AT = 3_000
"""Characters of a text that its language is told by."""
_LEAST_LETTERS = 100
_SURE = 0.9
"""Least probability. Of 4,541 English documents with enough letters one was told to be another's: it held lorem ipsum."""


class Rules:
    """The rules of one run. Without any, nothing is imported and every document passes."""

    def __init__(self, settings: IngestSettings) -> None:
        """Read the schema.

        Raises:
            Misconfigured: It can't be read, or is no JSON Schema; or a language is none that can be told.
        """
        self._languages = frozenset(settings.languages)
        self._schema = _read(settings.metadata_schema) if settings.metadata_schema else None
        if self._languages:
            unknown = sorted(self._languages - frozenset(self._identifier.nb_classes))
            if unknown:
                raise Misconfigured(f"`ingest.languages` names {', '.join(unknown)}; it takes ISO 639-1 codes such as en or de.")

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is loaded: another process, which gets the rules without their files, loads its own."""
        return {"_languages": self._languages, "_schema": self._schema}

    @property
    def identity(self) -> str:
        """Part of documents' fingerprints: under other rules, unchanged ones are looked at again. Empty without rules."""
        if not self._languages and self._schema is None:
            return ""
        said = json.dumps([sorted(self._languages), self._schema], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()

    def check(self, parsed: Parsed) -> None:
        """Let a document pass.

        Raises:
            DocumentRefused: ``metadata_invalid`` or ``language_unexpected``.
        """
        if self._schema is not None:
            self._check_metadata(parsed.metadata)
        if self._languages:
            self._check_language(parsed.text)

    def _check_metadata(self, metadata: dict[str, Any]) -> None:
        from referencing.exceptions import Unresolvable

        try:
            faults = sorted(self._validator.iter_errors(metadata), key=lambda fault: list(map(str, fault.absolute_path)))
        except Unresolvable as error:
            raise Misconfigured(
                f"`ingest.metadata_schema` refers to {error.ref}, and only what stands in itself is read."
            ) from None
        if faults:
            place = ".".join(map(str, faults[0].absolute_path))
            more = f" ({len(faults) - 1} more)" if len(faults) > 1 else ""
            said = f"`{place}`: {faults[0].message}" if place else faults[0].message
            raise DocumentRefused("metadata_invalid", f"The metadata does not fit the schema: {said[:300]}{more}.")

    def _check_language(self, text: str) -> None:
        some = text[:_LOOKED_AT]
        if sum(char.isalpha() for char in some) < _LEAST_LETTERS:
            return  # too little to tell
        language, probability = self._identifier.classify(some)
        if probability >= _SURE and language not in self._languages:
            wanted = ", ".join(sorted(self._languages))
            raise DocumentRefused(
                "language_unexpected", f"The text's language is `{language}`; `ingest.languages` takes {wanted}."
            )

    @cached_property
    def _validator(self) -> Any:
        from jsonschema.validators import validator_for
        from referencing import Registry

        # An empty registry: a schema that refers to another file or site is an error, and nothing is fetched.
        schema = self._schema or {}
        return validator_for(schema)(schema, registry=Registry())

    @cached_property
    def _identifier(self) -> Any:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # a second

        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _read(path: Path) -> dict[str, Any]:
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    try:
        schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(schema, dict):
            raise ValueError("it holds no object")
        validator_for(schema).check_schema(schema)
    except (OSError, ValueError) as error:
        raise Misconfigured(f"`ingest.metadata_schema` ({path}) can't be read as JSON: {error}.") from None
    except SchemaError as error:
        raise Misconfigured(f"`ingest.metadata_schema` ({path}) is no JSON Schema: {error.message}.") from None
    return schema
