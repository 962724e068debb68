"""Augmentation of whole batches, on the device: the same for a sample wherever it is trained on."""
