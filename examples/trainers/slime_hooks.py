"""slime's (and miles') two hooks, called as slime calls them, on one sample, with a teacher that reads a solution.

tokenreward serve &
python examples/trainers/slime_hooks.py --ids 504,3575,282 --response 2575,28
"""

import argparse
import asyncio
import os
from types import SimpleNamespace

from tokenreward.integrations.slime import post_process_rewards, reward_func

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--ids", default="504,3575,282", help="the prompt's token ids")
parser.add_argument("--response", default="2575,28", help="the response's token ids")
arguments = parser.parse_args()
prompt, response = ([int(token) for token in text.split(",")] for text in (arguments.ids, arguments.response))

url = os.environ.get("TOKENREWARD_URL", "http://127.0.0.1:8383")
args = SimpleNamespace(
    rm_url=f"{url}/generate", tokenreward_template="reference", tokenreward_branch="privileged", reward_key=None
)


class Sample(SimpleNamespace):
    """What the hooks read of `slime.utils.types.Sample`."""

    def get_reward_value(self, args: SimpleNamespace) -> object:
        return self.reward


sample = Sample(
    tokens=[*prompt, *response],
    response_length=len(response),
    prompt=[{"role": "user", "content": "What is 2 + 2?"}],
    metadata={"context": {"reference": "2 + 2 = 4."}, "outcome": 1.0},
)
sample.reward = asyncio.run(reward_func(args, sample))
print("rewards of responses:", post_process_rewards(args, [sample])[1])
print("the teacher's log-probs:", sample.teacher_log_probs)
