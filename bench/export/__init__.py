"""Trained recognisers as ONNX files: written from a checkpoint, run without torch, held against it.

card.py         what an exported file says of itself; kept inside it
graph.py        a torch module as an ONNX graph, or the layer that cannot be one
modules.py      what of a recogniser is exported: whole utterances, or a chunk of a stream
compress.py     the same graph with weights in half precision or int8
runtime.py      running an exported file: numpy and ONNX Runtime, no torch
exporting.py    from a checkpoint to a file: `serbench export`
material.py     the recordings that a file is calibrated or checked on
checking.py     score, size and latency of a file beside its checkpoint: `serbench export --check`
"""
