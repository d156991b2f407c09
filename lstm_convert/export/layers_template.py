# mypy: disallow-subclassing-any=False
"""The classes that written-out modules are made of, with all their variants; read as text, never imported.

A line that ends with `# if …` is written only where that holds: `# if masked and not bidirectional`. Names in capitals
stand for numbers, `gate`, `candidate` and `activation` for the functions in activations_template.py. `c_new` and
`h_new` are written c and h where no step is masked. `SUMMARY`, `EQUATIONS` and `DETAILS` are lines of the docstring.
"""

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (so does everybody)

State = tuple[Tensor, Tensor]
Output: TypeAlias = Tensor

GATE_CLIP = CELL_CLIP = PROJECTION_CLIP = 1.0
FORWARD_OUTPUTS = FORWARD_UNITS = 1


def gate(z: Tensor) -> Tensor:
    """Stand for the activation of i, f and o."""
    return torch.sigmoid(z)


def candidate(z: Tensor) -> Tensor:
    """Stand for the activation of g."""
    return torch.tanh(z)


def activation(c: Tensor) -> Tensor:
    """Stand for the activation of c on its way to h."""
    return torch.tanh(c)


class Core(nn.Module):
    """SUMMARY.

    Called as an nn.LSTM of one layer and one direction, with batch_first=True.
    One step, `*` element by element:

    EQUATIONS

    Weights are stacked as nn.LSTM's, rows for i, f, g, o; their names are others,
    so that no nn.LSTM loads what it would compute otherwise.
    peephole holds a row for each of i, f and o.  # if peephole
    Of f the rows stay unused.  # if coupled
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        proj_size: int,  # if projection
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.output_size = proj_size  # if projection
        self.output_size = hidden_size  # if not projection
        gates = 4 * hidden_size
        self.weight_x = nn.Parameter(torch.empty(gates, input_size))
        self.weight_h = nn.Parameter(torch.empty(gates, self.output_size))
        self.bias_x = nn.Parameter(torch.empty(gates))  # if bias
        self.bias_h = nn.Parameter(torch.empty(gates))  # if bias
        self.projection = nn.Parameter(torch.empty(proj_size, hidden_size))  # if projection
        self.peephole = nn.Parameter(torch.empty(3, hidden_size))  # if peephole
        bound = hidden_size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        mask: Tensor | None = None,  # if masked
    ) -> tuple[Tensor, State]:
        """Return (output, (h_n, c_n)), each shaped as nn.LSTM's.

        x is (batch, time, input_size); state is (h_0, c_0), each (1, batch, size).
        mask is (batch, time), true where a step counts.  # if masked
        """
        if state is None:
            h = x.new_zeros(x.shape[0], self.output_size)
            c = x.new_zeros(x.shape[0], self.hidden_size)
        else:
            h, c = state[0][0], state[1][0]  # (batch, size)
        if mask is None:  # if masked
            mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)  # if masked
        valid = mask.unsqueeze(-1) > 0  # (batch, time, 1)  # if masked
        bias = self.bias_x + self.bias_h  # if bias
        from_x = F.linear(x, self.weight_x, bias).unbind(1)  # all steps at once  # if bias
        from_x = F.linear(x, self.weight_x).unbind(1)  # all steps at once  # if not bias
        weight_h = self.weight_h.t()
        p_i, p_f, p_o = self.peephole.unbind(0)  # if peephole and not coupled
        p_i, _, p_o = self.peephole.unbind(0)  # if peephole and coupled
        outputs: list[Tensor] = []
        for step in range(len(from_x)):
            z = torch.addmm(from_x[step], h, weight_h)  # (batch, 4 * hidden_size)
            z = z.clamp(-GATE_CLIP, GATE_CLIP)  # if gate_clip and not peephole
            z_i, z_f, z_g, z_o = z.chunk(4, -1)  # if not coupled
            z_i, _, z_g, z_o = z.chunk(4, -1)  # if coupled
            z_i = z_i + p_i * c  # if peephole
            z_f = z_f + p_f * c  # if peephole and not coupled
            z_i = z_i.clamp(-GATE_CLIP, GATE_CLIP)  # if gate_clip and peephole
            z_f = z_f.clamp(-GATE_CLIP, GATE_CLIP)  # if gate_clip and peephole and not coupled
            z_g = z_g.clamp(-GATE_CLIP, GATE_CLIP)  # if gate_clip and peephole
            i = gate(z_i)
            f = gate(z_f)  # if not coupled
            f = 1.0 - i  # if coupled
            g = candidate(z_g)
            c_new = f * c + i * g
            c_new = c_new.clamp(-CELL_CLIP, CELL_CLIP)  # if cell_clip
            z_o = z_o + p_o * c_new  # if peephole
            z_o = z_o.clamp(-GATE_CLIP, GATE_CLIP)  # if gate_clip and peephole
            o = gate(z_o)
            h_new = o * activation(c_new)
            h_new = F.linear(h_new, self.projection)  # if projection
            h_new = h_new.clamp(-PROJECTION_CLIP, PROJECTION_CLIP)  # if projection_clip
            # A masked step leaves the states as they are.  # if masked
            counts = valid[:, step]  # if masked
            c = torch.where(counts, c_new, c)  # if masked
            h = torch.where(counts, h_new, h)  # if masked
            outputs.append(h)
        output = torch.stack(outputs, 1)  # (batch, time, size)
        # The output of a masked step is zero.  # if masked and zero_output
        seen = valid  # if masked and zero_output
        # A masked step repeats the output before it, zero where there is none.  # if masked and not zero_output
        seen = valid.cumsum(1) > 0  # if masked and not zero_output
        output = torch.where(seen, output, torch.zeros_like(output))  # if masked
        return output, (h.unsqueeze(0), c.unsqueeze(0))


class Around(nn.Module):
    """SUMMARY.

    DETAILS
    """

    def __init__(self, lstm: nn.Module) -> None:
        super().__init__()
        self.lstm = lstm

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        mask: Tensor | None = None,  # if masked
    ) -> tuple[Output, State]:
        """Return (output, (h_n, c_n)), the states shaped as nn.LSTM's.

        x is (batch, time, input_size); state is (h_0, c_0), as nn.LSTM's.
        mask is (batch, time), true where a step counts.  # if masked
        """
        x = x.flip(1)  # if go_backwards
        if mask is not None:  # if go_backwards and masked
            mask = mask.flip(1)  # if go_backwards and masked
        output, (h_n, c_n) = self.lstm(x, state)  # if not masked
        output, (h_n, c_n) = self.lstm(x, state, mask)  # if masked
        output = output[:, -1]  # if last and not bidirectional
        forward, backward = h_n[0], h_n[1]  # if last and bidirectional
        forward, backward = output.chunk(2, -1)  # if bidirectional and not last
        output = torch.cat([forward, backward], -1)  # if bidirectional and concat
        output = forward + backward  # if sum
        output = (forward + backward) / 2  # if ave
        output = forward * backward  # if mul
        output = (forward, backward)  # if apart
        return output, (h_n, c_n)


class Sides(nn.Module):
    """SUMMARY.

    DETAILS
    """

    def __init__(self, forward_lstm: nn.Module, backward_lstm: nn.Module) -> None:
        super().__init__()
        self.forward_lstm = forward_lstm
        self.backward_lstm = backward_lstm

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        mask: Tensor | None = None,  # if masked
    ) -> tuple[Output, State]:
        """Return (output, (h_n, c_n)), each state of both directions in one tensor.

        x is (batch, time, input_size); state is (h_0, c_0),
        each (2, batch, size), as nn.LSTM's.  # if alike
        each (1, batch, both sizes together), as the two sizes differ.  # if not alike
        mask is (batch, time), true where a step counts.  # if masked
        """
        forward_state: State | None = None
        backward_state: State | None = None
        if state is not None:
            h, c = state
            forward_state = (h[:1], c[:1])  # if alike
            backward_state = (h[1:], c[1:])  # if alike
            forward_state = (h[..., :FORWARD_OUTPUTS], c[..., :FORWARD_UNITS])  # if not alike
            backward_state = (h[..., FORWARD_OUTPUTS:], c[..., FORWARD_UNITS:])  # if not alike
        x = x.flip(1)  # if go_backwards
        if mask is not None:  # if go_backwards and masked
            mask = mask.flip(1)  # if go_backwards and masked
        reverse = x.flip(1)
        reverse_mask = mask  # if masked
        if mask is not None:  # if masked
            reverse_mask = mask.flip(1)  # if masked
        forward, (h_f, c_f) = self.forward_lstm(x, forward_state)  # if not masked
        backward, (h_b, c_b) = self.backward_lstm(reverse, backward_state)  # if not masked
        forward, (h_f, c_f) = self.forward_lstm(x, forward_state, mask)  # if masked
        backward, (h_b, c_b) = self.backward_lstm(reverse, backward_state, reverse_mask)  # if masked
        forward, backward = forward[:, -1], backward[:, -1]  # if last
        backward = backward.flip(1)  # if not last
        output = torch.cat([forward, backward], -1)  # if concat
        output = forward + backward  # if sum
        output = (forward + backward) / 2  # if ave
        output = forward * backward  # if mul
        output = (forward, backward)  # if apart
        h_n, c_n = torch.cat([h_f, h_b]), torch.cat([c_f, c_b])  # if alike
        h_n, c_n = torch.cat([h_f, h_b], -1), torch.cat([c_f, c_b], -1)  # if not alike
        return output, (h_n, c_n)
