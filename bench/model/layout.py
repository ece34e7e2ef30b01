"""Layouts: which mixer stands in which layer, written as one string.

    "softmax"              softmax in every layer
    "mamba2*3 softmax"     three Mamba-2 layers, then one softmax layer: the Mamba hybrid
    "reslstm_sa"           a whole model, which holds no mixer and stands alone
    "pooled"               a speech encoder's hidden states, pooled: likewise

A pattern shorter than the encoder repeats until it fills it. A hybrid is a layout, not a mixer.
"""

from __future__ import annotations

import re
from itertools import groupby

import mixers
from bench.config import AnyEncoder, AnyFeatures, Encoder, Pooled, Pretrained, Recurrent, System
from bench.errors import SuiteError
from bench.evidence.records import Label

HYBRID = "mamba2*3 softmax"
WHOLE = {
    "reslstm_sa": Label(text="ResLSTM-SA", mixers=("reslstm_sa",), paper="arXiv 2606.03359"),
    "lstm_sa": Label(text="LSTM-SA", mixers=("lstm_sa",), paper="arXiv 2606.03359"),
    "pooled": Label(text="Pooled states", mixers=("pooled",), paper="arXiv 2512.23435"),
}
POOLED = "pooled"
_TOKEN = re.compile(r"(?P<name>[A-Za-z][\w.-]*)(?:\*(?P<count>[1-9]\d{0,2}))?")


def parse(layout: str) -> tuple[str, ...]:
    """Mixer names of one pattern, in order, or the one name of a whole model.

    SuiteError on bad syntax or an unknown mixer.
    """
    if layout.strip() in WHOLE:
        return (layout.strip(),)
    names: list[str] = []
    for token in layout.split():
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise SuiteError(f"layout {layout!r}: {token!r} is not NAME or NAME*COUNT, as in {HYBRID!r}")
        if match["name"] in WHOLE:
            raise SuiteError(f"layout {layout!r}: {match['name']} is a whole model, which stands alone")
        if match["name"] not in mixers.available():
            known = ", ".join(mixers.available())
            raise SuiteError(f"layout {layout!r}: no mixer {match['name']!r}; there is {known}")
        names += [match["name"]] * int(match["count"] or 1)
    if not names:
        raise SuiteError(f"a layout is empty; write one like 'softmax' or {HYBRID!r}")
    return tuple(names)


def canonical(layout: str) -> str:
    """The one spelling of a layout, so that equal layouts hash alike."""
    runs = [(name, len(list(run))) for name, run in groupby(parse(layout))]
    if len(runs) == 1:
        return runs[0][0]
    return " ".join(name if count == 1 else f"{name}*{count}" for name, count in runs)


def expand(layout: str, num_layers: int) -> tuple[str, ...]:
    """One mixer name a layer; SuiteError where the pattern does not fill the layers evenly."""
    pattern = parse(canonical(layout))
    if pattern[0] in WHOLE:
        raise SuiteError(f"layout {layout!r} is a whole model: it has no layers to put mixers in")
    if num_layers % len(pattern):
        raise SuiteError(
            f"layout {layout!r} has {len(pattern)} layers, which do not divide into {num_layers}"
        )
    return pattern * (num_layers // len(pattern))


def check(system: System, encoder: AnyEncoder) -> None:
    """SuiteError where a system cannot be built in this encoder.

    Whole models need the encoder that holds nothing else, recurrent or pooled. LSTMs run forward; a speech
    encoder hears the whole utterance.
    """
    name = canonical(system.layout)
    if isinstance(encoder, Pooled) != (name == POOLED):
        raise SuiteError(
            f"layout {name!r}: hidden states that are pooled meet no mixer, so that layout 'pooled' and a "
            "pooled encoder go together; train them with `serbench run mobile`"
        )
    if name == POOLED:
        if system.direction != "bidirectional":
            raise SuiteError(f"layout {name!r} has no direction; choose --directions bidirectional")
        return
    whole = ", ".join(other for other in WHOLE if other != POOLED)
    if name not in WHOLE:
        if isinstance(encoder, Recurrent):
            raise SuiteError(f"layout {name!r}: a recurrent model holds no mixer; choose from {whole}")
        return
    if not isinstance(encoder, Recurrent):
        raise SuiteError(
            f"layout {name!r} is a whole model, not a mixer; train it with `serbench run recurrent`"
        )
    if system.direction != "causal":
        raise SuiteError(f"layout {name!r}: its LSTMs run forward only; choose --directions causal")


def label(layout: str, features: AnyFeatures | None = None) -> Label:
    """How the layout is shown in tables and figures; pooled states by the name of their speech encoder."""
    if canonical(layout) in WHOLE:
        known = WHOLE[canonical(layout)]
        if canonical(layout) != POOLED or not isinstance(features, Pretrained):
            return known
        speech = features.speech.name.rpartition("/")[2]
        return known.model_copy(update={"text": f"{speech}, pooled"})
    runs = [(mixers.info(name), len(list(run))) for name, run in groupby(parse(canonical(layout)))]
    parts = [entry.label if count == 1 else f"{entry.label} ×{count}" for entry, count in runs]
    papers = dict.fromkeys(entry.paper for entry, _ in runs if entry.paper)
    return Label(
        text=" + ".join(parts),
        mixers=tuple(dict.fromkeys(entry.name for entry, _ in runs)),
        paper="; ".join(papers),
    )


def fitting(encoder: AnyEncoder) -> tuple[str, ...]:
    """The standard layouts whose patterns fill the layers of an encoder: at three, all but the hybrid."""
    if not isinstance(encoder, Encoder):
        return standard()
    return tuple(name for name in standard() if encoder.num_layers % len(parse(name)) == 0)


def named(system: System, features: AnyFeatures | None = None) -> str:
    """A system on one line for people: "KDA, causal"."""
    return f"{label(system.layout, features).text}, {system.direction}"


def standard() -> tuple[str, ...]:
    """The registered mixers and the Mamba hybrid: what a preset compares unless told otherwise.

    Twins (the same numbers from another kernel) are timed but not trained; extra mixers wait to be named.
    """
    entries = [mixers.info(name) for name in mixers.available()]
    return (*(entry.name for entry in entries if not entry.twin_of and not entry.extra), HYBRID)
