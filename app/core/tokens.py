"""Text -> number of tokens, offline."""

import importlib.util
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import tiktoken

TokenCounter = Callable[[str], int]

ENCODING = "o200k_base"


@lru_cache(maxsize=1)
def counter() -> TokenCounter:
    """Return a counter that never touches the network.

    tiktoken has no encodings inside and would download them; LiteLLM's wheel carries the files, so tiktoken is pointed
    there before its first use. Counts are OpenAI's and an estimate for any other model: they size prompts and stand in
    for a missing usage, marked as estimated.
    """
    spec = importlib.util.find_spec("litellm")  # finds, does not import: that would take seconds
    if spec and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0]) / "litellm_core_utils" / "tokenizers"
        os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    encoding = tiktoken.get_encoding(ENCODING)
    # `encode` refuses text that looks like a special token; to us it is text like any other.
    return lambda text: len(encoding.encode(text, disallowed_special=()))
