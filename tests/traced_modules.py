"""Modules to be traced, each with something that another does not have; sizes are unlike primes."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (as everybody calls it)

WORDS, FEATURES, STEPS = 11, 3, 7


class Tagger(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Words, two layers of both directions, a normalisation, a head for each step."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(WORDS, 3, padding_idx=0)
        self.rnn = nn.LSTM(3, 5, num_layers=2, bidirectional=True, batch_first=True, dropout=0.3)
        self.norm = nn.LayerNorm(10)
        self.drop = nn.Dropout(0.25)
        self.head = nn.Linear(10, 2)

    def forward(self, x: Any) -> Any:
        y, _ = self.rnn(self.emb(x))
        return self.head(self.drop(self.norm(y))).softmax(-1)


class LastStep(nn.Module):  # type: ignore[misc]
    """The last step of one direction, as most write it."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(FEATURES, 5, batch_first=True)
        self.head = nn.Sequential(nn.Linear(5, 13), nn.ReLU(inplace=True), nn.Linear(13, 2, bias=False))

    def forward(self, x: Any) -> Any:
        y, _ = self.rnn(x)
        return self.head(y[:, -1, :])


class TimeFirst(nn.Module):  # type: ignore[misc]
    """A recurrent layer that is not batch first, between two transpositions; steps that are taken alone."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(FEATURES, 5)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        y, _ = self.rnn(x.transpose(0, 1))
        y = torch.tanh(self.head(y))
        return y[-1], y.permute(1, 0, 2)


class LastStates(nn.Module):  # type: ignore[misc]
    """What people make of h_n."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(FEATURES, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, 7, batch_first=True)

    def forward(self, x: Any) -> Any:
        y, (h, c) = self.rnn(x)
        _, g = self.gru(y)
        by_layer = h.view(2, 2, h.size(1), 5)
        return (
            torch.cat([h[-2], h[-1]], -1),
            torch.cat((c[-2, :, :], c[-1, :, :]), dim=1),
            h.permute(1, 0, 2).flatten(1),
            h[-2:].transpose(0, 1).reshape(h.size(1), -1),
            by_layer[-1][0] + by_layer[0, 1],
            g.squeeze(0),
            g[-1],
        )


class Translator(nn.Module):  # type: ignore[misc]
    """One layer starts from the last states of another."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(FEATURES, 5, num_layers=2, batch_first=True)
        self.decoder = nn.LSTM(2, 5, num_layers=2, batch_first=True)
        self.gru = nn.GRU(5, 5, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Any, before: Any) -> Any:
        _, state = self.encoder(x)
        y, (h, _) = self.decoder(before, state)
        y, _ = self.gru(y, h[-1].unsqueeze(0))
        return self.head(y)


class Kinds(nn.Module):  # type: ignore[misc]
    """A GRU and simple RNNs of both functions, a projection, no biases."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(FEATURES, 5, num_layers=2, batch_first=True, bidirectional=True, bias=False)
        self.tanh = nn.RNN(10, 7, batch_first=True)
        self.relu = nn.RNN(7, 3, batch_first=True, nonlinearity="relu", bidirectional=True)
        self.lstm = nn.LSTM(6, 7, batch_first=True, proj_size=2)

    def forward(self, x: Any) -> Any:
        x, _ = self.gru(x)
        x, _ = self.tanh(x)
        x, _ = self.relu(x)
        x, (h, c) = self.lstm(x)
        return x, h[0], c[0]


