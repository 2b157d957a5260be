"""The commands of the question path: each reads its words, calls one function, prints."""
