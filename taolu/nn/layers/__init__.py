"""Layers: attention and what stands around it, with masks done right."""
