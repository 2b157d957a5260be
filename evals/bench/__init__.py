"""Speed, measured: each figure stands beside what it stands on, and the two take turns in one run on one machine.

    python -m evals.bench ─▶ ingesting ─▶ starting ─▶ searching ─▶ answering ─▶ table ─▶ docs/benchmarks.md

To read: ``__main__`` (the run), ``corpus`` (documents and questions, made on the spot), ``figures`` (percentiles, ratios),
``children`` (processes: the server, the provider, the client), ``load`` and ``bare`` (what the last two run), then the parts.
"""
