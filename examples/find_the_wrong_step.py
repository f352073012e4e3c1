"""Find the step of a solution that the labels trust least.

    python examples/find_the_wrong_step.py

Small models judge arithmetic badly under the default template. `evidence` is a label that finds wrong numbers better.
"""

from tokenreward import Client

PROMPT = "A shirt costs $40. It is discounted by 25%, and then a tax of 10% is added. What is the final price?"
STEPS = [
    "25% of $40 is $10, so the discounted price is $30.",
    "10% of $30 is $5.",
    "The final price is $30 + $5 = $35.",
]

with Client() as client:
    item = {"prompt": PROMPT, "response": "\n".join(STEPS)}
    answer = client.label([item], estimator="evidence", pool="step", include=["segments"], strict=True)

steps = answer.results[0].segments
for step, text in zip(steps, STEPS, strict=True):
    print(f"{step.reward:+.3f}  {text}")
least = min(range(len(steps)), key=lambda number: steps[number].reward)
print(f"least trusted: step {least + 1}")
