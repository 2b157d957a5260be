"""Path 1: documents -> chunks -> vectors -> snapshot.

Read in this order: build (the whole path on one screen), load, parse, validate, chunk, delta, embed, publish, cli.
"""
