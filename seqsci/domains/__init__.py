"""One science each: files in, sequences out."""
