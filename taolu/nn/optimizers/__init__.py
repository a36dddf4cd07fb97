"""Optimizers that wrap or extend those of Keras, and the dynamics that explain them."""
