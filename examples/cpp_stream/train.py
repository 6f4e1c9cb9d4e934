"""Trains the denoiser, about a minute on one core, and writes denoiser.gru, and noisy.wav and clean.wav to try it on.

The model is two GRU layers and nothing else: the states of the second are the gains of the bands.
"""

import argparse

import torch
from sounds import noise, test_clip, training_clips
from spectra import BANDS, RATE, denoise, denoise_spectra, to_spectra, write_wav
from torch import Tensor, nn

import gru_ext

HIDDEN = 64  # units of the first layer
BATCH = 32
LENGTH = 2 * RATE  # samples of a training clip
CLIPS = 160
LEARNING_RATE = 4e-3
TEST_SEED = 1 << 20  # what is tested is drawn from it: no training clip has these numbers
TEST_CLIPS = 20
TEST_RMS = 0.05
TEST_SNR = (0.0, 2.5, 5.0)  # dB; the WAV files have the middle one


def batch(clips: Tensor) -> tuple[Tensor, Tensor]:
    """Noisy and clean [BATCH, LENGTH]: clips from any place on, with new noises, from -5 to 15 dB, from -40 to -14 dBFS."""
    clean = clips[torch.randint(len(clips), (BATCH,))].roll(int(torch.randint(LENGTH, ())), 1)
    snr, rms = torch.empty(BATCH, 1).uniform_(-5, 15), 10 ** torch.empty(BATCH, 1).uniform_(-2, -0.7)
    return rms * (clean + noise(*clean.shape) * 10 ** (-snr / 20)), rms * clean


def decibels(signal: Tensor, error: Tensor) -> Tensor:
    """[N, ...] -> [N]: ten times the logarithm of the ratio of their energies."""
    return 10 * torch.log10(signal.abs().square().flatten(1).sum(1) / error.abs().square().flatten(1).sum(1))


def train(clips: Tensor, steps: int) -> nn.ModuleList:
    """The two layers after so many steps; the loss is the SNR that they lack."""
    cells = nn.ModuleList([gru_ext.GRUCell(BANDS, HIDDEN), gru_ext.GRUCell(HIDDEN, BANDS)])
    optimizer = torch.optim.Adam(cells.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for step in range(1, steps + 1):
        noisy, clean = map(to_spectra, batch(clips))
        gained = (decibels(clean, clean - denoise_spectra(cells, noisy)) - decibels(clean, clean - noisy)).mean()
        optimizer.zero_grad()
        (-gained).backward()
        nn.utils.clip_grad_norm_(cells.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % max(1, steps // 10) == 0:
            print(f"step {step:4d} of {steps}: SNR {gained.item():+.1f} dB", flush=True)
    return cells


@torch.inference_mode()
def test(cells: nn.ModuleList) -> None:
    """Prints the SNR of clips and noises that were not trained on, and writes the first as noisy.wav and clean.wav."""
    torch.manual_seed(TEST_SEED)
    clean = TEST_RMS * torch.stack([test_clip() for _ in range(TEST_CLIPS)])
    noises = TEST_RMS * noise(*clean.shape)
    for snr in TEST_SNR:
        noisy = clean + 10 ** (-snr / 20) * noises
        after = decibels(clean, clean - denoise(cells, noisy))
        low, middle, high = after.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
        print(f"{TEST_CLIPS} unheard clips: SNR before {snr:.1f} dB, after {middle:.1f} dB, quartiles {low:.1f} and {high:.1f}")
    write_wav("clean.wav", clean[0])
    write_wav("noisy.wav", clean[0] + 10 ** (-TEST_SNR[1] / 20) * noises[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400, help="of training (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", default="float32", help="what programs pack: float32, bfloat16 or int8 (%(default)s)")
    arguments = parser.parse_args()

    torch.set_num_threads(1)  # a step of 32 rows is too small to share: beside other programs, threads wait more than they work
    torch.manual_seed(arguments.seed)
    clips, what = training_clips(CLIPS, LENGTH)
    print(f"training on {what}, {LENGTH // RATE} s each")
    cells = train(clips, arguments.steps)
    gru_ext.save_stream(cells, "denoiser.gru", arguments.weights)
    test(cells)


if __name__ == "__main__":
    main()
