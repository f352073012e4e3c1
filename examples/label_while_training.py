"""Label fresh responses from an async training loop, several batches at a time.

    python examples/label_while_training.py

Send the token ids that your policy sampled, where you have them: they are used as they are, so the rewards line up with
the log-probs that you already hold. Text works too, as here.
"""

import asyncio

from tokenreward import AsyncClient

BATCHES = [
    [{"prompt": f"What is {n} + {n}?", "response": f"It is {2 * n}."} for n in range(first, first + 4)]
    for first in (1, 5, 9)
]


async def main() -> None:
    async with AsyncClient() as client:
        # All batches are under way at once. The service merges small calls, so this costs no more than one large call.
        answers = await asyncio.gather(*(client.label(batch) for batch in BATCHES))
        for number, answer in enumerate(answers):
            labeled = [result for result in answer.results if result.error is None]
            means = [sum(result.rewards) / len(result.rewards) for result in labeled]
            print(f"batch {number}: {len(labeled)} labeled, mean reward {sum(means) / len(means):+.4f}")


asyncio.run(main())
