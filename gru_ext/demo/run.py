"""The steps of the demo, in order."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import GRUCell, _library
from . import cpp, data, plots, saving, speed, training
from .gates import gates_over_time
from .model import DigitClassifier, build
from .report import Report

EPOCHS = 20
_SEED = 0
_HIDDEN_SIZE = 96
_SPEED_HIDDEN_SIZES = (_HIDDEN_SIZE, 256)
_GOAL = 0.97
_COMPARED = 100  # test images that the loaded models are compared on
_SHOWN_DIGIT = 3
_CELLS = ("torch.nn.GRUCell", "gru_ext.GRUCell")


def run(out: Path, epochs: int, skip: Sequence[str]) -> list[str]:
    """Runs the demo and writes its files to `out`.

    Args:
        out: the folder; made if it does not exist.
        epochs: for training; with fewer than :data:`EPOCHS` the accuracy is shown but not judged.
        skip: any of "speed" and "cpp".

    Returns:
        One sentence for each thing that did not come out as it must; empty if all is well.
    """
    begin = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)
    # One step of a small cell is too little work to share; on a busy machine, threads that wait for each other blur every time.
    torch.set_num_threads(1)
    report = Report("gru_ext demo: handwritten digits, read row by row by two GRU cells")
    report.say(_what_runs())
    digits = data.load(_SEED)
    models = [build(cell, _HIDDEN_SIZE, _SEED) for cell in (nn.GRUCell, GRUCell)]

    curves = _train(report, models, digits, epochs)
    problems = _compare(report, models, digits, curves, judged=epochs >= EPOCHS)
    plots.plot_losses(*curves, out / "loss_curves.png")
    report.picture(out / "loss_curves.png", "both loss curves, and how far apart they are")
    problems += _save(report, models[1], digits, out, skip)
    _show_gates(report, models[1], digits, out)
    _measure_speed(report, out, skip)
    report.heading("Files")
    report.say(f"Done in {time.perf_counter() - begin:.0f} s.")
    report.write(out / "report.html")
    return problems


def _what_runs() -> str:
    if _library.reason is not None:
        return (
            f"gru_ext runs on torch's own cell here ({_library.reason}), so both columns below show the same code and the "
            "comparison of speed and the C++ program are skipped."
        )
    level = torch.ops.gru_ext._cpu_level()
    return f"torch {torch.__version__}, gru_ext with its compiled kernels (instruction set: {level}), float32, one thread."


def _train(report: Report, models: list[DigitClassifier], digits: data.Digits, epochs: int) -> list[training.Curve]:
    train, test = len(digits.train_labels), len(digits.test_labels)
    report.heading("Training")
    report.say(
        f"{train} images to learn from, {test} to test with. Each image is {data.STEPS} steps of {data.INPUTS} pixels; the "
        f"state has {_HIDDEN_SIZE} units. Both models start from the same weights and see the same batches; they take "
        "turns by epoch."
    )
    print(f"  {'epoch':>7}  {'loss, torch':>11}  {'loss, gru_ext':>13}  {'time, torch':>11}  {'time, gru_ext':>13}")

    def progress(done: int, stock: training.Curve, ours: training.Curve) -> None:
        times = f"{stock.seconds[-1] * 1e3:>8.1f} ms  {ours.seconds[-1] * 1e3:>10.1f} ms"
        print(f"  {done:>3}/{epochs:<3}  {stock.losses[-1]:>11.6f}  {ours.losses[-1]:>13.6f}  {times}", flush=True)

    curves = training.train_in_turns(models, digits, epochs, progress)
    print()
    return curves


def _compare(
    report: Report, models: list[DigitClassifier], digits: data.Digits, curves: list[training.Curve], judged: bool
) -> list[str]:
    """The table of results; complains about the accuracy only if it is to be `judged`."""
    accuracies = [training.accuracy(model, digits.test_images, digits.test_labels) for model in models]
    times = [curve.median_seconds for curve in curves]
    apart = training.largest_difference(*curves)
    report.heading("Result")
    report.table(
        ("", *_CELLS, "comparison"),
        (
            ("test accuracy", *(f"{value:.1%}" for value in accuracies), f"goal: at least {_GOAL:.0%}"),
            ("loss, last epoch", *(f"{curve.losses[-1]:.6f}" for curve in curves), f"curves at most {apart:.1g} apart"),
            ("time per epoch, median", *(f"{time * 1e3:.1f} ms" for time in times), f"{times[0] / times[1]:.2f}x as fast"),
        ),
    )
    problems = []
    if apart > training.ALLOWED:
        problems.append(f"the loss curves are {apart:.1g} apart, more than {training.ALLOWED:.0e}")
    for name, value in zip(_CELLS, accuracies, strict=True):
        if judged and value < _GOAL:
            problems.append(f"the test accuracy with {name} is {value:.1%}, less than {_GOAL:.0%}")
    return problems


def _save(report: Report, model: DigitClassifier, digits: data.Digits, out: Path, skip: Sequence[str]) -> list[str]:
    report.heading("Saved and loaded")
    images, labels = digits.test_images[:_COMPARED], digits.test_labels[:_COMPARED]
    script = saving.save_torchscript(model, images, out / "digits.pt")
    exported = saving.save_exported(model, images, out / "digits.pt2")
    results = [script, exported]
    problems = []
    done = None
    why_not = "--skip cpp asks for it" if "cpp" in skip else cpp.why_not()
    if why_not is None:
        print(f"Building the C++ program from {cpp.SOURCES} (the first time it takes a while) ...\n", flush=True)
        try:
            done = cpp.run(cpp.build(out / "cpp_build"), script.path, model, images, labels)
            results.append(saving.Loaded(script.path, "C++ program", done.difference))
        except cpp.CppError as error:  # the rest of the demo can still be shown
            problems.append(str(error))
            report.say("The C++ program could not be built or run: the last lines of the output say why.")
    report.say(f"The largest difference to the model in memory, over the logits of {len(images)} test images:")
    report.table(
        ("file", "loaded by", "largest difference"),
        [(str(result.path), result.by, f"{result.difference:.2g}") for result in results],
    )
    if why_not is not None:
        report.say(f"The C++ program is skipped: {why_not}.")
    if done is not None:
        _show_logits(report, model, images, done)
    return problems + [
        f"{result.path} loaded by {result.by} differs by {result.difference:.1e}, more than {saving.ALLOWED:.0e}"
        for result in results
        if not result.equal
    ]


def _show_logits(report: Report, model: DigitClassifier, images: Tensor, done: cpp.CppRun) -> None:
    with torch.no_grad():
        here = model(images)[0]  # the whole batch, as in C++: other batch sizes may be summed in another order
    report.say("The logits of the first test image, from Python and from the C++ program, which contains no Python:")
    rows = [(name, *(f"{value:.5f}" for value in logits)) for name, logits in (("Python", here), ("C++", done.logits[0]))]
    report.table(("digit", *map(str, range(data.CLASSES))), rows)
    report.say(f"One training step in C++ takes the loss from {done.losses[0]:.6f} to {done.losses[1]:.6f}.")


def _show_gates(report: Report, model: DigitClassifier, digits: data.Digits, out: Path) -> None:
    report.heading("Inside the cell")
    index = int((digits.test_labels == _SHOWN_DIGIT).nonzero()[0])
    image = digits.test_images[index]
    with torch.no_grad():
        predicted = int(model(image.unsqueeze(0)).argmax())
    plots.plot_gates(image, gates_over_time(model.cell, image), _SHOWN_DIGIT, predicted, out / "gates.png")
    report.picture(out / "gates.png", f"a {_SHOWN_DIGIT} and the gates r, z and n while gru_ext's cell reads it")


def _measure_speed(report: Report, out: Path, skip: Sequence[str]) -> None:
    report.heading("Speed by batch size")
    if "speed" in skip or _library.reason is not None:
        why_not = "--skip speed asks for it" if "speed" in skip else "both cells are the same code here"
        report.say(f"Skipped: {why_not}.")
        return
    speeds: list[speed.Speed] = []
    for hidden_size in _SPEED_HIDDEN_SIZES:
        print(f"  measuring {data.INPUTS} inputs and {hidden_size} units ...", flush=True)
        speeds += speed.measure(hidden_size)
    print()
    plots.plot_speed(speeds, out / "speed.png")
    report.picture(out / "speed.png", "processor time per call of both cells, forward and forward + backward")
