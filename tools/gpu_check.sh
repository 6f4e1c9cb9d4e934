#!/usr/bin/env bash
# gpu_check.sh: everything that can only be said on a machine with a CUDA GPU, in one command, without a network: builds the
# package and the torch-free programs for that GPU, runs the tests, the sanitizer, the benchmark and the profiler, and prints
# what was found, the targets near the end. A stage that fails does not stop those after it; the exit status is 1 if any did.
# Clocks and all other settings of the device are left as they are.
#
#   PYTHON   a Python with torch for that GPU, pytest, numpy, hypothesis, ninja, setuptools, pybind11; default: python3
#   OUT      where the results go, at most 8 files; default: build/gpu_check
#   PROGRAMS where what is compiled without torch goes; default: build/gpu_programs
#   LIMIT    seconds for all of it; default: 560
#   FAIL_WITHOUT_CUDA=1  makes it a failure that there is no GPU; else it says so and exits with 0
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

PYTHON=${PYTHON:-python3}
LIMIT=${LIMIT:-560}
OUT=${OUT:-build/gpu_check}
PROGRAMS=${PROGRAMS:-build/gpu_programs}
SUMMARY=$OUT/summary.txt
LOG=$OUT/log.txt
mkdir -p "$OUT"
rm -f "$OUT"/{summary.txt,log.txt,tests.xml,sanitizer.txt,kernels.txt,ncu.csv,bench.json,bench.md}
: >"$SUMMARY"
: >"$LOG"
# For every process that is started from here, wherever it runs.
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1

# note STAGE RESULT WHAT: one line of the summary; RESULT is ok, FAILED or skipped.
note() {
    printf '%-10s %-8s %s\n' "$1" "$2" "$3" | tee -a "$SUMMARY"
}

# within SECONDS COMMAND...: the command with that limit, or with what is left of the whole; 10 s are for the report. Interrupted first, so that pytest
# still says what it found; killed 10 s later.
within() {
    local limit=$1 left=$((LIMIT - SECONDS - 10))
    shift
    if ((left < limit)); then limit=$left; fi
    if ((limit < 5)); then
        echo "no time is left for: $*"
        return 124
    fi
    timeout --signal=INT --kill-after=10 "$limit" "$@"
}

# check STAGE WHAT SECONDS COMMAND...: runs it, its output in the log, and notes how it ended.
check() {
    local stage=$1 what=$2 limit=$3 begin=$SECONDS status
    shift 3
    printf '\n=== %s: %s\n' "$stage" "$what" >>"$LOG"
    within "$limit" "$@" >>"$LOG" 2>&1
    status=$?
    ended "$stage" "$what" "$status" $((SECONDS - begin))
    return $status
}

# ended STAGE WHAT STATUS SECONDS
ended() {
    case $3 in
    0) note "$1" ok "$2 ($4 s)" ;;
    124 | 137) note "$1" FAILED "$2: not done after $4 s" ;;
    *) note "$1" FAILED "$2: status $3 after $4 s" ;;
    esac
}

# totals: for each stage "STAGE: P passed, F failed, S skipped".
totals() {
    awk '
        !($1 in seen) { seen[$1] = 1; order[++stages] = $1 }
        $2 == "ok" { passed[$1]++ }
        $2 == "FAILED" { failed[$1]++ }
        $2 == "skipped" { skipped[$1]++ }
        END {
            for (k = 1; k <= stages; k++) {
                s = order[k]
                printf "%s: %d passed, %d failed, %d skipped\n", s, passed[s], failed[s], skipped[s]
            }
        }' "$SUMMARY"
}

# --- Without a device: every stage is one that could not be run.

# Prints the compute capability, such as 9.0, and the name of the GPU; fails where there is none.
find_device() {
    "$PYTHON" -c '
import sys
import torch
if not torch.cuda.is_available():
    sys.exit(f"torch {torch.__version__} sees no CUDA device")
print("%d.%d" % torch.cuda.get_device_capability(), torch.cuda.get_device_name())'
}

no_device() {
    local result=skipped tests
    if [ "${FAIL_WITHOUT_CUDA:-}" = 1 ]; then result=FAILED; fi
    tests=$(cat tests/gpu/test_*.py | grep -c '^def test_')
    echo "no CUDA device: $1"
    for stage in build sanitizer bench ncu cpu; do
        note "$stage" "$result" "needs a CUDA device" >/dev/null
    done
    for _ in $(seq "$tests"); do
        note tests "$result" "needs a CUDA device" >/dev/null
    done
    totals
    [ "$result" = skipped ]
}

# --- The stages

