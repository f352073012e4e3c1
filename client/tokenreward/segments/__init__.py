"""Rewards of words, sentences, lines and steps: where a text is cut, and how a segment's tokens become one value."""

from tokenreward.segments.boundaries import KINDS, segments_of
from tokenreward.segments.pooling import pooled, segment_values, tokens_by_segment

__all__ = ["KINDS", "pooled", "segment_values", "segments_of", "tokens_by_segment"]
