"""What the name of a combination of corpora says: which train, which are added, which is tested.

    ravdess-to-emodb/cross                       # train on RAVDESS, test on EMO-DB
    ravdess+crema_d-to-emodb/cross               # train on both
    iemocap-with-crema_d/sessions                # IEMOCAP's own protocol, CREMA-D in every training split
    iemocap-with-crema_d-to-ravdess-as-four/cross
    ravdess-as-four/luna                         # one corpus with the classes of a label set

A name is SOURCE[+SOURCE…][-with-ADDED[+ADDED…]][-to-TARGET][-as-LABELSET], with nothing in it that a shell,
a file name or Markdown reads otherwise. What becomes of it: `bench.corpora.joining`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.corpora.label_maps import LABEL_SETS
from bench.errors import SuiteError

FORM = "SOURCE[+SOURCE…][-with-ADDED[+ADDED…]][-to-TARGET][-as-LABELSET]"
JOINT = re.compile(r"(\+|-with-|-to-|-as-)")
ONE_CORPUS = {"msp_podcast", "msp_made"}  # in two releases, for all that the names say


@dataclass(frozen=True)
class Combination:
    """Corpora by their part in it; `target` and `label_set` are "" where there is none."""

    name: str
    sources: tuple[str, ...]
    added: tuple[str, ...] = ()
    target: str = ""
    label_set: str = ""

    @property
    def deciding(self) -> tuple[str, ...]:
        """The corpora whose classes count: an added one takes part with those of these that it has."""
        return (*self.sources, self.target) if self.target else self.sources

    @property
    def corpora(self) -> tuple[str, ...]:
        """Every corpus of the combination."""
        return (*self.deciding, *self.added)


def parse(name: str, known: Sequence[str]) -> Combination | None:
    """The combination that `name` stands for, None for one corpus; `known` are the corpora.

    A table's own name (`table:back-to-work`) may hold what joins corpora, unless a corpus follows there.
    SuiteError where the parts stand in another order or number than they may, or where one stands twice.
    """
    first, *rest = _pieces(name, known)
    if not rest:
        return None
    if not all((first, *rest)):
        raise SuiteError(f"{name}: a name is missing; the form is {FORM}")
    found: dict[str, list[str]] = {"": [first], "-with-": [], "-to-": [], "-as-": []}
    order, role = list(found), ""
    for joint, piece in zip(rest[::2], rest[1::2], strict=True):
        if joint != "+" and order.index(joint) <= order.index(role):
            raise SuiteError(f"{name}: {joint} cannot follow {role}; the form is {FORM}")
        role = role if joint == "+" else joint
        found[role].append(piece)
    if len(found["-to-"]) > 1 or len(found["-as-"]) > 1:
        raise SuiteError(f"{name}: there may be one target and one label set; the form is {FORM}")
    target, label_set = "".join(found["-to-"]), "".join(found["-as-"])
    combination = Combination(name, tuple(found[""]), tuple(found["-with-"]), target, label_set)
    _check(combination)
    return combination


def _pieces(name: str, known: Sequence[str]) -> list[str]:
    """Corpora and joints in turn."""
    pieces = JOINT.split(name)
    joined, after = pieces[:1], {*known, *LABEL_SETS}
    for joint, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if joined[-1].startswith("table:") and piece.partition(":")[0] not in after:
            joined[-1] += joint + piece
        else:
            joined += [joint, piece]
    return joined


def _check(combination: Combination) -> None:
    name, corpora = combination.name, combination.corpora
    if combination.label_set and combination.label_set not in LABEL_SETS:
        raise SuiteError(f"{name}: no label set {combination.label_set!r}; there is {', '.join(LABEL_SETS)}")
    if len(combination.sources) > 1 and not combination.target:
        raise SuiteError(
            f"{name}: say which corpus is tested on (-to-TARGET), or join those that only train by -with-"
        )
    twice = next((corpus for corpus in corpora if corpora.count(corpus) > 1), "")
    if twice:
        raise SuiteError(f"{name}: {twice} stands in it twice; name each corpus once")
    if set(corpora) >= ONE_CORPUS:
        raise SuiteError(f"{name}: releases of MSP-Podcast are never mixed; name one of the two")
