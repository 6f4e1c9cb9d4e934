// gru_ext._C: what Python needs beyond the ops.
#include <pybind11/pybind11.h>

PYBIND11_MODULE(_C, m) { m.doc() = "gru_ext's fast paths into the op library"; }
