# mypy: ignore-errors
# ruff: noqa: RUF005 - Triton compiles this, which can add tuples but not unpack them
"""The fused kernel in Triton: from samples to log-mels, with nothing in between in memory.

A program takes 16 frames of a clip. A thread holds 32 complex numbers of a frame; all arithmetic is
in float32, none of it on tensor cores. Between the steps the frame passes through shared memory,
once for each.
See `loader.features.fused_plan` for the transform. Tuples are unrolled when it is compiled.
"""

import math

import triton
import triton.language as tl

from loader.features import fused_plan

FRAMES = 16

_FRAMES = tl.constexpr(FRAMES)
_MELS_IN_GROUP = tl.constexpr(fused_plan.MELS_IN_GROUP)


@triton.constexpr_function
def _cosine(k, n):
    return math.cos(2 * math.pi * k / n)


@triton.constexpr_function
def _sine(k, n):
    return math.sin(2 * math.pi * k / n)


@triton.constexpr_function
def _length(values, *path):
    for index in path:
        values = values[index]
    return len(values)


@triton.constexpr_function
def _at(values, *path):
    for index in path:
        values = values[index]
    return values


@triton.jit
def log_mel_kernel(
    wave,
    num_samples_B,
    num_frames_B,
    mel_BMF,
    window_N,
    twiddles,
    turns,
    weights,
    row_stride,
    num_samples,
    num_whole,
    num_frames,
    num_mels,
    hop,
    first_sample,
    preemphasis,
    gain,
    power_floor,
    power_offset,
    log_scale,
    log_shift,
    fill,
    n1: tl.constexpr,
    n2: tl.constexpr,
    window_samples: tl.constexpr,
    turn: tl.constexpr,
    in_frame: tl.constexpr,
    magnitude: tl.constexpr,
    groups: tl.constexpr,
):
    """Write the log-mels of 16 frames of a clip; arguments as `FusedLogMel.launch` passes them."""
    frames: tl.constexpr = _FRAMES
    blocks = tl.cdiv(num_frames, frames)
    row = tl.program_id(0) // blocks
    first_frame = (tl.program_id(0) % blocks) * frames
    wave_T = wave + row.to(tl.int64) * row_stride
    mel_MF = mel_BMF + row.to(tl.int64) * num_mels * num_frames
    own_samples = num_samples
    own_frames = num_whole
    if num_samples_B is not None:
        own_samples = tl.minimum(tl.load(num_samples_B + row).to(tl.int32), num_samples)
        own_frames = tl.load(num_frames_B + row).to(tl.int32)
    frame = first_frame + tl.arange(0, frames)[:, None]
    if first_frame < own_frames:
        samples = _samples(
            wave_T, first_frame * hop + first_sample, hop, own_samples,
            frames, 2 * n1 * n2, window_samples, turn, in_frame, preemphasis,
        )  # fmt: skip
        samples *= tl.load(window_N + tl.arange(0, 2 * n1 * n2))[None, :]
        power = _power(samples, twiddles, turns, frames, n1, n2, magnitude)
        for group in tl.static_range(_length(groups)):
            energy = _energy(power, weights, groups, group, frames, n1 // 2) * gain
            energy = tl.maximum(energy, power_floor, propagate_nan=tl.PropagateNan.ALL)
            values = tl.log(energy + power_offset) * log_scale + log_shift
            values = tl.where(frame < own_frames, values, fill)
            mel = group * _MELS_IN_GROUP + tl.arange(0, _MELS_IN_GROUP)[None, :]
            is_there = (frame < num_frames) & (mel < num_mels)
            tl.store(mel_MF + mel * num_frames + frame, values, mask=is_there)
    else:
        for group in tl.static_range(_length(groups)):
            mel = group * _MELS_IN_GROUP + tl.arange(0, _MELS_IN_GROUP)[None, :]
            is_there = (frame < num_frames) & (mel < num_mels)
            tl.store(mel_MF + mel * num_frames + frame, fill, mask=is_there)


@triton.jit
def _samples(
    wave_T,
    start,
    hop,
    num_samples,
    frames: tl.constexpr,
    n_fft: tl.constexpr,
    window_samples: tl.constexpr,
    turn: tl.constexpr,
    in_frame: tl.constexpr,
    preemphasis,
):
    """Return the samples of frames, [frames, n_fft], less their means and emphasised if asked."""
    tap = tl.arange(0, n_fft)[None, :]
    at = start + tl.arange(0, frames)[:, None] * hop + tap
    is_inside = (start > 0) & (start + (frames - 1) * hop + n_fft <= num_samples)
    samples = _loaded(wave_T, at, num_samples, is_inside, turn)
    # Taps behind the window are not left to its zeros, which don't silence what is not finite.
    if window_samples < n_fft:
        samples = tl.where(tap < window_samples, samples, 0.0)
    if in_frame:
        mean = tl.sum(samples, axis=1)[:, None] / window_samples
        before = tl.where(tap == 0, samples, _loaded(wave_T, at - 1, num_samples, is_inside, turn))
        samples = samples - preemphasis * before - (1 - preemphasis) * mean
        samples = tl.where(tap < window_samples, samples, 0.0)
    return samples


@triton.jit
def _loaded(wave_T, at, num_samples, is_inside, turn: tl.constexpr):
    """Return samples; beyond the ends a mirror image, or silence where `turn` is -1."""
    if is_inside:
        samples = tl.load(wave_T + at).to(tl.float32)
    else:
        if turn >= 0:
            at = tl.where(at < 0, turn - 1 - at, at)
            at = tl.where(at >= num_samples, 2 * num_samples - 1 - turn - at, at)
        is_there = (at >= 0) & (at < num_samples)
        samples = tl.load(wave_T + at, mask=is_there, other=0).to(tl.float32)
    return samples


@triton.jit
def _power(
    samples,
    twiddles,
    turns,
    frames: tl.constexpr,
    n1: tl.constexpr,
    n2: tl.constexpr,
    magnitude: tl.constexpr,
):
    """Return four times the power, or twice the magnitude, of each tile's bins."""
    lanes: tl.constexpr = n1 // 2
    pairs = tl.permute(tl.reshape(samples, (frames, n1, n2, 2)), (1, 0, 2, 3))
    even, odd = tl.split(pairs)
    re, im = _fft(_unstacked(even, n1), _unstacked(odd, n1), n1)
    re, im = _turned(re, im, twiddles, n1, n2)
    # The images of k1 = j, to the same lanes; n1 / 2, its own image, to that of 0.
    image_re = (re[lanes],) + re[n1 - 1 : lanes : -1]
    image_im = (im[lanes],) + im[n1 - 1 : lanes : -1]
    re, im = _fft(_exchanged(re[0:lanes], lanes, n2), _exchanged(im[0:lanes], lanes, n2), n2)
    image_re, image_im = _fft(_exchanged(image_re, lanes, n2), _exchanged(image_im, lanes, n2), n2)
    return _paired_power(re, im, image_re, image_im, turns, n2, lanes, magnitude)


@triton.jit
def _turned(re, im, twiddles, n1: tl.constexpr, n2: tl.constexpr):
    cosines = _table(twiddles, n1, n2)
    sines = _table(twiddles + n1 * n2, n1, n2)
    turned_re = ()
    turned_im = ()
    for k in tl.static_range(n1):
        turned_re = turned_re + (re[k] * cosines[k] - im[k] * sines[k],)
        turned_im = turned_im + (re[k] * sines[k] + im[k] * cosines[k],)
    return turned_re, turned_im


@triton.jit
def _paired_power(
    re,
    im,
    image_re,
    image_im,
    turns,
    n2: tl.constexpr,
    lanes: tl.constexpr,
    magnitude: tl.constexpr,
):
    """Separate the even samples' spectrum from the odd ones', put them together, square."""
    cosines = _table(turns, n2, lanes)
    sines = _table(turns + n2 * lanes, n2, lanes)
    is_first_lane = tl.arange(0, lanes)[None, :] == 0
    first = ()
    second = ()
    for s in tl.static_range(n2):
        u_re = re[s]
        u_im = im[s]
        v_re = image_re[n2 - 1 - s]
        v_im = image_im[n2 - 1 - s]
        if s < n2 // 2:
            v_re = tl.where(is_first_lane, re[(n2 - s) % n2], v_re)
            v_im = tl.where(is_first_lane, im[(n2 - s) % n2], v_im)
        else:
            u_re = tl.where(is_first_lane, image_re[s], u_re)
            u_im = tl.where(is_first_lane, image_im[s], u_im)
        e_re = u_re + v_re
        e_im = u_im - v_im
        d_re = u_re - v_re
        d_im = u_im + v_im
        t_re = d_re * cosines[s] - d_im * sines[s]
        t_im = d_re * sines[s] + d_im * cosines[s]
        image = _square(e_re - t_re, e_im - t_im)
        if s == 0:
            # The middle bin, in the place of that at half the sample rate.
            image = tl.where(is_first_lane, 4 * _square(re[n2 // 2], im[n2 // 2]), image)
        first = first + (_rooted(_square(e_re + t_re, e_im + t_im), magnitude),)
        second = second + (_rooted(image, magnitude),)
    return first + second


@triton.jit
def _square(re, im):
    return re * re + im * im


@triton.jit
def _rooted(power, magnitude: tl.constexpr):
    if magnitude:
        return tl.sqrt(power)
    else:  # noqa: RET505 - a return of another kind; Triton compiles the one branch
        return power


@triton.jit
def _energy(
    power,
    weights,
    groups: tl.constexpr,
    group: tl.constexpr,
    frames: tl.constexpr,
    lanes: tl.constexpr,
):
    """Return the energies of a group of mels, [frames, mels]."""
    rows = _table(weights + _at(groups, group, 0) * lanes, _at(groups, group, 1), lanes)
    sums = ()
    for mel in tl.static_range(_length(groups, group, 2)):
        energy = tl.zeros((frames, lanes), tl.float32)
        for index in tl.static_range(_length(groups, group, 2, mel)):
            tile = power[_at(groups, group, 2, mel, index, 1)]
            energy += tile * rows[_at(groups, group, 2, mel, index, 0)]
        sums = sums + (energy,)
    by_lane = _exchanged(sums, _MELS_IN_GROUP, lanes)
    energy = by_lane[0]
    for lane in tl.static_range(1, lanes):
        energy += by_lane[lane]
    return energy


@triton.jit
def _fft(re, im, n: tl.constexpr):
    """Return the FFT of n complex numbers, each a tensor of its own."""
    if n == 1:
        return re, im
    else:  # noqa: RET505 - as above
        even_re, even_im = _fft(re[0::2], im[0::2], n // 2)
        odd_re, odd_im = _fft(re[1::2], im[1::2], n // 2)
        low_re = ()
        low_im = ()
        high_re = ()
        high_im = ()
        for k in tl.static_range(n // 2):
            if k == 0:
                t_re = odd_re[k]
                t_im = odd_im[k]
            elif 4 * k == n:
                t_re = odd_im[k]
                t_im = -odd_re[k]
            else:
                t_re = odd_re[k] * _cosine(k, n) + odd_im[k] * _sine(k, n)
                t_im = odd_im[k] * _cosine(k, n) - odd_re[k] * _sine(k, n)
            low_re = low_re + (even_re[k] + t_re,)
            low_im = low_im + (even_im[k] + t_im,)
            high_re = high_re + (even_re[k] - t_re,)
            high_im = high_im + (even_im[k] - t_im,)
        return low_re + high_re, low_im + high_im


@triton.jit
def _exchanged(values, num_values: tl.constexpr, lanes: tl.constexpr):
    """Return `lanes` tensors whose lanes are the values, for values that have so many lanes."""
    return _unstacked(tl.permute(_stacked(values, num_values), (2, 1, 0)), lanes)


@triton.jit
def _table(table, num_rows: tl.constexpr, lanes: tl.constexpr):
    at = tl.arange(0, num_rows)[:, None, None] * lanes + tl.arange(0, lanes)[None, None, :]
    return _unstacked(tl.load(table + at), num_rows)


# The axis of a stack comes first: by Triton's own choice a thread then holds all of it, and
# neither of these moves anything between threads.


@triton.jit
def _stacked(values, n: tl.constexpr):
    if n == 1:
        return values[0][None]
    else:  # noqa: RET505 - as above
        low = _stacked(values[0 : n // 2], n // 2)
        high = _stacked(values[n // 2 : n], n // 2)
        both = tl.permute(tl.join(low, high), (3, 0, 1, 2))
        return tl.reshape(both, (n, low.shape[1], low.shape[2]))


@triton.jit
def _unstacked(stack, n: tl.constexpr):
    if n == 1:
        return (tl.reshape(stack, (stack.shape[1], stack.shape[2])),)
    else:  # noqa: RET505 - as above
        halves = tl.reshape(stack, (2, n // 2, stack.shape[1], stack.shape[2]))
        low, high = tl.split(tl.permute(halves, (1, 2, 3, 0)))
        return _unstacked(low, n // 2) + _unstacked(high, n // 2)
