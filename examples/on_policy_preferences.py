"""On-policy token rewards with PreferenceTrainer: the policy as it is at this step labels the pairs that come next.

    tokenreward serve --model ./my-model --dtype float32 &
    python examples/on_policy_preferences.py --model ./my-model --pairs pairs.jsonl --out runs/on-policy

The service must read the adapter's folder, as it does on the same host. Each round

1. saves the adapter as it is at this step, and puts it: the answer names its version, the hash of its content;
2. labels the next pairs with exactly that version against the base model (T-REG's "DPO reward" labels);
3. trains on them. `scored_by` makes the trainer refuse labels of any other version.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from tokenreward import Client, label_dataset
from tokenreward_trainer import DoubtfulOption, PreferenceConfig, PreferenceTrainer, load_pairs


def main(argv: list[str] | None = None) -> list[str]:
    """Train for some rounds. Returns the version that labeled each of them."""
    options = _options(argv)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    lora = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    policy = get_peft_model(AutoModelForCausalLM.from_pretrained(options.model, dtype="float32"), lora)
    # The reference is the base model in every round, which is what the trainer says in this warning.
    warnings.filterwarnings("ignore", "the adapter is not new", DoubtfulOption)
    rows = [json.loads(line) for line in options.pairs.read_text("utf-8").splitlines()]
    versions = []
    with Client(options.url) as client:
        for number in range(options.rounds):
            folder = options.out / f"round-{number}"
            policy.save_pretrained(folder / "adapter")
            put = client.adapters.put("policy", folder / "adapter")
            version = f"{put.name}@{put.version}"
            part = folder / "pairs.jsonl"
            part.write_text("".join(json.dumps(row) + "\n" for row in _round(rows, number, options.size)), "utf-8")
            labeled = label_dataset(
                part, folder / "labeled.jsonl", template="strong-weak", models={"policy": version}, client=client
            )
            pairs = load_pairs(labeled.path, tokenizer, scored_by=[version]).pairs
            train = PreferenceConfig(
                output_dir=str(folder / "trainer"),
                reg_alpha=0.25,
                learning_rate=options.learning_rate,
                per_device_train_batch_size=options.batch,
                save_strategy="no",
                report_to="none",
                use_cpu=options.cpu,
                disable_tqdm=True,
            )
            PreferenceTrainer(policy, train, pairs, processing_class=tokenizer).train()
            print(f"round {number}: {len(pairs)} pairs labeled by {version}", flush=True)
            versions.append(version)
    policy.save_pretrained(options.out / "adapter")
    return versions


def _round(rows: list[dict], number: int, size: int) -> list[dict]:
    """The pairs of a round; after the last one the file begins again."""
    return [rows[(number * size + n) % len(rows)] for n in range(size)]


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="the base model that the service serves")
    parser.add_argument("--pairs", type=Path, required=True, help="JSONL with prompt, chosen and rejected")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--url", help="the service (default: TOKENREWARD_URL, or this host)")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--size", type=int, default=16, help="pairs of a round")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--cpu", action="store_true")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
