"""benchmarks/peers/rt_neural.*: what it hands to RTNeural, by a stand-in with the same interface and plain loops."""

import os
import shutil
import sys
from pathlib import Path

import pytest
import torch

# For a bare `pytest`, as in test_benchmarks.py.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks import accuracy, cases  # noqa: E402
from benchmarks.peers import all_peers  # noqa: E402
from benchmarks.selection import Case  # noqa: E402
from benchmarks.workloads import Mode, Workload, cell  # noqa: E402

PEER = all_peers()["rtneural"]

# Gates in the order z, r, n; weights as [K][3H], biases as [2][3H]; the state is what lies in `outs`.
_STAND_IN = """
#include <cmath>
#include <vector>

namespace RTNeural {

template <typename T, int I, int H>
class GRULayerT {
 public:
  using Rows = std::vector<std::vector<T>>;
  void setWVals(const Rows& values) { w_ = values; }
  void setUVals(const Rows& values) { u_ = values; }
  void setBVals(const Rows& values) { b_ = values; }
  void forward(const T (&x)[I]) noexcept {
    T a[3 * H], c[3 * H];
    for (int j = 0; j < 3 * H; ++j) {
      a[j] = b_.at(0).at(j);
      c[j] = b_.at(1).at(j);
      for (int i = 0; i < I; ++i) a[j] += x[i] * w_.at(i).at(j);
      for (int i = 0; i < H; ++i) c[j] += outs[i] * u_.at(i).at(j);
    }
    for (int j = 0; j < H; ++j) {
      const T z = 1 / (1 + std::exp(-a[j] - c[j])), r = 1 / (1 + std::exp(-a[H + j] - c[H + j]));
      const T n = std::tanh(a[2 * H + j] + r * c[2 * H + j]);
      outs[j] = (1 - z) * n + z * outs[j];
    }
  }
  alignas(RTNEURAL_DEFAULT_ALIGNMENT) T outs[H];

 private:
  Rows w_, u_, b_;
};

}  // namespace RTNeural
"""


@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="RTNeural is compiled where it is used")
@pytest.mark.parametrize("bias", [True, False])
def test_layer_is_given_the_cells_parameters_and_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bias: bool) -> None:
    (tmp_path / "RTNeural").mkdir()
    (tmp_path / "RTNeural" / "RTNeural.h").write_text(_STAND_IN)
    monkeypatch.setenv("RTNEURAL", str(tmp_path))
    assert PEER.why_unavailable() is None
    workload = Workload("two cells", (cell(1, 3, 4), cell(1, 5, 2)), 3, (Mode.LOOP_INFERENCE,), bias)
    problem = cases.build(Case(workload, Mode.LOOP_INFERENCE), torch.float32)
    found = accuracy.run_call(problem, PEER.build(problem))
    # Some 60 roundings of half an epsilon, were they all of one sign; a wrong formula is off by more than 10,000.
    assert accuracy.error(found, accuracy.exact(problem), PEER.to_torch) <= 60 * torch.finfo(torch.float32).eps


def test_more_than_one_row_is_refused() -> None:
    workload = Workload("two rows", (cell(2, 3, 4),), 1, (Mode.INFERENCE,))
    assert PEER.why_not(cases.build(Case(workload, Mode.INFERENCE), torch.float32)) == "one row only"


def test_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RTNEURAL", raising=False)
    assert "RTNEURAL is not set" in PEER.why_unavailable()
    monkeypatch.setenv("RTNEURAL", str(tmp_path))
    assert "without RTNeural/RTNeural.h" in PEER.why_unavailable()
