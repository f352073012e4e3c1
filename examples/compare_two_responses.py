"""Ask which of two responses the labels prefer, and which words decide it.

python examples/compare_two_responses.py
"""

from tokenreward import Client

PROMPT = "What is the capital of Italy?"
RESPONSES = {"right": "The capital of Italy is Rome.", "wrong": "The capital of Italy is Milan."}

with Client() as client:
    items = [{"id": name, "prompt": PROMPT, "response": text} for name, text in RESPONSES.items()]
    # With a pool, all tokens of a word share one reward, and the result lists the words.
    answer = client.label(items, pool="word", include=["segments"], strict=True)

for result in answer.results:
    text = RESPONSES[result.id]
    words = [(segment.reward, text[segment.start : segment.end]) for segment in result.segments]
    worst, best = min(words), max(words)
    mean = sum(result.rewards) / len(result.rewards)
    print(
        f"{result.id}: mean {mean:+.4f}, best word {best[1]!r} {best[0]:+.3f}, worst word {worst[1]!r} {worst[0]:+.3f}"
    )
