"""What an answer stands on: ``litellm.acompletion`` with the same prompts to the same provider, and no server around it.

``python -m evals.bench.bare URL PROMPTS`` measures on demand (``callers.on_demand``). PROMPTS holds
the messages of a rendered prompt a line.
"""

import sys
from pathlib import Path
from typing import Any

import orjson

from evals.bench.callers import on_demand

MODEL = "openai/bench"


def main(url: str, file: Path) -> None:
    """Measure as often as asked, on the same kind of event loop as the server's."""
    import litellm  # seconds: only the process that measures it

    litellm.suppress_debug_info = True
    prompts: list[list[dict[str, str]]] = [orjson.loads(line) for line in file.read_bytes().splitlines()]

    async def send(number: int) -> None:
        response: Any = await litellm.acompletion(
            model=MODEL,
            messages=prompts[number % len(prompts)],
            api_base=url,
            api_key="none",
            temperature=0.0,
            max_tokens=700,
            seed=1,
            timeout=120.0,
            max_retries=0,
        )
        if not response.choices[0].message.content:
            raise ValueError("an empty completion")

    on_demand(send, litellm.close_litellm_async_clients)  # type: ignore[attr-defined]  # not among its declared names


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
