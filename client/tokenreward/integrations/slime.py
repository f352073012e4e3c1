"""slime and miles: the two hooks of on-policy distillation, with a teacher that may read more than the student.

    --custom-rm-path tokenreward.integrations.slime.reward_func
    --custom-reward-post-process-path tokenreward.integrations.slime.post_process_rewards
    --rm-url http://HOST:8383/generate   --use-opd --opd-type sglang

Without a template the teacher scores the sequence as it is, as slime's own hooks do: these work with the service, too.
With `tokenreward_template` and `tokenreward_branch` in slime's custom configuration, the teacher reads that branch's
prompt; `sample.metadata` has `messages` (or `sample.prompt` is a list of messages), and `context` for the template's
fields. Read: slime 624b824, `slime/rollout/on_policy_distillation.py` and `slime/ray/rollout.py`; miles 31f1ca9,
`miles/rollout/on_policy_distillation.py`, whose hooks are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenreward.errors import BadInput
from tokenreward.settings import client_settings


async def reward_func(args: Any, sample: Any, **_: Any) -> dict[str, Any]:
    """Ask the teacher at `args.rm_url` for the log-probs of a sample, and return SGLang's answer.

    The key comes from `TOKENREWARD_API_KEY`.

    Args:
        args: slime's arguments.
        sample: With `tokens` and `response_length`.

    Raises:
        BadInput: The service refuses the request, or a client setting is wrong; the message says why.
    """
    import httpx2

    async with httpx2.AsyncClient(timeout=httpx2.Timeout(600.0, connect=10.0)) as http:
        answer = await http.post(args.rm_url, json=payload(args, sample), headers=_headers())
    if answer.status_code != 200:
        raise BadInput(f"{args.rm_url} answers {answer.status_code}: {answer.text[:500]}")
    found: dict[str, Any] = answer.json()
    return found


def _headers() -> dict[str, str]:
    key = client_settings().api_key
    return {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}


def payload(args: Any, sample: Any) -> dict[str, Any]:
    """Return the request for one sample: slime's own, and the field `tokenreward` where a template is set."""
    start = len(sample.tokens) - sample.response_length
    body = {
        "input_ids": list(sample.tokens),
        "sampling_params": {"temperature": 0, "max_new_tokens": 0, "skip_special_tokens": False},
        "return_logprob": True,
        "logprob_start_len": start - 1,
    }
    template = getattr(args, "tokenreward_template", None)
    if template is None:
        return body
    metadata = sample.metadata if isinstance(sample.metadata, dict) else {}
    prompt = metadata.get("messages") or sample.prompt
    item = {"prompt": prompt, **{name: metadata[name] for name in ("context",) if name in metadata}}
    branch = getattr(args, "tokenreward_branch", "plain")
    asked = {"template": template, "branch": branch, "items": [{"response_start": start, "item": item}]}
    return body | {"tokenreward": asked}


def post_process_rewards(args: Any, samples: Sequence[Any], **_: Any) -> tuple[list[float], list[float]]:
    """Put the teacher's log-probs into the samples, and return the rewards of whole responses.

    Args:
        args: slime's arguments.
        samples: Each with what `reward_func` returned for it.

    Returns:
        Raw and processed rewards: `metadata["outcome"]` where a sample has one, else 0.
    """
    for sample in samples:
        entries = sample.get_reward_value(args)["meta_info"]["input_token_logprobs"]
        rows = [entry[0] for entry in entries[1:]][-sample.response_length :]
        if len(rows) != sample.response_length or None in rows:
            raise BadInput(f"the teacher scored {len(rows)} of {sample.response_length} response tokens")
        sample.teacher_log_probs = rows
    outcomes = [float((sample.metadata or {}).get("outcome", 0.0)) for sample in samples]
    return outcomes, outcomes
