"""Which options of a request a teacher may take: those that leave the scores of given ids as they are.

Clients send sampling options with every request, because their servers generate. Here they are looked at one by one.
An option that would change a score, or ask for more than scores, is refused rather than passed over, and so is a
field that nobody here knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokenreward.schema import MOST_CANDIDATES, PointedError
from tokenreward_service.problems import ProblemError

#: The values at which an option leaves scores as they are. A temperature of 0 chooses the token that would be
#: generated; neither vLLM nor SGLang scores given tokens with it.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "temperature": (0, 1),
    "top_p": (1,),
    "top_k": (0, -1),
    "min_p": (0,),
    "n": (1,),
    "best_of": (1,),
    "repetition_penalty": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "length_penalty": (1,),
    "min_tokens": (0,),
    "min_new_tokens": (0,),
    "stream": (False,),
    "echo": (False,),
    "use_beam_search": (False,),
    "output_mode": ("tokens",),
    **dict.fromkeys(("return_hidden_states", "return_routed_experts", "return_flat_raw_top_logprobs"), (False,)),
    **dict.fromkeys(("logit_bias", "bad_words", "allowed_token_ids"), ({}, [])),
}

#: Options that concern the token that is not generated, or how the server works.
_PASSED_OVER = frozenset(
    {"request_id", "rid", "user", "session_id", "seed", "stop", "stop_token_ids", "stop_regex", "ignore_eos"}
    | {"skip_special_tokens", "spaces_between_special_tokens", "include_stop_str_in_output", "no_stop_trim"}
    | {"add_special_tokens", "return_tokens_as_token_ids", "return_text_in_logprobs", "detokenize", "output_kind"}
    | {"priority", "cache_salt", "skip_reading_prefix_cache", "log_metrics", "no_logs", "flat_logprobs", "extra_key"}
    | {"sampling_seed", "custom_labels", "routing_key", "conversation_id"}
)


def check_options(given: Mapping[str, Any], where: str = "") -> None:
    """Refuse a request with an option that a teacher cannot take.

    Args:
        given: The options by name, without those that the wire itself reads.
        where: The field that holds them, as in `sampling_params.`; empty for the body.

    Raises:
        ProblemError: 422, which names the option.
    """
    for name, value in given.items():
        if value is None or name in _PASSED_OVER:
            continue
        if name not in _NEUTRAL:
            raise refused(
                f"{where}{name}", "this service scores given token ids and knows no such option; leave it out"
            )
        if not any(
            value == neutral and isinstance(value, bool) == isinstance(neutral, bool) for neutral in _NEUTRAL[name]
        ):
            allowed = " or ".join(str(neutral) for neutral in _NEUTRAL[name])
            raise refused(
                f"{where}{name}",
                f"it would change what is scored, or asks for more than scores: leave it out, or give {allowed}",
            )


def check_generated(count: int | None, where: str) -> None:
    """Refuse a request that asks for more than the one token that clients must ask for.

    Args:
        count: How many tokens are to be generated; None where the request leaves it to the server.
        where: The field that says so.

    Raises:
        ProblemError: 422.
    """
    if count is None or not 0 <= count <= 1:
        raise refused(where, "this service generates nothing: give 1, or 0 where the wire allows it")


def check_top(count: int, where: str) -> None:
    """Refuse more alternatives a token than the service returns.

    Args:
        count: How many are asked for.
        where: The field that says so.

    Raises:
        ProblemError: 422.
    """
    if not 0 <= count <= MOST_CANDIDATES:
        raise refused(where, f"between 0 and {MOST_CANDIDATES} of the likeliest tokens can be returned")


def check_named(ids: Sequence[int], where: str) -> None:
    """Refuse ids that are named for one place, where they are too many or none.

    Args:
        ids: Token ids.
        where: The field that names them.

    Raises:
        ProblemError: 422.
    """
    if not 1 <= len(ids) <= MOST_CANDIDATES:
        raise refused(where, f"between 1 and {MOST_CANDIDATES} ids can be named for a token")


def refused(field: str, why: str) -> ProblemError:
    """Return the problem of one field of a request."""
    pointer = "/" + field.replace(".", "/")
    return ProblemError(422, "Invalid request", errors=[PointedError(pointer=pointer, detail=why)])
