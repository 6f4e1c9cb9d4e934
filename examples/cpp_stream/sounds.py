"""Sounds to train on, made by code: tones, sweeps, voices, noises, and speech where espeak-ng is installed."""

import math
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from spectra import RATE, read_wav
from torch import Tensor, nn

SENTENCES = (
    "The robot waits at the door until somebody opens it.",
    "Please turn the music down, we can hardly hear each other.",
    "Seven small boats left the harbour before sunrise.",
    "Which of these two cables belongs to the camera?",
    "He measured the room twice and bought too much paint.",
    "Thunder rolled over the hills while we packed the tent.",
)
VOICES = ("en-us", "en-us+m3", "en-gb+f2", "en-gb+f4")
HELD_OUT = ("The train to the north leaves from another platform today, at half past nine.", "en-gb-scotland+m7")


def uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def stretched(points: Tensor, n: int) -> Tensor:
    """[K, m] -> [K, n]: straight lines between the points."""
    return nn.functional.interpolate(points[None], size=n, mode="linear")[0]


def curve(n: int, low: float, high: float, seconds: float) -> Tensor:
    """[n]: random numbers so many seconds apart, and straight lines between them."""
    return stretched(torch.empty(1, 2 + int(n / RATE / seconds)).uniform_(low, high), n)[0]


def phase(hertz: Tensor) -> Tensor:
    """In radians, [n], of what has these frequencies [n]."""
    return (2 * math.pi * torch.cumsum(hertz.double() / RATE, 0) % (2 * math.pi)).float()


def tones(n: int) -> Tensor:
    """Three notes that come and go."""
    notes = [torch.sin(phase(torch.full((n,), hertz))) for hertz in (100 * 40 ** torch.rand(3)).tolist()]
    return torch.stack([curve(n, -0.5, 1, 0.3).clamp(min=0) * note for note in notes]).sum(0)


def sweep(n: int) -> Tensor:
    """A tone that wanders through five octaves."""
    return curve(n, -0.3, 1, 0.5).clamp(min=0) * torch.sin(phase(150 * 2 ** curve(n, 0, 5, 0.7)))


def voice(n: int) -> Tensor:
    """Like vowels: harmonics of a wandering pitch under three formants, in syllables with gaps between them."""
    middle = uniform(90, 240)
    pitch = middle * 2 ** curve(n, -0.3, 0.3, 0.25)
    k = torch.arange(1, 1 + int(RATE / 2 / middle))[:, None]
    hertz = k * pitch[::100]  # loudness changes slowly
    formants = ((300, 850, 90, 1.0), (900, 2300, 130, 0.6), (2400, 3400, 200, 0.3))
    peaks = [a / (1 + ((hertz - curve(n, low, high, 0.15)[::100]) / width) ** 2) for low, high, width, a in formants]
    loudness = torch.stack(peaks).sum(0) * (hertz < RATE / 2) / (1 + hertz / 2000)
    return curve(n, -0.7, 1, 0.12).clamp(min=0) * (stretched(loudness, n) * torch.sin(k * phase(pitch))).sum(0)


def noise(count: int, n: int) -> Tensor:
    """[count, n] of power 1: between blue and brown, every second one with the hum of a mains supply."""
    hertz = torch.fft.rfftfreq(n, 1 / RATE).clamp(min=20)
    slope = torch.empty(count, 1).uniform_(-0.3, 1)  # of the amplitude: 0 is white, 0.5 pink, 1 brown
    spectra = torch.randn(count, len(hertz), dtype=torch.complex64) * hertz**-slope
    spectra /= spectra.abs().square().sum(1, keepdim=True).sqrt()
    harmonics = torch.arange(1, 9)
    for spectrum in spectra[::2]:
        lines = (harmonics * (50 + 10 * torch.randint(2, ())) * n / RATE).long()
        spectrum[lines] += uniform(0.2, 1) * torch.randn(8, dtype=torch.complex64) / harmonics
    return _of_power_one(torch.fft.irfft(spectra, n))


def _of_power_one(sounds: Tensor) -> Tensor:
    return sounds / sounds.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-6)


def speech(text: str, voice_name: str, words_per_minute: int = 160) -> Tensor:
    """[n]: what espeak-ng says, at RATE."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "speech.wav")
        subprocess.run(("espeak-ng", "-v", voice_name, "-s", str(words_per_minute), "-w", path, text), check=True)
        samples, rate = read_wav(path)
    n = round(len(samples) * RATE / rate)
    return torch.fft.irfft(torch.fft.rfft(samples)[: n // 2 + 1], n)  # nothing above RATE / 2 is left


def training_clips(count: int, n: int) -> tuple[Tensor, str]:
    """[clips, n] of power 1, and in words what they are: voices three times out of four, tones, sweeps, speech."""
    kinds = (voice, voice, voice, tones, voice, voice, voice, sweep)
    clips = [kinds[i % len(kinds)](n) for i in range(count)]
    if shutil.which("espeak-ng") is None:
        return _of_power_one(torch.stack(clips)), f"{count} clips made by code (espeak-ng is not installed)"
    for i, (text, name) in enumerate((text, name) for text in SENTENCES for name in VOICES):
        said = speech(text, name, 140 + 10 * (i % 5))
        clips += nn.functional.pad(said, (0, -len(said) % n)).unfold(0, n, n).unbind(0)
    return _of_power_one(torch.stack(clips)), f"{count} clips made by code and {len(clips) - count} spoken by espeak-ng"


def test_clip() -> Tensor:
    """[n] of power 1: a voice, tones, a sweep, and a sentence of espeak-ng where it is installed."""
    parts = [voice(5 * RATE), tones(RATE), sweep(2 * RATE)]
    if shutil.which("espeak-ng") is not None:
        parts.append(speech(*HELD_OUT))
    return _of_power_one(torch.cat([_of_power_one(part) for part in parts]))
