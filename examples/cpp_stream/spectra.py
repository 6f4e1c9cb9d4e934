"""The pipeline in Python: what the GRU hears of a sound, and what its answer does to it. README.md draws it.

    python spectra.py MODEL.gru NOISY.wav OUT.wav

does with PyTorch what the C++ program does, float32 weights throughout: the reference for it. n samples are T hops; a frame is
two hops, and a hop of silence before and after makes T + 1 of them.
"""

import math
import struct
import sys
import wave
from collections.abc import Sequence

import torch
from torch import Tensor, nn

import gru_ext

RATE = 16000  # samples per second
HOP = 160  # samples: 10 ms
FRAME = 2 * HOP
BINS = FRAME // 2 + 1  # 50 Hz apart
BANDS = 32
FLOOR = 1e-6  # energy of a band; the rounding to 16 bits alone makes about a tenth of it

WINDOW = torch.sin(math.pi * (torch.arange(FRAME) + 0.5) / FRAME)


def _bands() -> Tensor:
    """[BANDS, BINS]: triangles that are equally wide on the mel scale; the weights of each bin sum to one."""
    mel = torch.log10(1 + torch.arange(BINS, dtype=torch.float64) * RATE / FRAME / 700)
    position = (BANDS - 1) * mel / mel[-1]
    return (1 - (position - torch.arange(BANDS)[:, None]).abs()).clamp(min=0).float()


WEIGHTS = _bands()


def to_spectra(samples: Tensor) -> Tensor:
    """[..., n] -> [..., T + 1, BINS], complex."""
    padded = nn.functional.pad(samples, (HOP, HOP + -samples.size(-1) % HOP))
    return torch.fft.rfft(padded.unfold(-1, FRAME, HOP) * WINDOW)


def to_samples(spectra: Tensor, n: int) -> Tensor:
    """[..., T + 1, BINS] -> [..., n]: windowed again; each hop is the sum of two frames."""
    frames = torch.fft.irfft(spectra, FRAME) * WINDOW
    return (frames[..., :-1, HOP:] + frames[..., 1:, :HOP]).flatten(-2)[..., :n]


def features(spectra: Tensor) -> Tensor:
    """[..., BINS] -> [..., BANDS], the GRU's input: logarithms of the energies, from -1 (silence) to about 1 (full scale)."""
    return (torch.log10(FLOOR + spectra.abs().square() @ WEIGHTS.T) + 1) / 5


def gains(states: Tensor) -> Tensor:
    """[..., BANDS], states of the last layer -> [..., BINS], factors from 0 to 1."""
    return (1 + states) / 2 @ WEIGHTS


def states_of(cells: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Layers on top of each other, from states of zero: [T, N, I] -> [T, N, H] of the last."""
    for cell in cells:
        h = x.new_zeros(x.size(1), cell.hidden_size)
        x = torch.stack([h := cell(row, h) for row in x])
    return x


def denoise_spectra(cells: Sequence[nn.Module], spectra: Tensor) -> Tensor:
    """[N, T + 1, BINS] -> the same, each bin times its gain."""
    return spectra * gains(states_of(cells, features(spectra).transpose(0, 1)).transpose(0, 1))


def denoise(cells: Sequence[nn.Module], samples: Tensor) -> Tensor:
    """[N, n] -> [N, n]."""
    return to_samples(denoise_spectra(cells, to_spectra(samples)), samples.size(-1))


def read_wav(path: str) -> tuple[Tensor, int]:
    """Samples [n] from -1 to 1 and their rate, of a file with one channel of 16 bits."""
    with wave.open(path, "rb") as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise ValueError(f"{path}: expected 1 channel of 2 bytes, got {file.getnchannels()} of {file.getsampwidth()}")
        numbers = [number for (number,) in struct.iter_unpack("<h", file.readframes(file.getnframes()))]
        return torch.tensor(numbers, dtype=torch.float32) / 32768, file.getframerate()


def write_wav(path: str, samples: Tensor) -> None:
    """Samples [n] from -1 to 1, rounded to 16 bits; what is beyond is clipped."""
    numbers = torch.round(samples * 32768).clamp(-32768, 32767).to(torch.int16).tolist()
    with wave.open(path, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(struct.pack(f"<{len(numbers)}h", *numbers))


def main(model_path: str, noisy_path: str, out_path: str) -> None:
    samples, rate = read_wav(noisy_path)
    if rate != RATE:
        raise ValueError(f"{noisy_path}: expected {RATE} Hz, got {rate}")
    with torch.inference_mode():
        write_wav(out_path, denoise(gru_ext.load_stream(model_path), samples[None])[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
