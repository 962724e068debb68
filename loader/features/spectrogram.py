"""From frames to the logarithm of mel energies: window, FFT, power, filters, logarithm.

On a CPU all of it is done in float64. That costs a quarter more time and makes the result exact to
the last digits of a float32, where float32 would be wrong by up to 0.05 dB in bands that lie
100 dB below a loud tone. The frames go through in blocks that stay in the second-level cache: the
spectrum of a batch of 32 clips of 10 s takes 0.5 GB, writing and reading which costs most of
the time of a front end that makes it whole.

Elsewhere float32 is used and all frames go through at once, as they do on a CPU where gradients or
a compiler follow the steps: the same function, so the one is the other's reference.
"""

import torch
from torch import Tensor, nn

from loader.features.config import LogMelConfig
from loader.features.mel_product import bands_of, exact_product
from loader.features.windows import make_window

# Samples of windowed frames in a block for each thread: with their spectrum 2 MB. Half of that
# costs 10 % more.
_BLOCK_SAMPLES = 128 * 1024

# Below the smallest magnitude that any floor lets through; keeps the root's slope at 0 finite.
_TINY_POWER = 1e-30


def runs_in_blocks(values: Tensor) -> bool:
    """Return whether to go through these block by block: on a CPU, followed by nothing."""
    is_followed = torch.compiler.is_compiling() or (
        values.requires_grad and torch.is_grad_enabled()
    )
    return values.device.type == "cpu" and not is_followed


class MelSpectrum(nn.Module):
    """The logarithm of mel energies of windowed frames."""

    window_W: Tensor
    bank_MS: Tensor

    def __init__(self, config: LogMelConfig, bank_MS: Tensor) -> None:
        super().__init__()
        self.config = config
        window_W = make_window(
            config.window, config.window_samples, periodic=config.periodic_window
        )
        self.register_buffer("window_W", window_W.float(), persistent=False)
        self.register_buffer("bank_MS", bank_MS.float(), persistent=False)
        # For the CPU, in float64; no buffers, since not every device holds such numbers.
        self._window_W = window_W
        self._bands = bands_of(bank_MS)
        self._filters = [bank_MS[band.mels, band.bins].contiguous() for band in self._bands]

    def forward(self, frames_BFW: Tensor) -> Tensor:
        """Return mel_BMF, not yet standardised; frames may overlap in memory."""
        compute = self.in_blocks if runs_in_blocks(frames_BFW) else self.at_once
        return compute(frames_BFW)

    def at_once(self, frames_BFW: Tensor, place_BFN: Tensor | None = None) -> Tensor:
        """Return mel_BMF from all frames in one go.

        Args:
            frames_BFW: The frames.
            place_BFN: Zeros, for so many frames or more, where the windowed ones may be written.
        """
        spectrum_BFS = self._spectrum(frames_BFW, place_BFN)
        return self._log(self._energy(spectrum_BFS)).contiguous()

    def in_blocks(self, frames_BFW: Tensor) -> Tensor:
        """Return the same, some rows or some frames of a row at a time."""
        num_rows, num_frames, _ = frames_BFW.shape
        # Its type and device said, since a program may have set others as torch's defaults.
        mel_BMF = frames_BFW.new_empty(
            num_rows, self.config.num_mels, num_frames, dtype=torch.float32
        )
        block = max(1, _BLOCK_SAMPLES * torch.get_num_threads() // self.config.n_fft)
        rows = max(1, block // max(1, num_frames))
        # One place for the windowed frames of all blocks: fresh memory costs as much as filling it.
        place_BFN = frames_BFW.new_zeros(
            min(rows, num_rows), min(block, num_frames), self.config.n_fft
        )
        for row in range(0, num_rows, rows):
            for frame in range(0, num_frames, block):
                part = (slice(row, row + rows), slice(frame, frame + block))
                mel_BMF[part[0], :, part[1]] = self.at_once(frames_BFW[part], place_BFN)
        return mel_BMF

    def _spectrum(self, frames_BFW: Tensor, place_BFN: Tensor | None) -> Tensor:
        """Return power_BFS, or magnitude."""
        spectrum_BFS = torch.fft.rfft(self._windowed(frames_BFW, place_BFN), n=self.config.n_fft)
        # Not abs() ** 2, whose square root costs time and, at zero, the gradient.
        power_BFS: Tensor = spectrum_BFS.real.square().addcmul_(
            spectrum_BFS.imag, spectrum_BFS.imag
        )
        return power_BFS.clamp(min=_TINY_POWER).sqrt() if self.config.magnitude else power_BFS

    def _windowed(self, frames_BFW: Tensor, place_BFN: Tensor | None) -> Tensor:
        """Return the frames windowed, emphasised if asked; with zeros up to n_fft or without."""
        window_W = self._window_W if frames_BFW.device.type == "cpu" else self.window_W
        in_frame = self.config.preemphasis == "frame"
        if place_BFN is None and not in_frame:
            return frames_BFW * window_W
        num_rows, num_frames, num_taps = frames_BFW.shape
        if place_BFN is None:
            place_BFN = frames_BFW.new_zeros(num_rows, num_frames, self.config.n_fft)
        place_BFN = place_BFN[:num_rows, :num_frames]
        windowed_BFW = place_BFN[:, :, :num_taps]
        if in_frame:
            self._emphasise(frames_BFW, windowed_BFW)
            windowed_BFW.mul_(window_W)
        else:
            torch.mul(frames_BFW, window_W, out=windowed_BFW)
        return place_BFN

    def _emphasise(self, frames_BFW: Tensor, result_BFW: Tensor) -> None:
        """Write the frames less their means, then emphasised.

        With m the mean, (x[i] - m) - f (x[i-1] - m) is x[i] - f x[i-1] - (1 - f) m. The sample
        before a frame's first one counts as equal to it.
        """
        factor = self.config.preemphasis_factor
        result_BFW.copy_(frames_BFW)
        result_BFW[:, :, 1:].sub_(frames_BFW[:, :, :-1], alpha=factor)
        result_BFW[:, :, :1].mul_(1 - factor)
        result_BFW.sub_(frames_BFW.mean(dim=2, keepdim=True), alpha=1 - factor)

    def _energy(self, spectrum_BFS: Tensor) -> Tensor:
        """Return energy_BMF in float32."""
        if spectrum_BFS.device.type != "cpu":
            return exact_product(spectrum_BFS, self.bank_MS.T).transpose(1, 2)
        # Bins first, so that a band's are rows, which the product takes as they lie.
        spectrum_SP = spectrum_BFS.flatten(end_dim=1).T
        shape_MP = (len(self.bank_MS), spectrum_SP.shape[1])
        energy_MP = spectrum_SP.new_empty(shape_MP, dtype=torch.float32)
        for band, filters_MS in zip(self._bands, self._filters, strict=True):
            energy_MP[band.mels] = filters_MS @ spectrum_SP[band.bins]
        return energy_MP.reshape(-1, *spectrum_BFS.shape[:2]).transpose(0, 1)

    def _log(self, energy_BMF: Tensor) -> Tensor:
        config = self.config
        if config.power_floor:
            energy_BMF = energy_BMF.clamp(min=config.power_floor)
        if config.power_offset:
            energy_BMF = energy_BMF + config.power_offset
        if config.log == "ln":
            return energy_BMF.log()
        # log10 itself: ten times it is exactly the floor in silence.
        return energy_BMF.log10() * (10 if config.log == "db" else 1)
