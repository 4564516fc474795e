// mlsim._native: what the package does in C++.
#include "python/bindings/module.h"

#include <exception>
#include <stdexcept>
#include <utility>

#include "base/terminal.h"

namespace py = pybind11;

namespace {

// mlsim.Error, in which every sentence for a user arrives.
PyObject* make_error() {
  return PyErr_NewExceptionWithDoc("mlsim.Error",
                                   "What was given cannot be used: the place, what is there, and what was expected.",
                                   PyExc_ValueError, nullptr);
}

PyObject* error_type = nullptr;

}  // namespace

PYBIND11_MODULE(_native, module) {
  module.doc() = "The compiled part of mlsim.";
  error_type = make_error();
  module.attr("Error") = py::reinterpret_borrow<py::object>(error_type);
  module.attr("__version__") = MLSIM_VERSION;
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(std::move(thrown));
    } catch (const py::builtin_exception&) {
      // Python's own, which are runtime errors in C++, too.
      throw;
    } catch (const std::runtime_error& error) {
      PyErr_SetString(error_type, mlsim::base::printable(error.what()).c_str());
    }
  });
  mlsim::python::bind_quantize(module);
  mlsim::python::bind_convolutions(module);
  mlsim::python::bind_evaluation(module);
  mlsim::python::bind_training(module);
}
