"""Networks made by hand of more than one branch, input or output; and with those of one line, all of them."""

from collections.abc import Mapping
from dataclasses import replace

from networks import PLAIN, array, call, chain, dense, embedding, graph, layer, lstm, pool, words

from lstm_convert.canonical import Call, Feed, Input, Network


def encoder_decoder() -> Network:
    """Two inputs; the decoder starts with the encoder's last states; a head is shared by both."""
    inputs = [Input("source", (None, 3)), Input("target", (None, 2))]
    layers = [lstm("encoder", 3, 5, return_state=True), lstm("decoder", 2, 5), dense("head", 7, 5)]
    calls = [
        call("encoder", 0), call("decoder", 1, states=(Feed(2, 1), Feed(2, 2))), call("head", 3), call("head", 2),
    ]  # fmt: skip
    return graph(inputs, layers, calls, Feed(4), Feed(5), Feed(2, 2))


def siamese() -> Network:
    """Layers that are called twice, a mask that both joined inputs have, and layers of one class at several depths."""
    layers = [
        embedding("words", 11, 3, mask_zero=True), lstm("rnn", 3, 5, return_sequences=False),
        dense("deep", 5, 5), dense("flat", 5, 5), layer("join", "merge", form="concatenate", axis=-1),
        dense("head", 2, 15),
    ]  # fmt: skip
    calls = [
        call("words", 0), call("words", 1), call("rnn", 2), call("rnn", 3), call("flat", 4), call("deep", 5),
        call("deep", 7), call("join", 8, 6, 5), call("head", 9),
    ]  # fmt: skip
    return graph([Input("left", (7,), "int32"), Input("right", (5,), "int32")], layers, calls, Feed(10), Feed(6))


def masked_sum() -> Network:
    """Two layers that pass one mask on, joined again; and a mask handed by name."""
    layers = [
        embedding("words", 11, 3, mask_zero=True), dense("one", 5, 3), dense("two", 5, 3),
        layer("join", "merge", form="add"), lstm("rnn", 5, 2), lstm("told", 3, 2, return_sequences=False),
    ]  # fmt: skip
    calls = [
        call("words", 0), call("one", 2), call("two", 2), call("join", 3, 4), call("rnn", 5),
        call("told", 2, mask=Feed(1)),
    ]  # fmt: skip
    return graph([words(7), Input("mask", (7,), "bool")], layers, calls, Feed(6), Feed(7))


def joined_masks(joins: str = "all") -> Network:
    """Masks of two embeddings that a merge joins, one of masked features too, and an input without one."""
    layers = [
        embedding("left", 11, 3, mask_zero=True), embedding("right", 13, 3, mask_zero=True), dense("bare", 3, 3),
        layer("both", "merge", form="average"), layer("half", "merge", form="concatenate", axis=-1),
        layer("mask", "masking", value=-1.0), layer("sum", "merge", form="add"),
        lstm("rnn", 3, 5), lstm("top", 5, 2), lstm("told", 6, 2),
        lstm("third", 3, 2, both=True, return_sequences=False),
        layer("pool", "global_pool", rank=1, form="average", masked=True),
    ]  # fmt: skip
    calls = [
        call("left", 0), call("right", 1), call("bare", 2), call("mask", 2),
        call("both", 3, 4), call("rnn", 7), call("top", 8),
        call("half", 3, 5 if joins == "all" else 4), call("told", 10), call("sum", 3, 6),
        call("third", 12), call("pool", 12),
    ]  # fmt: skip
    inputs = [Input("a", (7,), "int32"), Input("b", (7,), "int32"), Input("x", (7, 3))]
    return replace(graph(inputs, layers, calls, *map(Feed, (9, 11, 13, 14))), joins=joins)


def one_pool_of_two_lengths() -> Network:
    """Of which one alone is padded unevenly."""
    shared = pool(1, "average", (3,), (2,), padding="same")
    calls = [call("pool", 0), call("pool", 1), call("a", 2)]
    return graph([Input("x", (7, 3)), Input("y", (8, 3))], [shared, dense("a", 2, 3)], calls, Feed(4), Feed(3))


def masked_norms() -> Network:
    """A mask that goes past a normalisation along time."""
    layers = [
        embedding("e", 11, 3, mask_zero=True), layer("norm", "layer_norm", axes=(1,), gamma=array(7)),
        lstm("rnn", 3, 5, return_sequences=False),
    ]  # fmt: skip
    return chain(words(7), *layers)


def two_directions_apart() -> Network:
    """Directions that are not merged, each read by a layer of its own, and all their states returned."""
    layers = [lstm("rnn", 3, 5, both=True, merge=None, return_state=True), dense("a", 2, 5), dense("b", 7, 5)]
    calls = [call("rnn", 0), Call("a", (Feed(1, 1),)), Call("b", (Feed(1, 0),))]
    return graph([Input("x", (7, 3))], layers, calls, Feed(2), Feed(3), *(Feed(1, number) for number in range(2, 6)))


def odd_names() -> Network:
    """Names that Keras does not take, and names that become one."""
    layers = [
        dense("inner.a/1", 5, 3),
        dense("inner_a_1", 5, 5),
        dense("take", 2, 5),
        layer("t", "take", axis=1, index=0),
    ]
    return chain(
        [7, 3], *layers, dense("class", 3, 2), dense("é" * 300, 3, 3), dense("é" * 301, 3, 3), dense("_", 3, 3)
    )


def unread() -> Network:
    """A layer that no output comes of, and an input that nobody reads."""
    layers = [dense("a", 5, 3), dense("nobody", 5, 3)]
    return graph([Input("x", (3,)), Input("y", (2,))], layers, [call("nobody", 0), call("a", 0)], Feed(3))


JOINED: Mapping[str, Network] = {
    "encoder and decoder": encoder_decoder(),
    "siamese": siamese(),
    "masked sum": masked_sum(),
    "joined masks": joined_masks(),
    "joined masks of keras 3": joined_masks("any"),
    "one pool of two lengths": one_pool_of_two_lengths(),
    "masked norms": masked_norms(),
    "two directions apart": two_directions_apart(),
    "odd names": odd_names(),
    "unread": unread(),
}


NETWORKS = {**PLAIN, **JOINED}
