"""Path 2: question -> guard -> retrieve -> pack -> prompt -> (model -> verify, a sentence at a time) -> record.

Read in this order: answer (the whole path on one screen), guard, retrieve, pack, prompt, model, verify, record; then events
(what a caller sees), release (what decided it), live (what serves now), wiring (settings -> live objects), api, commands, main.
Both paths stand on core.
"""
