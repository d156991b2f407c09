# mypy: disallow-subclassing-any=False
"""The classes of other cells than an LSTM's that written-out modules are made of; read as text, never imported.

Lines are marked as in layers_template.py. `gate` and `candidate` stand for functions in activations_template.py;
`h_new` is written h where no step is masked.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (so does everybody)


def gate(a: Tensor) -> Tensor:
    """Stand for the activation of r and z."""
    return torch.sigmoid(a)


def candidate(a: Tensor) -> Tensor:
    """Stand for the activation of n, or of h."""
    return torch.tanh(a)


class GRU(nn.Module):
    """SUMMARY.

    Called as an nn.GRU of one layer and one direction, with batch_first=True.
    One step, `*` element by element:

    EQUATIONS

    Weights are stacked as nn.GRU's, rows for r, z, n; their names are others,
    so that no nn.GRU loads what it would compute otherwise.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        gates = 3 * hidden_size
        self.weight_x = nn.Parameter(torch.empty(gates, input_size))
        self.weight_h = nn.Parameter(torch.empty(gates, hidden_size))
        self.bias_x = nn.Parameter(torch.empty(gates))  # if bias
        self.bias_h = nn.Parameter(torch.empty(gates))  # if bias
        bound = hidden_size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(
        self,
        x: Tensor,
        state: Tensor | None = None,
        mask: Tensor | None = None,  # if masked
    ) -> tuple[Tensor, Tensor]:
        """Return (output, h_n), each shaped as nn.GRU's.

        x is (batch, time, input_size); state is h_0, (1, batch, size).
        mask is (batch, time), true where a step counts.  # if masked
        """
        h = x.new_zeros(x.shape[0], self.hidden_size)
        if state is not None:
            h = state[0]  # (batch, size)
        if mask is None:  # if masked
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)  # if masked
        valid = mask.unsqueeze(-1) > 0  # (batch, time, 1)  # if masked
        bias = self.bias_x + self.bias_h  # if bias and reset_before
        from_x = F.linear(x, self.weight_x, bias).unbind(1)  # all steps at once  # if bias and reset_before
        from_x = F.linear(x, self.weight_x, self.bias_x).unbind(1)  # if bias and not reset_before
        from_x = F.linear(x, self.weight_x).unbind(1)  # all steps at once  # if not bias
        weight_rz = self.weight_h[: 2 * self.hidden_size]  # if reset_before
        weight_n = self.weight_h[2 * self.hidden_size :]  # if reset_before
        outputs: list[Tensor] = []
        for step in range(len(from_x)):
            x_r, x_z, x_n = from_x[step].chunk(3, -1)
            h_r, h_z = F.linear(h, weight_rz).chunk(2, -1)  # if reset_before
            from_h = F.linear(h, self.weight_h, self.bias_h)  # if bias and not reset_before
            from_h = F.linear(h, self.weight_h)  # if not bias and not reset_before
            h_r, h_z, h_n = from_h.chunk(3, -1)  # if not reset_before
            a_r = x_r + h_r
            r = gate(a_r)
            a_z = x_z + h_z
            z = gate(a_z)
            a_n = x_n + F.linear(r * h, weight_n)  # if reset_before
            a_n = x_n + r * h_n  # if not reset_before
            n = candidate(a_n)
            h_new = (1.0 - z) * n + z * h
            # A masked step leaves the state as it is.  # if masked
            h = torch.where(valid[:, step], h_new, h)  # if masked
            outputs.append(h)
        output = torch.stack(outputs, 1)  # (batch, time, size)
        # The output of a masked step is zero.  # if masked and zero_output
        seen = valid  # if masked and zero_output
        # A masked step repeats the output before it, zero where there is none.  # if masked and not zero_output
        seen = valid.cumsum(1) > 0  # if masked and not zero_output
        output = torch.where(seen, output, torch.zeros_like(output))  # if masked
        return output, h.unsqueeze(0)


class RNN(nn.Module):
    """SUMMARY.

    Called as an nn.RNN of one layer and one direction, with batch_first=True.
    One step:

    EQUATIONS

    Weights have other names than nn.RNN's, so that none loads what it
    would compute otherwise.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_x = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_h = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias_x = nn.Parameter(torch.empty(hidden_size))  # if bias
        self.bias_h = nn.Parameter(torch.empty(hidden_size))  # if bias
        bound = hidden_size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(
        self,
        x: Tensor,
        state: Tensor | None = None,
        mask: Tensor | None = None,  # if masked
    ) -> tuple[Tensor, Tensor]:
        """Return (output, h_n), each shaped as nn.RNN's.

        x is (batch, time, input_size); state is h_0, (1, batch, size).
        mask is (batch, time), true where a step counts.  # if masked
        """
        h = x.new_zeros(x.shape[0], self.hidden_size)
        if state is not None:
            h = state[0]  # (batch, size)
        if mask is None:  # if masked
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)  # if masked
        valid = mask.unsqueeze(-1) > 0  # (batch, time, 1)  # if masked
        bias = self.bias_x + self.bias_h  # if bias
        from_x = F.linear(x, self.weight_x, bias).unbind(1)  # all steps at once  # if bias
        from_x = F.linear(x, self.weight_x).unbind(1)  # all steps at once  # if not bias
        outputs: list[Tensor] = []
        for step in range(len(from_x)):
            a = from_x[step] + F.linear(h, self.weight_h)  # (batch, size)
            h_new = candidate(a)
            # A masked step leaves the state as it is.  # if masked
            h = torch.where(valid[:, step], h_new, h)  # if masked
            outputs.append(h)
        output = torch.stack(outputs, 1)  # (batch, time, size)
        # The output of a masked step is zero.  # if masked and zero_output
        seen = valid  # if masked and zero_output
        # A masked step repeats the output before it, zero where there is none.  # if masked and not zero_output
        seen = valid.cumsum(1) > 0  # if masked and not zero_output
        output = torch.where(seen, output, torch.zeros_like(output))  # if masked
        return output, h.unsqueeze(0)
