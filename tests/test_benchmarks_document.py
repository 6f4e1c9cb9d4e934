"""docs/performance.md, README's table and the pictures: made of the stored results, and of nothing else."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Optional

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
# For a bare `pytest`, as in test_benchmarks.py.
sys.path.append(str(ROOT))

from benchmarks import document, machine, not_faster, plot, report, stored, targets  # noqa: E402
from benchmarks.environment import LEVELS, MEMORY  # noqa: E402
from benchmarks.peers import REFERENCE  # noqa: E402
from benchmarks.products import Products, Shares  # noqa: E402
from benchmarks.runner import Measured, Options, Quartiles, Result, Skipped  # noqa: E402
from benchmarks.selection import Case  # noqa: E402
from benchmarks.stored import OURS, Run  # noqa: E402
from benchmarks.targets import BEYOND_PRODUCTS, MET, MISSED, OUT_OF_REACH  # noqa: E402
from benchmarks.threads import Speedups  # noqa: E402
from benchmarks.workloads import Mode, Workload, cell  # noqa: E402


def _measured(microseconds: float, ratio: float, spread: float = 0.01) -> Measured:
    def quartiles(value: float) -> Quartiles:
        return Quartiles(value * (1 - spread), value, value * (1 + spread))

    return Measured(quartiles(microseconds), quartiles(ratio), 5, 1, 0.0)


def _result(size: targets.Size, mode: Mode, ratios: dict[str, float], limit: Optional[float] = None) -> Result:
    """A case in which nn.GRUCell takes 100 us, and autograd, where the limit is known, 10."""
    workload = Workload("grid " + "x".join(map(str, size)), (cell(*size),), 1, (mode,))
    peers = {name: _measured(100 / ratio, ratio) for name, ratio in ({REFERENCE: 1} | ratios).items()}
    overhead = None if limit is None else 10.0 * (mode is Mode.TRAINING)
    return Result(Case(workload, mode), peers, limit, overhead)


def _run(results: list[Result], threads: int = 1, dtype: str = "float32", **environment: str) -> Run:
    about = {**machine.describe(), "threads": threads, "environment": environment, "load_average": 0.0}
    peers = dict.fromkeys((name for result in results for name in result.peers), "1.0")
    limits = {
        "operations_per_us": 1e5,
        "autograd_us": 10,
        "bytes_per_us": {"65536": 1e5},
        "memory_us": {"inference": {"96": 0, "131072": 2}},
    }
    return Run("some-run", about, dtype, peers, limits, tuple(results))


def _verdicts(about: str, *runs: Run) -> list[tuple[str, float, str]]:
    (rule,) = [rule for rule in targets.RULES if about in rule.about]
    return [(verdict.case, pytest.approx(verdict.reached), verdict.word) for verdict in rule.verdicts(runs)]


# What is committed


def test_document_is_what_the_stored_results_give() -> None:
    expected = document.text(stored.load_all(document.RESULTS), document.load_products(), document.load_speedups())
    assert document.DOCUMENT.read_text() == expected, "run python -m benchmarks.document"


def test_documents_pictures_are_there() -> None:
    names = re.findall(r"!\[[^]]*\]\(([^)]*)\)", document.DOCUMENT.read_text())
    assert names and [name for name in names if not (document.DOCUMENT.parent / name).is_file()] == []


def test_readme_has_the_table_of_the_stored_results() -> None:
    text = (ROOT / "README.md").read_text()
    if document.README_BEGIN not in text:
        pytest.skip(f"README.md has no line {document.README_BEGIN}")
    found = text.split(document.README_BEGIN)[1].split(document.README_END)[0].strip()
    assert found == document.readme_table(stored.load_all(document.RESULTS)), "run python -m benchmarks.document --readme"


# Reading


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    result = replace(_result((1, 3, 4), Mode.INFERENCE, {OURS: 2.0}, limit=3.0), products=2.5)
    result.peers["jax"] = Skipped("inference only")
    path = tmp_path / "a.json"
    path.write_text(json.dumps(report.to_json(machine.describe(), Options(torch.bfloat16), [], {}, [result])))
    run = stored.load(path)
    assert run.results == (result,) and (run.name, run.dtype) == ("a", "bfloat16")
    assert run.limits is None and run.threads == torch.get_num_threads()


def test_older_results_have_calls_and_autograd_once_for_all_cases(tmp_path: Path) -> None:
    results = [_result((1, 3, 4), mode, {OURS: 2.0}, limit=3.0) for mode in (Mode.INFERENCE, Mode.TRAINING)]
    written = report.to_json(machine.describe(), Options(), [], {}, results)
    for case in written["results"]:
        del case["overhead_us"]
    path = tmp_path / "a.json"
    for limits, expected in (({"autograd_us": 8, "call_us": 1}, [1, 9]), ({"autograd_us": 8}, [0, 8]), (None, [None, None])):
        path.write_text(json.dumps(written | {"limits": limits}))
        assert [result.overhead for result in stored.load(path).results] == expected


def test_other_formats_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"format": 0}')
    with pytest.raises(ValueError, match=f"expected results of format {report.FORMAT}, got 0"):
        stored.load(path)


def test_title_says_what_was_asked_for() -> None:
    assert _run([]).title == "float32, 1 thread"
    run = _run([], 2, "bfloat16", **LEVELS["avx2"], **MEMORY["kept"])
    assert run.title == "bfloat16, 2 threads, level avx2 for both, freed memory kept"


# Targets


def test_target_is_met_missed_or_out_of_reach() -> None:
    """Wanted in inference at 1x256x256: 3. A limit of 40 us allows 100 / 40 = 2.5, one of 20 us allows 5."""
    for ratio, limit, word in ((3.0, 20, MET), (2.9, 20, MISSED), (2.4, 40, OUT_OF_REACH), (2.4, None, MISSED)):
        run = _run([_result((1, 256, 256), Mode.INFERENCE, {OURS: ratio}, limit)])
        (verdict,) = targets.ratios(run, Mode.INFERENCE)
        assert (verdict.wanted, verdict.reached, verdict.word) == (3, ratio, word)
        assert targets.ratios(run, Mode.TRAINING) == []


def test_target_can_be_beyond_the_products_of_torch() -> None:
    """Wanted in training at 32x256x256: 1.8. Besides autograd's 10 us products of 47 us allow 100 / 57, of 40 us 2."""
    for products, limit, word in ((47, 20, BEYOND_PRODUCTS), (40, 20, MISSED), (None, 20, MISSED), (57, 47, OUT_OF_REACH)):
        run = _run([replace(_result((32, 256, 256), Mode.TRAINING, {OURS: 1.7}, limit), products=products)])
        (verdict,) = targets.ratios(run, Mode.TRAINING)
        assert verdict.word == word
        shown = "" if products is None else f"{100 / (products + 10):.2f}"
        assert f"| grid 32x256x256 training | 1.8 | 1.70 | {shown} |" in document.text([run], [], [])


