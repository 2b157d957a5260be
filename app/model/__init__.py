"""Messages -> text, tokens and money: one road for every model.

Read in this order: prices (what a token costs), gateway (the one module that calls LiteLLM), extractive and extract
(the answerer that needs no key), local (llama.cpp on loopback).
"""

import os

# Before LiteLLM is imported by any module of this package, or it fetches a price map from the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
