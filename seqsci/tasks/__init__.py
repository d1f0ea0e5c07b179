"""A loss and a metric on top of a model."""
