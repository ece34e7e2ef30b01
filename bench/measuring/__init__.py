"""Measuring: latency, memory, energy and the machine they were taken on.

The meters, for any callable: `latency` (with the statistics of `median`, and `cuda_clocks` on a GPU),
`memory`, `energy`. `disturbance` is the watch over the machine beside them; `cgroup` and `nvml` are
where it reads. `isolation` runs a task in a fresh, guarded process; `environment` says where a number
was made. `cells` plans what a sweep measures, `targets` makes a cell runnable (what: `subjects`, `streams`,
`throughput`, `utterances`, with the sizes of `sizes`; how: `engines`), `ceilings` is what the machine can do
at most, and `profile` is the sweep that writes the records, alone in its folder by `claim`. `ops` is the
benchmark of the recurrences alone, with `op_targets` and the baseline `loops`. `kernels` says whether fla's
kernels are right on a GPU (which comparisons: `kernel_cases`; one of them: `kernel_checks`), `cohort_steps`
what a training step costs there (with `cohort_cost`), `real_time_factor` what `serbench plan` counts with:
all three train on `noise`. `bench.gpu` runs all of it, slice by slice.
"""
