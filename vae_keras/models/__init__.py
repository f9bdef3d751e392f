"""Keras models with a `train_step` of their own."""
