"""Settings: read once by an entry point, then passed down. No other module reads the environment."""

import difflib
import os
import re
import tomllib
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from app.core.errors import Misconfigured

PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT: Path | None = PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").exists() else None
"""The checkout that the running ``app`` lies in; None when it was installed from a wheel."""

PREFIX = "CITEWELL_"
_LISTS = frozenset({"cors_origins", "ingest.languages", "ingest.fetch_ports", "ingest.fetch_networks"})
"""Settings that hold several values: parted by commas or spaces in a variable."""

Seconds = Annotated[float, Field(gt=0, le=3600)]
Count = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """A group of settings. An unknown key fails at start, so that a typo can't pass unseen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IngestSettings(Section):
    """How documents become chunks."""

    chunk_pieces: Annotated[int, Field(ge=32, le=256)] = 200
    """Word pieces of a chunk with its title prefix. 200 found the right page best on long pages and keeps
    clear of MiniLM's 256, behind which text is silently lost (docs/decisions/0003-chunks.md)."""
    max_document_bytes: Count = 50_000_000
    batch: Count = 16
    """Texts per encoder batch; sorted by length, so padding stays small."""
    parse_seconds: Seconds = 60.0
    """Reading one document may take: four times what the slowest honest sample took."""
    parse_memory_bytes: Annotated[int, Field(ge=512 << 20)] = 3 << 30
    """Address space of the process that reads documents; it takes 0.2 GiB before the first one."""
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes of the languages that documents may be in; any when empty."""
    metadata_schema: Path | None = None
    """A JSON Schema that every document's metadata must fit."""
    fetch_seconds: Seconds = 60.0
    """For one page, redirects included."""
    fetch_ports: tuple[Annotated[int, Field(gt=0, lt=65536)], ...] = (80, 443)
    fetch_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Private networks whose pages may be read; by default only public addresses are connected to."""
    fetch_pages: Count = 10_000
    """Of one sitemap and those it names."""
    fetch_sitemaps: Count = 200
    """That one sitemap may name."""
    ray_address: Annotated[str, Field(pattern=r"^[^/\s]+:\d+$")] | None = None
    """The Ray cluster of ``--engine ray``, as ``HOST:PORT``; the one that runs on this machine when not given."""
    ray_stall_seconds: Seconds = 600.0
    """An ingest on Ray is given up when nothing came from the cluster for so long; longer than eight documents may take to parse."""


class RetainSettings(Section):
    """What is kept of a collection beside its published snapshot, for rolling back and for readers that are slow to follow."""

    snapshots: Annotated[int, Field(ge=1, le=1000)] = 5
    """Snapshots that were published last."""
    hours: Annotated[float, Field(ge=0)] = 24.0
    """Any snapshot is kept this long after it was published last; a server must have followed by then."""


class RetrieveSettings(Section):
    """How many chunks are found."""

    candidates: Annotated[int, Field(gt=0, le=1000)] = 20
    """Chunks taken from the index before packing."""
    reranker: Path | None = None
    """The folder of a cross-encoder that orders them anew; none when not given."""


class MilvusSettings(Section):
    """Where vectors are searched for instead of in the segments' files, for collections past one machine's memory."""

    uri: str | None = None
    """A server, or a file of milvus-lite ending in .db; off when not given."""
    token: SecretStr | None = None
    """``user:password``, or an API key."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]{0,31}$")] = "citewell"
    """What the names in Milvus begin with: another for each ``indexes_dir`` that shares a server."""
    seconds: Seconds = 5.0
    """A search may take."""


class PackSettings(Section):
    """What of it the model reads. The token budget belongs to the prompt (its front matter)."""

    passages: Annotated[int, Field(gt=0, le=50)] = 5
    """Gold evidence is in the top 5 chunks for .98 and more of the questions it was measured on (docs/benchmarks.md)."""
    neighbours: Annotated[int, Field(ge=0, le=5)] = 0
    """Chunks of the same section that are added on each side of a passage while tokens are left (docs/decisions/0013-retrieval.md)."""


class CallSettings(Section):
    """One call of the model: its parameters (part of the release) and how long we wait (not part of it)."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    max_tokens: Annotated[int, Field(gt=0, le=100_000)] = 700
    seed: int | None = 1
    first_token_s: Seconds = 30.0
    between_tokens_s: Seconds = 20.0
    total_s: Seconds = 120.0
    max_answer_chars: Count = 40_000
    """A provider that never stops is cut here; an answer of that size is no answer."""


class LimitSettings(Section):
    """What one request may ask for, and how many run at once (per worker)."""

    question_chars: Count = 4_000
    question_tokens: Count = 2_000
    history_messages: Count = 50
    body_bytes: Count = 1_048_576
    concurrency: Count = 64
    retry_after_s: Count = 2


class Settings(BaseModel):
    """Everything an operator can change: ``CITEWELL_CALL__TOTAL_S=60``, or ``[call]`` in ``citewell.toml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = "extractive"
    """``extractive``, ``smollm2``, ``gguf:PATH``, or a LiteLLM model such as ``openai/gpt-5-mini``."""
    model_base_url: str | None = None
    model_api_key: SecretStr | None = None
    embedder: str = "minilm"
    """``minilm`` (inside a package), or the folder of a sentence-transformers model."""
    home: Path
    database_url: str
    indexes_dir: Path
    indexes_url: str | None = None
    """Object storage that snapshots are pushed to and read from; ``indexes_dir`` is then a working copy of it."""
    prompts_dir: Path
    prices: Path
    """The shipped price book; ``prices set`` writes an overlay into ``home``."""
    cors_origins: tuple[str, ...] = ()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    ingest: IngestSettings = IngestSettings()
    retain: RetainSettings = RetainSettings()
    retrieve: RetrieveSettings = RetrieveSettings()
    milvus: MilvusSettings = MilvusSettings()
    pack: PackSettings = PackSettings()
    call: CallSettings = CallSettings()
    limits: LimitSettings = LimitSettings()

    @property
    def cache_dir(self) -> Path:
        """Rebuildable files: the exported ONNX model; safe to delete."""
        return self.home / "cache"


