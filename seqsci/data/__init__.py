"""What domains share: batches, windows, splits, loaders, downloads."""
