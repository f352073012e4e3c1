"""OpenRLHF's reward file (`--reward.remote_url examples/trainers/openrlhf_reward.py`): the mean of the tokens' rewards.

OpenRLHF calls `reward_func` with one response at a time; run as a script, this file does the same once.
"""

from tokenreward.integrations.labeler import Labeler
from tokenreward.integrations.openrlhf import reward_function

reward_func = reward_function(Labeler())

if __name__ == "__main__":
    prompt = "<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n"
    print(reward_func([prompt + "2 + 2 = 4.<|im_end|>"], [prompt], [None]))
