"""The zoo: one paper per file, readable from top to bottom."""
