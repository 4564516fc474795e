// The parts of the native module, one for each subject.
// Tested in tests/python/package_test.py.
#pragma once

#include <pybind11/pybind11.h>

namespace mlsim::python {

void bind_quantize(pybind11::module_& module);
void bind_convolutions(pybind11::module_& module);
void bind_evaluation(pybind11::module_& module);
void bind_training(pybind11::module_& module);

}  // namespace mlsim::python
