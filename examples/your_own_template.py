"""Write a template that names what you care about, see what the model is asked, and label with it.

python examples/your_own_template.py
"""

from tokenreward import Branch, Client, Template

polite = Template(
    name="polite",
    context="A customer wrote:\n{prompt}\n\nThe answer was:\n{response}\n\n",
    branches={
        "better": Branch(directive="Rewrite the answer to make it more polite."),
        "worse": Branch(directive="Rewrite the answer to make it ruder."),
    },
)
item = {"prompt": "Where is my parcel?", "response": "How should I know? Please look at the tracking page."}

with Client() as client:
    for name, branch in client.render(item, polite).branches.items():
        print(f"--- {name} ---\n{branch.messages[0].content}\n")
    result = client.label([item], template=polite, include=["tokens"], strict=True).results[0]

for token, reward in zip(result.tokens, result.rewards, strict=True):
    print(f"{reward:+.3f} {token!r}")