probe() {
    printf '\n=== probe\n' >>"$LOG"
    {
        date -u
        uname -srm
        nproc
        nvidia-smi
        nvcc --version
        "$PYTHON" -VV
        "$PYTHON" -c 'import setuptools, torch, triton; print("torch", torch.__version__, "CUDA", torch.version.cuda, "triton", triton.__version__, "setuptools", setuptools.__version__)'
        for tool in compute-sanitizer ncu cuobjdump; do
            command -v "$tool" && "$tool" --version
        done
    } >>"$LOG" 2>&1
    note probe ok "$1"
}

# The package, in place, with the CUDA kernels for this GPU alone.
build_package() {
    local jobs=${MAX_JOBS:-$(nproc)}
    "$PYTHON" -c '
import sys
from setuptools import __version__ as version
if int(version.split(".")[0]) < 77:
    sys.exit(f"setuptools {version} cannot read pyproject.toml: 77 or newer is needed")' || return
    GRU_EXT_CUDA=1 MAX_JOBS=$jobs TORCH_CUDA_ARCH_LIST=$1 "$PYTHON" setup.py egg_info build_ext --inplace || return
    "$PYTHON" -m gru_ext.info || return
    "$PYTHON" -c '
import gru_ext
import torch
for op in ("_cell", "_cell_forward", "_cell_backward"):
    assert torch._C._dispatch_has_kernel_for_dispatch_key(f"gru_ext::{op}", "CUDA"), f"{op} has no CUDA kernel"'
}

# The tests of the kernels and the program for profilers: neither knows torch. Each source is compiled by a process of its own.
build_programs() {
    local arch=sm_${1/./} flags=(-std=c++17 -O2 -lineinfo -Icsrc -Itests/cpp -Itests/cuda_on_cpu) source object
    local kernels=() tests=() pids=()
    command -v nvcc || return
    mkdir -p "$PROGRAMS"
    for source in csrc/cuda/kernels/*.cu tests/cuda_on_cpu/*.cu tests/cpp/check.cpp benchmarks/cuda/one_of_each.cu; do
        object=$PROGRAMS/${source##*/}.o
        nvcc "${flags[@]}" -arch="$arch" -c "$source" -o "$object" &
        pids+=($!)
        case $source in
        csrc/*) kernels+=("$object") ;;
        tests/*) tests+=("$object") ;;
        esac
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || return
    done
    nvcc -arch="$arch" "${tests[@]}" "${kernels[@]}" -o "$PROGRAMS/kernels_test" || return
    nvcc -arch="$arch" "$PROGRAMS/one_of_each.cu.o" "${kernels[@]}" -o "$PROGRAMS/one_of_each"
}

export -f build_package build_programs
export PYTHON PROGRAMS

# In shells of their own, so that `timeout` can stop them.
# shellcheck disable=SC2016 # the inner shell expands them
build() {
    check build "package with CUDA kernels for $1" 170 bash -c 'build_package "$1"' bash "$1"
    check build "kernels_test and one_of_each" 120 bash -c 'build_programs "$1"' bash "$1"
}

# Results of pytest as in "1600 passed, 2 failed, 12 skipped", from its XML.
counts_of_tests() {
    sed -n 's/.*<testsuite [^>]*errors="\([0-9]*\)" failures="\([0-9]*\)" skipped="\([0-9]*\)" tests="\([0-9]*\)".*/\1 \2 \3 \4/p' "$1" |
        awk '{ print $4 - $1 - $2 - $3 " passed, " $1 + $2 " failed, " $3 " skipped"; exit }'
}

tests() {
    local options=(-q -r fE -p no:cacheprovider) begin status counts
    # Several processes share the GPU: most of the time of a test is spent on the host.
    if "$PYTHON" -c 'import xdist' 2>/dev/null; then options+=(-n 6 --dist worksteal); fi
    check tests "kernels_test, without torch" 90 "$PROGRAMS/kernels_test"
    begin=$SECONDS
    printf '\n=== tests: tests/gpu\n' >>"$LOG"
    FAIL_WITHOUT_CUDA=1 within 170 "$PYTHON" -m pytest "${options[@]}" --junitxml="$OUT/tests.xml" tests/gpu >>"$LOG" 2>&1
    status=$?
    counts=$([ -e "$OUT/tests.xml" ] && counts_of_tests "$OUT/tests.xml")
    if [ -z "$counts" ] && ((status == 0)); then status=1; fi
    ended tests "tests/gpu: ${counts:-no result}" "$status" $((SECONDS - begin))
}

