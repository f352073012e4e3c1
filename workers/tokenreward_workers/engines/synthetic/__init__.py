"""The synthetic engine: its arithmetic, its settings and its tokenizer."""

from tokenreward_workers.engines.synthetic.byte_tokenizer import VOCABULARY, chat_format
from tokenreward_workers.engines.synthetic.engine import NAME, SyntheticEngine
from tokenreward_workers.engines.synthetic.settings import SyntheticSettings

__all__ = ["NAME", "VOCABULARY", "SyntheticEngine", "SyntheticSettings", "chat_format"]
