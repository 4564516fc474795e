// What calls from Python have in common: arguments with places in errors, threads, memory that moves between both.
// Tested in tests/python/quantize_test.py.
#pragma once

#include <oneapi/tbb/task_arena.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cfenv>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/convolution/convolution.h"
#include "models/formats/tensor.h"

namespace mlsim::python {

namespace py = pybind11;

// An argument as a message shows it: on one line, and only the beginning of a long one.
std::string shown(py::handle value);

// Whatever has __index__, but no truth value. Throws base::Error with `name` as the place for anything else and for
// what is out of range.
std::int64_t whole_number(const char* name, py::handle value, std::int64_t low, std::int64_t high);
// The same of 64 bits without a sign.
std::uint64_t word(const char* name, py::handle value);
// None is nothing.
std::optional<int> threads_of(py::handle value);

// Down and across, of one number for both or of a pair; of `dimensions` 3 there is down alone, of a number or of a list
// of one, and `neutral` across.
std::array<std::int64_t, 2> pair_of(const char* name, py::handle value, std::size_t dimensions, std::int64_t low,
                                    std::int64_t neutral);
// The same of zeros around an image, each a number for both sides or a pair of sides.
std::array<models::Padding, 2> padding_of(py::handle value, std::size_t dimensions);

// Rounding to nearest and gradual underflow, whatever the process has set for its own arithmetic.
class DefaultFloats {
 public:
  DefaultFloats() {
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~DefaultFloats() { std::fesetenv(&before_); }
  DefaultFloats(const DefaultFloats&) = delete;
  DefaultFloats& operator=(const DefaultFloats&) = delete;
  DefaultFloats(DefaultFloats&&) = delete;
  DefaultFloats& operator=(DefaultFloats&&) = delete;

 private:
  std::fenv_t before_{};
};

// f() on so many threads at most.
template <typename Function>
auto bounded(std::optional<int> threads, const Function& f) {
  const DefaultFloats floats;
  if (!threads) return f();
  // More than there are would be asked for with a word on standard error.
  tbb::task_arena arena(std::min(*threads, tbb::this_task_arena::max_concurrency()));
  return arena.execute(f);
}

// The same without the interpreter's lock.
template <typename Function>
auto compute(std::optional<int> threads, const Function& f) {
  const py::gil_scoped_release release;
  return bounded(threads, f);
}

// What __array__ of a result gives for a dtype, which may be None.
inline py::object as_dtype(const py::array& values, const py::object& dtype) {
  if (dtype.is_none()) return values;
  return values.attr("astype")(dtype, py::arg("copy") = false);
}

// An array that owns the values, without a copy.
template <typename T>
py::array_t<T> to_array(std::vector<T>&& values, const models::Shape& shape) {
  auto owner = std::make_unique<std::vector<T>>(std::move(values));
  T* const data = owner->data();
  const py::capsule capsule(owner.get(), [](void* memory) { delete static_cast<std::vector<T>*>(memory); });
  static_cast<void>(owner.release());
  return py::array_t<T>(shape, data, capsule);
}

// An array onto the values of a Python object, which it keeps; nothing writes through it.
template <typename T>
py::array_t<T> to_view(const std::vector<T>& values, const models::Shape& shape, const py::object& owner) {
  py::array_t<T> view(shape, values.data(), owner);
  py::detail::array_proxy(view.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return view;
}

}  // namespace mlsim::python
