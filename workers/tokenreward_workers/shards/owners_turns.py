"""Which owner's shard the engine takes from next, so that nobody waits for the end of another owner's shard."""

from __future__ import annotations

from collections.abc import Sequence

from tokenreward_workers.shards.claimed_shard import ClaimedShard


class OwnersTurns:
    """Owners that have work at the same time get tokens in equal parts, as in `lua/_turns.lua` between shards.

    An owner who comes anew begins where the one who has had least stands: what others had before gives no claim.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, int] = {}

    def first(self, waiting: Sequence[ClaimedShard]) -> ClaimedShard | None:
        """The shard to take from, of those that wait in the order in which they were claimed; None if none waits."""
        by_owner: dict[str, ClaimedShard] = {}
        for shard in waiting:
            by_owner.setdefault(shard.claim.owner, shard)
        known = [tokens for owner, tokens in self._tokens.items() if owner in by_owner]
        least = min(known, default=0)
        self._tokens = {owner: self._tokens.get(owner, least) for owner in by_owner}
        if not by_owner:
            return None
        return by_owner[min(by_owner, key=self._tokens.__getitem__)]

    def taken(self, owner: str, tokens: int) -> None:
        """Note what the engine took of an owner's work."""
        if owner in self._tokens:
            self._tokens[owner] += tokens
