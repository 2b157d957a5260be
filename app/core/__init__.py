"""The floor that both paths stand on; it imports nothing above itself.

Read in this order: errors, config, text, sentences, types, telemetry, tokens, embed, snapshot, db.
"""
