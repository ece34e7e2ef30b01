"""What sweeps say beside their profiles: the A/A control and the machine's ceilings, in words and numbers.

sentences(sweep)                 # "A/A control: Softmax, 1 min, measured twice: ratio 1.004, within …"
ceilings_of(sweeps)              # {(device, threads): Ceilings}, the highest of all sweeps on it
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bench.config import DeviceKind
from bench.evidence.records import Ceilings, Control, SweepRecord
from bench.report import units

Machine = tuple[str, DeviceKind, int]  # device, its kind, threads

_RATES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1.0, ""))


def sentences(sweep: SweepRecord) -> list[str]:
    """The control and the ceilings of one sweep, one sentence each, and what could not be measured."""
    found = [control_sentence(sweep.control)] if sweep.control else []
    found += [ceilings_sentence(sweep.ceilings)] if sweep.ceilings else []
    return found + list(sweep.notes)


def control_sentence(control: Control) -> str:
    """ "A/A control: Softmax, 1 min, measured twice: ratio 1.004, within the stated error of 3 %"."""
    what = f"A/A control: {control.label.text}, {units.seconds(control.shape.seconds)}, measured twice"
    if control.ratio is None or control.error is None:
        return f"{what}: {control.status} ({control.reason})"
    verdict = "within" if control.within else "beyond"
    error = units.significant(100 * control.error)
    return f"{what}: ratio {control.ratio:.3f}, {verdict} the stated error of {error} %"


def ceilings_sentence(ceilings: Ceilings) -> str:
    """ "Ceilings: matrix product 52 Gflop/s (float32); copy 9.1 GB/s"."""
    products = ", ".join(f"{_rate(value)}flop/s ({name})" for name, value in ceilings.flops_per_s.items())
    return f"Ceilings: matrix product {products}; copy {_rate(ceilings.copy_bytes_per_s)}B/s"


def machine(sweep: SweepRecord) -> Machine:
    """Where a sweep ran."""
    profiling = sweep.setting.profiling
    return sweep.setting.device, profiling.device, profiling.threads


def ceilings_of(sweeps: Sequence[SweepRecord]) -> dict[Machine, Ceilings]:
    """The highest ceilings that any sweep saw on each machine: others' load only ever lowers them."""
    seen: dict[Machine, list[Ceilings]] = defaultdict(list)
    for sweep in sweeps:
        if sweep.ceilings:
            seen[machine(sweep)].append(sweep.ceilings)
    return {place: _highest(found) for place, found in seen.items()}


def summary(sweeps: Sequence[SweepRecord]) -> list[str]:
    """Each machine's controls and ceilings over all its sweeps, a sentence each."""
    lines = []
    ceilings = ceilings_of(sweeps)
    for place in sorted({machine(sweep) for sweep in sweeps}):
        controls = [s.control for s in sweeps if machine(s) == place and s.control and s.control.ratio]
        parts = [_controls(controls)] if controls else []
        parts += [ceilings_sentence(ceilings[place])] if place in ceilings else []
        if parts:
            threads = f", {units.counted(place[2], 'thread')}" if place[1] == "cpu" else ""
            lines.append(f"{place[0]}{threads}. {'. '.join(parts)}.")
    return lines


def note(sweeps: Sequence[SweepRecord]) -> str:
    """The machines behind a leaderboard's costs, as its last section; empty without sweeps."""
    lines = [f"- {line}" for line in summary(sweeps)]
    return (
        "\n".join(["", "## How costs were measured", "", *lines, "", "More: `costs.md`.", ""])
        if lines
        else ""
    )


def _controls(controls: Sequence[Control]) -> str:
    if len(controls) == 1:
        return control_sentence(controls[0])
    ratios = [control.ratio for control in controls if control.ratio is not None]
    within = sum(control.within for control in controls)
    span = f"ratios {min(ratios):.3f} to {max(ratios):.3f}"
    return f"A/A controls of {len(controls)} sweeps: {span}, {within} within the stated error"


def _highest(found: Sequence[Ceilings]) -> Ceilings:
    names = dict.fromkeys(name for each in found for name in each.flops_per_s)
    products = {name: max(each.flops_per_s.get(name, 0.0) for each in found) for name in names}
    return Ceilings(flops_per_s=products, copy_bytes_per_s=max(each.copy_bytes_per_s for each in found))


def _rate(value: float) -> str:
    size, prefix = next((unit for unit in _RATES if value >= unit[0]), _RATES[-1])
    return f"{units.significant(value / size)} {prefix}"
