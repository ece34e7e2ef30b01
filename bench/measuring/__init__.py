"""Measuring: latency, memory and the machine they were taken on.

`latency` and `memory` are the meters, for any callable; `isolation` runs a task in a fresh, guarded
process; `targets` builds what is timed; `profile` is the sweep that writes the records. `ops` is the
benchmark of the recurrences alone, with `op_targets` and the baseline `loops`.
"""
