"""All that is to be measured on a GPU, in slices of some minutes (`serbench run gpu`).

parts.py     the kinds of work: kernels compared, shapes timed, training steps timed, systems trained
slices.py    which of it there is, and in what order
run.py       one slice after the other while there is time, and what is left

A GPU that is lent may go away at any time. So every cell leaves a whole record as soon as it is there,
nothing that has one is measured again, and the same command goes on with what is missing.
"""
