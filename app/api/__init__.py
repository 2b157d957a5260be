"""HTTP at the edge: thin routes, wire shapes, keys, problem documents, server-sent events.

Read in this order: schemas, errors, auth, edge (limits before a route), stream, then one file per noun.
"""