def test_peers_are_compared_by_what_they_do_with_the_weights() -> None:
    ratios = {OURS: 2.0, "jax": 2.5, "onednn": 2.05, "torch.ao-int8": 9.0}
    run = _run([_result((8, 256, 256), Mode.INFERENCE, ratios)])
    assert _verdicts("leaves weights as they are", run) == [("grid 8x256x256 inference (jax)", 0.8, MISSED)]
    assert _verdicts("packs weights", run) == [("grid 8x256x256 inference (onednn)", 2 / 2.05, MET)]
    small = _result((1, 64, 64), Mode.TRAINING, {OURS: 2.0, "jax": 3.0})
    large = _result((8, 256, 256), Mode.TRAINING, {OURS: 2.0, "jax": 1.0})
    assert _verdicts("JAX", _run([small, large])) == [("grid 8x256x256 training (jax)", 2.0, MET)]


def test_training_is_allowed_the_time_of_autograd() -> None:
    """Wanted in training at 1x256x256: 2, and to be ahead of jax. Autograd's 10 us and a limit of 45 forbid both, one of 35 the
    latter: it allows 100 / 45, while jax reaches 2.5."""
    for limit, of_target, of_rival in ((45, OUT_OF_REACH, OUT_OF_REACH), (35, MISSED, OUT_OF_REACH), (25, MISSED, MISSED)):
        run = _run([_result((1, 256, 256), Mode.TRAINING, {OURS: 1.8, "jax": 2.5}, limit)])
        assert [verdict.word for verdict in targets.ratios(run, Mode.TRAINING)] == [of_target]
        assert [word for _, _, word in _verdicts("leaves weights as they are", run)] == [of_rival]


