"""The fast engine: vLLM, driven request by request, on a GPU or on the CPU.

`engine` drives it, and `loading` starts it, after `checkpoint` has looked at the model's files; `plain_check` compares
a small model's log-probs with a plain pass. `requests` says which requests a scoring becomes and in which order;
`asking` how the log-probs of given tokens are asked for and read back under each of vLLM's model runners.
`adapters` keeps count of the LoRA adapters that EngineCore has. `cache_bound`, `batched_head`, `v1_rows` and
`cpu_adapters` change four things inside vLLM's own processes; `extension` brings `batched_head` and `v1_rows` there,
`executor` the other two, and `wanted_arguments` tells them what a request wants.
`executor` and `watchdog` see to it that neither side outlives the other.
"""
