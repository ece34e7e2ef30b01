"""Models: the shared encoder with swappable mixers, attentive pooling, and the emotion head."""
