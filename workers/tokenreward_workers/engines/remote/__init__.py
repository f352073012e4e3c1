"""An engine that scores through endpoints which exist already: vLLM or SGLang servers, or another tokenreward.

The worker renders and tokenizes, and needs no GPU. `engine` takes scorings and gives rows, `endpoint_pool` chooses
among the endpoints and waits for those that are away, `endpoint_proof` proves that an endpoint has the tokenizer and
the model that it had, and each module of `wires` speaks one wire.
"""