class Effective(BaseModel):
    """The settings in force, and where each came from: ``environment``, the file's name, or ``default``."""

    model_config = ConfigDict(frozen=True)

    settings: Settings
    origins: dict[str, str]

    def rows(self) -> list[tuple[str, str, str]]:
        """Return (name, value, origin) for each setting, secrets masked, in the order they are declared."""
        flat = _flatten(self.settings.model_dump(mode="json"))
        return [(name, mask(name, value), self.origins.get(name, "default")) for name, value in flat.items()]


def load_settings(environ: dict[str, str] | None = None) -> Settings:
    """Return the settings in force. Environment wins over file over default.

    Raises:
        Misconfigured: An unknown key, with the nearest known name, or a value out of range.
    """
    return load_effective(environ).settings


def load_effective(environ: dict[str, str] | None = None) -> Effective:
    """Return the settings in force and where each came from.

    Raises:
        Misconfigured: See ``load_settings``.
    """
    env = dict(os.environ) if environ is None else environ
    given: dict[str, Any] = {}
    origins: dict[str, str] = {}
    path, from_file = _read_file(env)
    for name, value in _flatten(from_file, stop=_known()).items():
        _check(name, f"in {path}")
        _put(given, name, value)
        origins[name] = str(path)
    for variable, text in env.items():
        if variable.startswith(PREFIX) and variable != PREFIX + "CONFIG":
            name = variable.removeprefix(PREFIX).lower().replace("__", ".")
            _check(name, f"in the environment ({variable})")
            _put(given, name, _from_environment(name, text))
            origins[name] = "environment"
    try:
        return Effective(settings=Settings.model_validate(_with_places(given, env)), origins=origins)
    except ValidationError as error:
        lines = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors(include_input=False)]
        raise Misconfigured("A setting is wrong: " + "; ".join(lines) + ". `citewell doctor` shows all settings.") from None


def mask(name: str, value: object) -> str:
    """Return a value fit for a log or a screen: no key, no password in a URL."""
    if value is None:
        return "-"
    if name.endswith(("api_key", ".token")):
        return "********"
    if isinstance(value, str) and "://" in value:
        parts = urlsplit(value)
        if parts.password:
            return urlunsplit(parts._replace(netloc=f"{parts.username}:********@{parts.netloc.rpartition('@')[2]}"))
    return str(value)


def _read_file(env: dict[str, str]) -> tuple[Path, dict[str, Any]]:
    named = env.get(PREFIX + "CONFIG")
    path = Path(named) if named else Path("citewell.toml")
    if not path.exists():
        if named:
            raise Misconfigured(f"CITEWELL_CONFIG names {named}, and there is no such file.")
        return path, {}
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise Misconfigured(f"{path} can't be read as TOML: {error}.") from None


def _known() -> set[str]:
    names: set[str] = set()
    for name, info in Settings.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            names |= {f"{name}.{inner}" for inner in kind.model_fields}
        else:
            names.add(name)
    return names


def _check(name: str, where: str) -> None:
    known = _known()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else " `citewell doctor` lists all settings."
        raise Misconfigured(f"There is no setting `{name}` ({where}).{hint}")


def _flatten(tree: dict[str, Any], stop: set[str] | None = None, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and not (stop and name in stop):
            flat |= _flatten(value, stop, f"{name}.")
        else:
            flat[name] = value
    return flat


def _put(tree: dict[str, Any], name: str, value: object) -> None:
    *sections, last = name.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
    tree[last] = value


def _from_environment(name: str, text: str) -> object:
    if name in _LISTS:
        return [part for part in re.split(r"[,\s]+", text) if part]
    return None if text == "" else text


def _with_places(given: dict[str, Any], env: dict[str, str]) -> dict[str, Any]:
    """Fill in the paths that depend on where we run and on each other."""
    given = {name: value for name, value in given.items() if value is not None}
    xdg = Path(env.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    home = Path(given.get("home") or (CHECKOUT / "var" if CHECKOUT else xdg / "citewell")).expanduser().absolute()
    shipped = CHECKOUT or PACKAGE / "_data"
    return {
        "database_url": f"sqlite:///{home / 'citewell.db'}",
        "indexes_dir": (CHECKOUT or home) / "indexes",
        "prompts_dir": shipped / "prompts",
        "prices": shipped / "prices.yaml",
        **given,
        "home": home,
    }
