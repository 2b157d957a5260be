"""``citewell serve`` with a built index: seconds until ``/readyz`` says yes, and what was imported by then."""

import subprocess
import sys

from evals.bench import children
from evals.bench.figures import Row, middle
from evals.bench.workshop import Workshop, real

HEAVY = ("torch", "transformers", "sentence_transformers", "litellm")


def measure(workshop: Workshop, *, rounds: int) -> list[Row]:
    """Start the server several times; a heavy library that answers nothing yet must not be there."""
    real(workshop)
    took: list[float] = []
    memory: list[float] = []
    for _ in range(rounds):
        with children.server(workshop.folder, workshop.environment) as server:
            took.append(server.ready_s)
            if server.memory_mb is not None:
                memory.append(server.memory_mb[0])
    rows = [Row("start until ready, s", f"{middle(took):.1f}", aim="< 6", runs=rounds)]
    if memory:
        rows.append(Row("memory when ready, MB RSS", f"{middle(memory):.0f}", runs=rounds))
    return [*rows, Row("of torch, transformers and LiteLLM imported to serve", ", ".join(imported()) or "none", aim="none")]


def imported() -> list[str]:
    """Return which heavy libraries the server's own modules bring with them, before its background import of LiteLLM."""
    code = f"import app.main, app.commands.serve, app.core.embed, onnxruntime, sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=children.environment(), capture_output=True, text=True, check=True, cwd=children.ROOT
    )
    return done.stdout.split()
