"""A word -> its stem, the same for all that compare words."""

import threading
from functools import lru_cache

import snowballstemmer


class _Stemmers(threading.local):
    def __init__(self) -> None:
        self.english = snowballstemmer.stemmer("english")  # keeps the word it works on: not to be shared by threads


_stemmers = _Stemmers()


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return a lower-case English word without its ending; a word of another language mostly as it is."""
    return str(_stemmers.english.stemWord(word))
