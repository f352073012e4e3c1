"""Data sets by their name on the Hugging Face hub: `owner/name`, or `owner/name:configuration`."""

from __future__ import annotations

from tokenreward.dataset.arrow_source import ArrowSource, dataset_source
from tokenreward.errors import BadInput
from tokenreward.extras import needs


def hub_source(name: str, split: str | None) -> ArrowSource:
    """Return a source over one split of a data set on the hub, which is kept in the hub's cache.

    Args:
        name: Its name, with a configuration behind a colon if it has several.
        split: Which split. None means the only one.

    Raises:
        BadInput: The hub has no such data set, or cannot be reached.
    """
    with needs("files", f"{name} is no file; the hub"):
        import datasets
    owner, _, configuration = name.partition(":")
    try:
        found = datasets.load_dataset(owner, configuration or None)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise BadInput(f"{name}: no such file, and the hub gives no such data set ({first})") from None
    if split is None and len(found) == 1:
        (split,) = found
    if split not in found:
        raise BadInput(f"{name} has the splits {', '.join(found)}; choose one with --split")
    return dataset_source(found[split], name)
