"""Features: opens audio, computes log-mel frames, keeps them on disk; never reads a label.

audio.py        one recording to mono samples, or the reason why not
inspection.py   every recording of a corpus opened: what `serbench corpora check` prints
logmel.py       samples to log-mel frames
cache.py        the frames of a whole corpus on disk: `prepare(…) -> FeatureStore`
normaliser.py   mean and standard deviation of the training split
"""
