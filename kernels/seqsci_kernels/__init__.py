"""Sequence-model kernels with exact gradients; they know torch and nothing of seqsci."""
