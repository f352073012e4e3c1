"""A model's files: whether they are what they say, and loading them whole or not at all.

The modules are used in this order: `hub` (which folder a name means, and what is missing of it is fetched), `folder`
(what can be found without torch: `weight_files`, `safetensors_file`, `json_files` and `quantization` are parts of it),
`loading` (by transformers, every key accounted for) and `vocabulary` (the chat template's tokens against the
embedding). Worker, sampler, trainer and scorers load everything through here. The package imports neither torch nor
transformers before something is loaded, and the SDK itself does not import the package.
"""
