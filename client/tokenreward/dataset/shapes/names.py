"""The names of the columns that may hold a prompt or responses."""

from __future__ import annotations

from tokenreward.dataset.columns import FINISHED, IDS, KWARGS, MEDIA, TOOLS

#: Columns with the prompt, the first that is there. Alpaca's `instruction` may be followed by an `input`.
PROMPTS = ("prompt", "question", "instruction", "query", "input")
#: Columns that may hold the prompt, but are read as one only if a person says so.
MAY_BE_PROMPTS = ("context", "history", "post", "problem", "task", "dialogue", "user", "human", "request", "text")
#: The column whose text follows the `instruction`, unless it is empty.
INPUT = "input"
#: Columns with the text of a system message.
SYSTEMS = ("system", "system_prompt")
#: Columns with whole conversations.
CONVERSATIONS = ("messages", "conversations", "conversation")
#: Columns with the one response of a row, the first that is there.
SINGLE = ("response", "completion", *CONVERSATIONS)
#: The column with Alpaca's response, which counts only behind an `instruction`.
ALPACA = "output"
#: Columns with a list of responses.
LISTS = ("responses", "completions", "generations", "answers")
#: The keys that hold the text of one response in such a list, the first that is there.
TEXT_KEYS = ("text", "response", "completion", "answer", "content", "output", "generation", "message", "messages")
#: Columns with one score for each response of a list, which stay beside them.
SCORES = ("scores", "ratings", "rewards", "ranks", "models")

#: Every column that a layout may read or look at, so that no other is ever turned into Python objects.
KNOWN = tuple(
    dict.fromkeys(
        (
            *("chosen", "rejected", *PROMPTS, *MAY_BE_PROMPTS, *SYSTEMS, *SINGLE, ALPACA, *LISTS, *SCORES, "labels"),
            *(TOOLS, KWARGS, *MEDIA),
            *(start + name for name in (IDS, FINISHED) for start in ("", "chosen_", "rejected_")),
        )
    )
)
