"""Writes the kustomize base: the objects of the Helm chart with its default values, for those without Helm.

python tests/deploy/kustomize.py > deploy/kustomize/base/tokenreward.yaml
"""

from __future__ import annotations

from tests.deploy.chart import render

_HEAD = "# Written by `python tests/deploy/kustomize.py` from the Helm chart beside it. Change that one.\n"
#: Labels that say that Helm keeps the objects.
_HELMS = ("app.kubernetes.io/managed-by:", "helm.sh/", "annotations: { helm.sh/", "# Source:")


def base() -> str:
    """The content of the base's one resource file."""
    lines = render("tokenreward").splitlines()
    return _HEAD + "\n".join(line for line in lines if not line.strip().startswith(_HELMS)) + "\n"


if __name__ == "__main__":
    print(base(), end="")