class Convolutions(nn.Module):  # type: ignore[misc]
    """Convolutions and pooling in time, as people put them before a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv1d(FEATURES, 5, 3, padding=1)
        self.norm = nn.BatchNorm1d(5)
        self.wide = nn.Conv1d(5, 7, 4, padding="same", dilation=2, bias=False)
        self.strided = nn.Conv1d(7, 4, 3, stride=2, padding=2, groups=1)
        self.grouped = nn.Conv1d(4, 6, 2, groups=2)
        self.pool = nn.MaxPool1d(2)
        self.centred = nn.MaxPool1d(3, 1, 1)
        self.mean = nn.AvgPool1d(3, stride=1)
        self.rnn = nn.LSTM(6, 5, batch_first=True)
        self.drop = nn.Dropout1d(0.5)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.norm(self.same(x.transpose(1, 2))))
        x = self.centred(self.wide(x))
        x = self.grouped(self.strided(F.pad(x, (2, 0))))
        x = self.drop(self.mean(self.pool(x)))
        y, _ = self.rnn(x.permute(0, 2, 1))
        return y[:, -1]


class Image(nn.Module):  # type: ignore[misc]
    """Columns of an image, read by a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d((2, 1)), nn.PReLU(3)
        )
        self.rnn = nn.LSTM(9, 5, batch_first=True, bidirectional=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.largest = nn.AdaptiveMaxPool2d((1, 1))

    def forward(self, x: Any) -> Any:
        x = self.features(x)
        columns = x.permute(0, 3, 1, 2).flatten(2)
        y, _ = self.rnn(columns)
        return y, self.pool(x).flatten(1), self.largest(x).squeeze(-1).squeeze(-1), x.mean((2, 3)), x.amax(dim=[2, 3])


class Attention(nn.Module):  # type: ignore[misc]
    """Products of a sequence with itself."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(FEATURES, 5, batch_first=True)
        self.mix = nn.Parameter(torch.randn(5, 2))

    def forward(self, x: Any) -> Any:
        y, _ = self.rnn(x)
        y = 1 - (2.0 * y.flip(1) + 0.5 - y * 3)
        weights = F.softmax(torch.bmm(y, y.transpose(1, 2)), dim=1)
        return weights @ y, y @ self.mix


class Merges(nn.Module):  # type: ignore[misc]
    """Two branches, joined in every way; a shared layer; sums over time."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.LSTM(FEATURES, 5, batch_first=True)
        self.right = nn.GRU(2, 5, batch_first=True)
        self.shared = nn.Linear(5, 5)
        self.block = nn.ModuleDict({"act": nn.Sigmoid()})

    def forward(self, x: Any, z: Any) -> Any:
        one, other = self.shared(self.left(x)[0]), self.shared(self.right(z)[0])
        one += other
        joined = torch.cat([one, other, one * other, one - other, torch.maximum(one, other)], -1)
        stacked = torch.stack([one[:, -1], other[:, 0]], dim=1)
        longer = torch.cat([one, torch.min(one, other)], dim=1)
        return joined, stacked, longer.mean(dim=1), longer.max(dim=1)[0], self.block["act"](one).amax(1)


class Shapes(nn.Module):  # type: ignore[misc]
    """What moves, drops and repeats."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(FEATURES, 6, batch_first=True, bidirectional=True)
        self.again = nn.LSTM(6, 5, batch_first=True)
        self.head = nn.Linear(12, 4)
        self.flat, self.unflat = nn.Flatten(), nn.Unflatten(1, (2, 2))

    def forward(self, x: Any) -> Any:
        y, _ = self.rnn(x)
        forwards, backwards = y[:, -1, :6], y[:, 0, 6:]
        row = torch.cat([forwards, backwards], 1)
        repeated, _ = self.again(forwards.unsqueeze(1).repeat(1, 5, 1))
        expanded = backwards.unsqueeze(1).expand(-1, 3, -1)
        folded = self.head(y.reshape(-1, 12)).view(y.size(0), -1, 4)
        first, second = row.chunk(2, dim=1)
        halves = y.view(y.size(0), y.size(1), 2, 6)
        return (
            self.unflat(self.head(row)), repeated, expanded, folded, second - first, y[:, 1:-1, :3], y[:, -2:],
            halves[:, :, 0] + halves[:, :, 1], y.float() if y.dtype == torch.float32 else y, y[:, 2].unsqueeze(-1),
        )  # fmt: skip


class Activations(nn.Module):  # type: ignore[misc]
    """Every activation, of modules and functions, behind one another as far as numbers stay of a kind."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(FEATURES, 5, batch_first=True)
        self.acts = nn.ModuleList([
            nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.LeakyReLU(0.1), nn.ELU(0.7), nn.CELU(0.9), nn.SELU(), nn.GELU(),
            nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.Hardsigmoid(), nn.Hardtanh(), nn.ReLU6(), nn.Softmax(-1),
            nn.Softmax(1), nn.LogSoftmax(-1), nn.LogSigmoid(), nn.Hardshrink(0.1), nn.Softshrink(0.1),
            nn.Threshold(0.1, -2.0), nn.PReLU(), nn.Tanhshrink(), nn.RReLU(), nn.AlphaDropout(0.2), nn.Identity(),
        ])  # fmt: skip

    def forward(self, x: Any) -> Any:
        y, _ = self.rnn(x)
        return (*(act(y) for act in self.acts), torch.exp(y))


class Whole(nn.Module):  # type: ignore[misc]
    """A layer that reads all steps at once, so that their number is fixed."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(FEATURES, 5, batch_first=True)
        self.head = nn.Linear(5 * STEPS, 2)

    def forward(self, x: Any) -> Any:
        y, _ = self.rnn(x)
        return self.head(y.reshape(y.size(0), -1))


class Picked(nn.Module):  # type: ignore[misc]
    """A recurrent layer in a Sequential, with what picks its output."""

    class Output(nn.Module):  # type: ignore[misc]
        """The sequence alone."""

        def forward(self, given: Any) -> Any:
            return given[0]

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(FEATURES, 4), nn.LSTM(4, 5, batch_first=True), self.Output(), nn.Linear(5, 2)
        )

    def forward(self, x: Any) -> Any:
        return self.net(x)


def words() -> Any:
    """Words, (batch, steps)."""
    return torch.arange(2 * STEPS).reshape(2, STEPS) % WORDS


def sequence(features: int = FEATURES, steps: int = STEPS) -> Any:
    """A sequence, (batch, steps, features)."""
    return torch.randn(2, steps, features)


# The module, and what it is traced with.
MODULES: dict[str, tuple[type[nn.Module], tuple[Any, ...]]] = {
    "tagger": (Tagger, (words(),)),
    "last step": (LastStep, (sequence(),)),
    "time first": (TimeFirst, (sequence(),)),
    "last states": (LastStates, (sequence(),)),
    "translator": (Translator, (sequence(), sequence(2))),
    "kinds": (Kinds, (sequence(),)),
    "convolutions": (Convolutions, (sequence(steps=23),)),
    "image": (Image, (torch.randn(2, 1, 6, 5),)),
    "attention": (Attention, (sequence(),)),
    "merges": (Merges, (sequence(), sequence(2))),
    "shapes": (Shapes, (sequence(),)),
    "activations": (Activations, (sequence(),)),
    "all steps at once": (Whole, (sequence(),)),
    "picked": (Picked, (sequence(),)),
}
