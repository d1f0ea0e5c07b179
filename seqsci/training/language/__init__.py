"""What pretraining, fine-tuning and the use of a language model have in common."""