def _speedups(most: Optional[float] = None, **environment: str) -> Speedups:
    about = {**machine.describe(), "environment": environment, "load_average": 0.0}
    cases = {"grid 64x512x512 inference": Quartiles(1.8, 1.9, 2.0), "grid 1x512x512 training": Quartiles(1.4, 1.5, 1.6)}
    return Speedups("some-speedups", about, cases, {} if most is None else {"grid 1x512x512 training": most})


def test_a_second_thread() -> None:
    for most, word in ((None, MISSED), (1.7, MISSED), (1.55, OUT_OF_REACH)):
        found = _speedups(most, **MEMORY["kept"])
        verdicts = [verdict for rule in targets.THREAD_RULES for verdict in rule.verdicts(found)]
        assert [(verdict.case, verdict.wanted, verdict.reached, verdict.word) for verdict in verdicts] == [
            ("grid 64x512x512 inference, freed memory kept", 1.8, 1.9, MET),
            ("grid 1x512x512 training, freed memory kept", 1.6, 1.5, word),
        ]


def test_document_has_the_speedups_of_its_machine() -> None:
    text = document.text([_run([])], [], [_speedups(), _speedups(1.7, **MEMORY["kept"])])
    assert "| case | memory as the C library has it | most | freed memory kept | most |" in text
    assert "| grid 1x512x512 training | 1.50 (1.40 to 1.60) |  | 1.50 (1.40 to 1.60) | 1.70 |" in text
    assert "N = 1, H >= 512 | 1.60 | 0 of 2 | MISSED | grid 1x512x512 training 1.50; grid 1x512x512 training, freed" in text
    elsewhere = Speedups("other", {**_speedups().machine, "cpu": "another"}, _speedups().cases, {})
    text = document.text([_run([])], [], [elsewhere])
    assert "A second thread" not in text and "N = 1, H >= 512 |  |  | not measured |  |" in text


def test_levels_count_what_is_slower_beyond_the_spread() -> None:
    results = [_result((1, n, n), Mode.INFERENCE, {OURS: ratio}) for n, ratio in ((3, 0.9), (4, 0.995), (5, 1.1))]
    words = [word for _, _, word in _verdicts("level avx2", _run(results, **LEVELS["avx2"]))]
    assert words == [MISSED, MET, MET]
    # 100 us against at least 120 with the instructions of this level.
    forbidden = _run([_result((1, 3, 3), Mode.INFERENCE, {OURS: 0.8}, limit=120)], **LEVELS["avx2"])
    assert [word for _, _, word in _verdicts("level avx2", forbidden)] == [OUT_OF_REACH]
    assert _verdicts("level default", _run(results, **LEVELS["avx2"])) == []


def _products(forward: float, backward: float, reading: float, **environment: str) -> Products:
    def quartiles(value: float) -> Quartiles:
        return Quartiles(value - 0.01, value, value + 0.01)

    about = {**machine.describe(), "environment": environment, "load_average": 0.0}
    passes = {"forward": Shares(quartiles(forward), quartiles(0.5)), "backward": Shares(quartiles(backward), quartiles(0.6))}
    return Products("some-products", about, {"64x512x512": passes}, {"1x256x256": quartiles(reading)})


def test_shares_of_products_and_of_reading() -> None:
    found = _products(forward=0.85, backward=0.79, reading=0.9)
    verdicts = [verdict for rule in targets.SHARE_RULES for verdict in rule.verdicts(found)]
    assert [(verdict.case, verdict.wanted, verdict.reached, verdict.word) for verdict in verdicts] == [
        ("64x512x512", 0.85, 0.85, MET),
        ("64x512x512", 0.8, 0.79, MISSED),
        ("1x256x256", 0.85, 0.9, MET),
    ]


def test_products_have_at_least_the_share_of_their_pass() -> None:
    """0.6 of the backward one here, of which what a larger input adds has 0.55."""
    backward = targets.SHARE_RULES[1]
    assert [verdict.reached for verdict in backward.verdicts(_products(0.85, 0.55, 0.9))] == [0.6]