# sanitize TOOL SECONDS: the tests of the kernels, a part of their sizes, under one tool of compute-sanitizer.
sanitize() {
    local tool=$1 begin=$SECONDS status from
    printf '\n=== %s\n' "$tool" >>"$OUT/sanitizer.txt"
    from=$(wc -l <"$OUT/sanitizer.txt")
    within "$2" compute-sanitizer --tool "$tool" --error-exitcode 99 "$PROGRAMS/kernels_test" --few >>"$OUT/sanitizer.txt" 2>&1
    status=$?
    if ((status != 0)) && tail -n "+$from" "$OUT/sanitizer.txt" |
        grep -q -i -e 'not supported' -e 'LibraryNotLoaded' -e 'failed to initialize'; then
        note sanitizer skipped "$tool does not work on this machine: see sanitizer.txt"
        return
    fi
    ended sanitizer "$tool" "$status" $((SECONDS - begin))
}

sanitizer() {
    if ! command -v compute-sanitizer >/dev/null; then
        note sanitizer skipped "there is no compute-sanitizer"
        return
    fi
    for tool in memcheck racecheck synccheck initcheck; do
        sanitize "$tool" 40
    done
}

bench() {
    # The device's own times of each kernel, without Python, and then everything else.
    printf '\n=== bench: one_of_each\n' >>"$LOG"
    within 30 "$PROGRAMS/one_of_each" >"$OUT/kernels.txt" 2>>"$LOG"
    ended bench "one_of_each" $? 0
    # No shape is begun in the last 30 s, which may go into compiling one.
    local limit=$((LIMIT - SECONDS - 40))
    if ((limit > 200)); then limit=200; fi
    check bench "benchmarks.cuda" "$limit" "$PYTHON" -m benchmarks.cuda --budget $((limit - 30)) \
        --json "$OUT/bench.json" --markdown "$OUT/bench.md"
}

METRICS=gpu__time_duration.sum,dram__bytes.sum,dram__throughput.avg.pct_of_peak_sustained_elapsed
METRICS+=,sm__warps_active.avg.pct_of_peak_sustained_active,launch__registers_per_thread

counters() {
    local begin=$SECONDS status
    if ! command -v ncu >/dev/null; then
        note ncu skipped "there is no ncu"
        return
    fi
    printf '\n=== ncu\n' >>"$LOG"
    within 60 ncu --clock-control none --metrics "$METRICS" --csv --page raw --log-file "$OUT/ncu.csv" \
        "$PROGRAMS/one_of_each" 1 >>"$LOG" 2>&1
    status=$?
    if ((status != 0)) && grep -q -i -e 'ERR_NVGPUCTRPERM' -e 'LibraryNotLoaded' -e 'not supported' "$OUT/ncu.csv" "$LOG"; then
        note ncu skipped "ncu cannot read the counters of this machine: see ncu.csv"
        return
    fi
    ended ncu "counters of every kernel" "$status" $((SECONDS - begin))
}

# With the time that is left: this processor may have instructions that no other machine of the project had.
cpu_half() {
    local options=(-q -r fE -p no:cacheprovider)
    if "$PYTHON" -c 'import xdist' 2>/dev/null; then options+=(-n 8); fi
    OMP_NUM_THREADS=2 check cpu "values, gradients, sizes" 60 "$PYTHON" -m pytest "${options[@]}" \
        tests/test_values.py tests/test_autograd.py tests/test_sizes.py
    check cpu "kernels of every instruction set" 90 "$PYTHON" -m pytest -q -r fE -p no:cacheprovider tests/test_kernels.py
}

# What the stages found, the least important first.
report() {
    if [ -e "$OUT/tests.xml" ]; then grep -E '^(FAILED|ERROR) ' "$LOG" | cut -c1-200 | head -n 40; fi
    if [ -e "$OUT/sanitizer.txt" ]; then grep -E '^===|ERROR SUMMARY|RACECHECK SUMMARY' "$OUT/sanitizer.txt"; fi
    if [ -e "$OUT/ncu.csv" ]; then "$PYTHON" -m benchmarks.cuda.counters "$OUT/ncu.csv"; fi
    if [ -e "$OUT/kernels.txt" ]; then cat "$OUT/kernels.txt"; fi
    if [ -e "$OUT/bench.json" ]; then "$PYTHON" -m benchmarks.cuda --show "$OUT/bench.json"; fi
    printf '\n'
    cat "$SUMMARY"
    totals
    echo "all results: $OUT (${SECONDS} s)"
}

if ! device=$(find_device 2>&1); then
    no_device "$(tail -n 1 <<<"$device")"
    exit
fi
device=$(tail -n 1 <<<"$device") # after any warning of torch's
capability=${device%% *}
probe "${device#* }, compute capability $capability"
build "$capability"
tests
sanitizer
bench
counters
cpu_half
report 2>&1
! grep -q ' FAILED ' "$SUMMARY"
