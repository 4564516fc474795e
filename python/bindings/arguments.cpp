#include "python/bindings/arguments.h"

#include <fmt/format.h>

#include "base/error.h"

namespace mlsim::python {
namespace {

constexpr int kMostThreads = 1024;

// None where there is no whole number.
std::optional<py::int_> index_of(py::handle value) {
  if (PyBool_Check(value.ptr()) || PyIndex_Check(value.ptr()) == 0) return std::nullopt;
  PyObject* const number = PyNumber_Index(value.ptr());
  if (number == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::int_>(number);
}

bool is_list(py::handle value) {
  return PyList_Check(value.ptr()) != 0 || PyTuple_Check(value.ptr()) != 0;
}

}  // namespace

std::string shown(py::handle value) {
  constexpr std::size_t kMost = 60;
  std::string text;
  try {
    text = py::repr(value);
  } catch (const std::exception&) {
    PyErr_Clear();
    text = fmt::format("a {}", Py_TYPE(value.ptr())->tp_name);
  }
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  if (text.size() <= kMost) return text;
  std::size_t end = kMost;
  // Not in the middle of a character.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

std::int64_t whole_number(const char* name, py::handle value, std::int64_t low, std::int64_t high) {
  if (const auto number = index_of(value)) {
    int overflow = 0;
    const long long result = PyLong_AsLongLongAndOverflow(number->ptr(), &overflow);
    if (overflow == 0 && result >= low && result <= high) return result;
  }
  base::refuse("", name, fmt::format("is {}, expected a whole number from {} to {}", shown(value), low, high));
}

std::uint64_t word(const char* name, py::handle value) {
  if (const auto number = index_of(value)) {
    const unsigned long long result = PyLong_AsUnsignedLongLong(number->ptr());
    if (PyErr_Occurred() == nullptr) return result;
    PyErr_Clear();
  }
  base::refuse("", name, fmt::format("is {}, expected a whole number from 0 to 2^64 - 1", shown(value)));
}

std::optional<int> threads_of(py::handle value) {
  if (value.is_none()) return std::nullopt;
  return static_cast<int>(whole_number("threads", value, 1, kMostThreads));
}

std::array<std::int64_t, 2> pair_of(const char* name, py::handle value, std::size_t dimensions, std::int64_t low,
                                    std::int64_t neutral) {
  constexpr std::int64_t kHigh = 1 << 20;
  const std::size_t axes = dimensions == 3 ? 1 : 2;
  std::array<std::int64_t, 2> pair{neutral, neutral};
  if (is_list(value)) {
    const auto list = py::reinterpret_borrow<py::sequence>(value);
    if (list.size() != axes) {
      base::refuse(
          "", name,
          fmt::format("is {}, expected a whole number or {}", shown(value), axes == 2 ? "two" : "one in a list"));
    }
    for (std::size_t axis = 0; axis < axes; ++axis) {
      pair[axis] = whole_number(name, py::object(list[axis]), low, kHigh);
    }
    return pair;
  }
  const std::int64_t number = whole_number(name, value, low, kHigh);
  for (std::size_t axis = 0; axis < axes; ++axis) pair[axis] = number;
  return pair;
}

std::array<models::Padding, 2> padding_of(py::handle value, std::size_t dimensions) {
  constexpr std::int64_t kHigh = 1 << 20;
  const std::size_t axes = dimensions == 3 ? 1 : 2;
  const auto side = [](py::handle number) { return whole_number("padding", number, 0, kHigh); };
  const auto both_sides = [&](py::handle sides) {
    if (!is_list(sides)) return models::Padding(side(sides));
    const auto list = py::reinterpret_borrow<py::sequence>(sides);
    if (list.size() != 2) {
      base::refuse("", "padding", fmt::format("has {}, expected one number for both sides or two", shown(sides)));
    }
    return models::Padding(side(py::object(list[0])), side(py::object(list[1])));
  };
  std::array<models::Padding, 2> padding{};
  if (!is_list(value)) {
    for (std::size_t axis = 0; axis < axes; ++axis) padding[axis] = models::Padding(side(value));
    return padding;
  }
  const auto list = py::reinterpret_borrow<py::sequence>(value);
  if (list.size() != axes) {
    base::refuse("", "padding",
                 fmt::format("is {}, expected a whole number or {}", shown(value),
                             axes == 2 ? "two, each of which may be a pair of sides" : "one in a list"));
  }
  for (std::size_t axis = 0; axis < axes; ++axis) padding[axis] = both_sides(py::object(list[axis]));
  return padding;
}

}  // namespace mlsim::python
