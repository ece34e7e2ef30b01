"""Features: opens audio, computes log-mel frames or hidden states, keeps them on disk; never reads a label.

audio.py        one recording to mono samples, or the reason why not
inspection.py   every recording of a corpus opened: what `serbench corpora check` prints
logmel.py       samples to log-mel frames
cepstra.py      samples to MFCC and chroma frames
spectra.py      both in numpy, for exported files (filterbanks.py: the weights that all share)
cache.py        the frames of a whole corpus on disk: `prepare(…) -> FeatureStore`
normaliser.py   mean and standard deviation of the training split
pretrained.py   the frozen encoder behind a name: digest, width and layers (hub.py, model_files.py)
speech.py       clips to hidden states of a frozen speech encoder (backbones.py)
text.py         transcripts to hidden states of a frozen text encoder
encoders.py     both, run side by side
plan.py         hidden states of a corpus on the fly or cached: which, at what cost
hidden.py       both ways: recordings read when asked for, or states in shards (shards.py)
headers.py      how long every recording is, from headers alone
made_models.py  random models in the layout of pretrained ones: `serbench models make`
"""
