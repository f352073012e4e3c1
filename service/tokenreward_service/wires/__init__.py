"""The field's own ways of asking a teacher for log-probs, as further front doors to the queue. They are read-only: a
request scores given token ids, and nothing is generated.

`completions` and `token_generate` speak vLLM's wires, `sglang_generate` speaks SGLang's. `sequence_scoring` turns what
they ask into a job and its results into rows; `wire_errors` gives every refusal the shape that the wire's clients read.
"""
