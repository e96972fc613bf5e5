"""What all networks share: losses, negatives, batches, one training loop, and the shape a trained auto-encoder takes.

Torch is imported here and in the model files that use it, nowhere else.
"""
