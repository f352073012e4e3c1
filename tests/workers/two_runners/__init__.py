"""The same scorings through both of vLLM's model runners, each in a process of its own."""