def test_document_has_the_shares_of_its_machine() -> None:
    run = _run([])
    at_level = _products(0.1, 0.2, 0.3, **LEVELS["avx2"])
    text = document.text([run], [_products(0.85, 0.79, 0.9), at_level], [])
    assert "| 64x512x512 | 85% (84% to 86%) | 50% (49% to 51%) | 79% (78% to 80%) | 60% (59% to 61%) |" in text
    assert "| 1x256x256 | 90% (89% to 91%) |" in text
    assert "float32, 1 thread, level avx2" in text and "| 1x256x256 | 30% (29% to 31%) |" in text
    # What is wanted is wanted of the best level.
    assert "share of the arithmetic | 80% | 0 of 1 | MISSED | 64x512x512 79% |" in text
    elsewhere = Products("other", {**at_level.machine, "cpu": "another"}, at_level.passes, at_level.reading)
    assert "of the arithmetic |  |  | not measured |  |" in document.text([run], [elsewhere], [])


# Where ours is not faster


def test_not_faster_names_everyone_ahead_beyond_the_spread() -> None:
    ratios = {OURS: 2.0, "jax": 2.5, "onednn": 3.0, "litert": 2.01, "torch.ao-int8": 9.0}
    behind, slower = _result((8, 8, 8), Mode.INFERENCE, ratios), _result((9, 9, 9), Mode.INFERENCE, {OURS: 0.9})
    ahead = _result((7, 7, 7), Mode.INFERENCE, {OURS: 2.0, "jax": 1.5})
    found = {case.result.case.name: list(case.others) for case in not_faster.find(_run([behind, slower, ahead]))}
    assert found == {"grid 8x8x8 inference": ["onednn", "jax"], "grid 9x9x9 inference": [REFERENCE]}


def test_document_of_results_that_a_test_made() -> None:
    text = document.text([_run([_result((1, 256, 256), Mode.INFERENCE, {OURS: 2.4, "onednn": 2.5}, limit=40)])], [], [])
    assert "| grid 1x256x256 | 100 | 2.40 (2.38 to 2.42) | 96% | 2.50 |" in text
    assert "| grid 1x256x256 inference | 3 | 2.40 |  | 2.5 | 120% | out of reach here |" in text
    assert "| float32, 1 thread | grid 1x256x256 inference | 2.40 (2.38 to 2.42) | onednn 2.50 |" in text
    assert "100 GB/s from 64 KiB, 66 GB/s from 128 KiB; 10 us for one operator" in text and "BUSY (" not in text


def test_readme_has_the_highest_level_and_of_that_the_last_run() -> None:
    def run(name: str, level: Optional[str], ratio: float) -> Run:
        found = _run([_result((1, 3, 4), mode, {OURS: ratio}) for mode in (Mode.INFERENCE, Mode.TRAINING)])
        return replace(found, name=name, machine={**found.machine, "gru_ext_level": level})

    runs = [run("4", None, 1), run("3", "avx2", 2), run("2", "avx512", 3), run("1", "avx512", 4)]
    for order in (runs, runs[::-1]):
        assert "| 3.00 " in document.readme_table(order)


def test_readme_needs_plain_results() -> None:
    with pytest.raises(ValueError, match="README"):
        document.readme_table([_run([], threads=2), _run([], **LEVELS["avx2"]), _run([], **MEMORY["kept"])])


# Pictures


def test_pictures_are_the_same_for_the_same_results(tmp_path: Path) -> None:
    ratios = {OURS: 2.0, "jax": 3.0, "jit.freeze": 1.0}
    run = _run(
        [_result(size, mode, ratios, 30) for size in ((1, 64, 64), (8, 64, 64)) for mode in (Mode.INFERENCE, Mode.TRAINING)]
    )
    texts = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        texts.append({path.name: path.read_text() for path in plot.write([run], tmp_path / folder)})
    assert texts[0] == texts[1]
    assert list(texts[0]) == ["some-run-speed.svg", "some-run-share-of-the-limit.svg", "some-run-where-not-faster.svg"]
    speed, share, behind = texts[0].values()
    for name in (REFERENCE, OURS, "jax", "jit.freeze", "N, rows of a batch", "H = 64"):
        assert name in speed
    assert "share of the limit, %" in share and "the best of the others" in share
    assert "jax" in behind and "grid 8x64x64 training" in behind


def test_pictures_without_content_are_not_drawn() -> None:
    assert plot.kinds(_run([_result((1, 64, 64), Mode.INFERENCE, {OURS: 2.0})])) == ["speed"]
    assert plot.kinds(_run([])) == []
