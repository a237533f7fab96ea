"""Every graph that we build is the same from the recorder as from MXNet, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from kinds import KINDS

from neuralart.chain import graph as chains
from neuralart.chain.specs import norm_names
from neuralart.engine.door import mx
from neuralart.engine.recorder import Recorder
from neuralart.exporting import graph as exported
from neuralart.loss import graph as losses
from neuralart.loss import terms, vgg
from neuralart.loss.layers import VggSpec
from neuralart.loss.objective import LossWeights
from neuralart.painting.folded import graph as folded
from neuralart.painting.folded.folding import can_fold

FILES = (chains, exported, losses, terms, vgg, folded)

ALL_TERMS = LossWeights(
    content=1.0, layout=2.0, palette=5.0, tv=3.0, checkerboard=4.0, two_scales=True
)
VGGS = {
    "heads": VggSpec((4, 6, 8, 10, 12), "zero", "avg", heads=(3, 0, 5, 6, 7)),
    "reflects": VggSpec((4, 6, 8, 10, 12), "reflect", "max"),
}


def chain_graphs() -> dict[str, Callable[[], Any]]:
    graphs: dict[str, Callable[[], Any]] = {}
    for name, spec in KINDS.items():
        for photos in (1, 2):
            graphs[f"training {name} {photos}"] = lambda spec=spec, n=photos: chains.training_graph(
                spec, "g0_", 3, n
            )
        pair = [spec, spec]
        graphs[f"painting {name}"] = lambda p=pair: chains.painting_graph(p)
        graphs[f"one pass {name}"] = lambda p=pair: chains.single_pass_graph(p)
        if norm_names(pair):
            graphs[f"measuring {name}"] = lambda p=pair: chains.measuring_graph(p)
        for styles, every in ((1, False), (3, True)):
            graphs[f"exported {name} {styles}"] = lambda p=pair, s=styles, e=every: (
                exported.exported_symbol(p, styles=s, every_stage=e)
            )
        if can_fold([spec]):
            for dtype in ("float32", "bfloat16"):
                graphs[f"folded {name} {dtype}"] = lambda spec=spec, d=dtype: folded.folded_chain(
                    [spec, spec], ["g0_", "g1_"], [0.5, 0.0], d
                )
    return graphs


def loss_graphs() -> dict[str, Callable[[], Any]]:
    graphs: dict[str, Callable[[], Any]] = {}
    for name, spec in VGGS.items():
        graphs[f"grams {name}"] = lambda s=spec: losses.gram_graph(s)
        graphs[f"content {name}"] = lambda s=spec: losses.content_graph(s, "relu4_2")
        for photos in (1, 2):
            graphs[f"all terms {name} {photos}"] = lambda s=spec, n=photos: losses.loss_graph(
                s, ALL_TERMS, "conv4_2", 3, n
            )
        graphs[f"few terms {name}"] = lambda s=spec: losses.loss_graph(s, LossWeights(), "relu4_2")
    return graphs


GRAPHS = chain_graphs() | loss_graphs()


def rows(symbol: Any) -> dict[str, Any]:
    graph = json.loads(symbol.tojson(remove_amp_cast=False))
    for node in graph["nodes"]:
        node.setdefault("attrs", {})
    return {key: graph[key] for key in ("nodes", "arg_nodes", "heads")}


@pytest.mark.parametrize("name", GRAPHS)
def test_graph_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with mx.name.NameManager():
        theirs = GRAPHS[name]()
    recorder = Recorder()
    monkeypatch.setattr("neuralart.engine.recorder.recorder", recorder)
    for file in FILES:
        monkeypatch.setattr(file, "sym", recorder)
    ours = GRAPHS[name]()
    assert rows(ours) == rows(theirs)
    assert ours.list_arguments() == theirs.list_arguments()
    assert ours.list_auxiliary_states() == theirs.list_auxiliary_states()
    assert ours.list_outputs() == theirs.list_outputs()
    assert len(ours) == len(theirs)


def test_operator_that_is_not_recorded() -> None:
    with pytest.raises(AttributeError, match="no operator erfinv"):
        _ = Recorder().erfinv
