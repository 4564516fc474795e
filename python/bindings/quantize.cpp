// mlsim.quantize, mlsim.fake_quantize and the quantized tensor.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <stdexcept>

#include "base/error.h"
#include "base/parallel.h"
#include "models/quantizer/sqnr.h"
#include "python/bindings/arguments.h"
#include "python/bindings/module.h"
#include "python/bindings/quantized.h"

namespace mlsim::python {
namespace {

using models::BaselineFormat;
using models::Operand;
using models::Pass;
using models::ScaledFormat;
using models::Shape;

// binary32 numbers of an array in C order; the module's Python side brings whatever it is given into that form.
struct Input {
  std::span<const float> values;
  Shape shape;
};

Input input_of(const py::array& array, const std::string& name) {
  if (!py::isinstance<py::array_t<float>>(array) || (array.flags() & py::array::c_style) == 0) {
    throw std::runtime_error(name + ": is no float32 array in C order");
  }
  Input input;
  input.shape.assign(array.shape(), array.shape() + array.ndim());
  if (input.shape.size() < 2 || input.shape.size() > 4) {
    throw std::runtime_error(fmt::format("{}: has {} dimensions, expected 2 to 4", name, input.shape.size()));
  }
  if (array.size() == 0) {
    throw std::runtime_error(
        fmt::format("{}: has the shape {}, expected extents of 1 or more", name, models::to_string(input.shape)));
  }
  input.values = {static_cast<const float*>(array.data()), static_cast<std::size_t>(array.size())};
  return input;
}

// What is asked for beside the array.
struct Request {
  models::Format format;
  models::QuantizerOptions rounding;
  std::optional<Operand> operand;
  std::optional<Pass> pass;
  std::optional<int> threads;
};

models::Format format_as_taken(const models::Format& format, std::optional<Operand> operand, std::optional<Pass> pass) {
  if (!operand) {
    if (pass) throw std::runtime_error("pass_name is given without operand, expected both");
    return format;
  }
  const auto takes = [&](Pass one) { return models::takes(one, *operand); };
  if (!pass) pass = *std::find_if(models::kPasses.begin(), models::kPasses.end(), takes);
  if (!takes(*pass)) {
    throw std::runtime_error(
        fmt::format("pass_name is {}, which takes no {}", models::to_string(*pass), models::to_string(*operand)));
  }
  return models::format_of(format, *operand, *pass);
}

Request request_of(const std::string& format, const std::string& rounding, const py::object& random_bits,
                   const py::object& seed, const py::object& stream, const std::optional<std::string>& operand,
                   const std::optional<std::string>& pass, const py::object& threads) {
  Request request;
  request.rounding = rounding_of(rounding, random_bits, seed, stream);
  if (operand) request.operand = models::parse_operand(*operand);
  if (pass) request.pass = models::parse_pass(*pass);
  request.format = format_as_taken(models::parse_format(format), request.operand, request.pass);
  request.threads = threads_of(threads);
  return request;
}

Quantized quantize(const py::array& array, const std::string& format, const std::string& rounding,
                   const py::object& random_bits, const py::object& seed, const py::object& stream,
                   const std::optional<std::string>& operand, const std::optional<std::string>& pass_name,
                   const py::object& threads, bool measure, const std::string& name) {
  const Request request = request_of(format, rounding, random_bits, seed, stream, operand, pass_name, threads);
  const Input input = input_of(array, name);
  return compute(request.threads, [&] {
    Quantized result{{}, input.shape, request.rounding, {}, std::nullopt, request.operand, request.pass};
    if (const auto* blocks = std::get_if<ScaledFormat>(&request.format)) {
      models::QuantizedTensor quantized = models::quantize(input.values, input.shape, *blocks, request.rounding, name);
      result.counts = quantized.counts;
      result.tensor = std::move(quantized.tensor);
    } else {
      result.tensor = models::quantize_baseline(input.values, input.shape, std::get<BaselineFormat>(request.format),
                                                request.rounding, name);
      result.counts = result.baseline()->counts;
    }
    if (measure) {
      models::ErrorSums sums;
      std::visit([&](const auto& tensor) { models::add_errors(input.values, tensor, sums); }, result.tensor);
      result.sqnr_db = sums.sqnr_db();
    }
    std::visit([](auto& tensor) { tensor.shape.resize(4, 1); }, result.tensor);
    return result;
  });
}

// The numbers without codes.
template <typename T>
py::array_t<T> rounded(const Input& input, const Request& request, const std::string& name) {
  py::array_t<T> array(input.shape);
  const std::span<T> values(array.mutable_data(), input.values.size());
  compute(request.threads, [&] {
    std::vector<float> memory;
    std::span<float> numbers;
    if constexpr (std::is_same_v<T, float>) {
      numbers = values;
    } else {
      memory.resize(values.size());
      numbers = memory;
    }
    const float scale = quantize_values(input.values, input.shape, request.format, request.rounding, name, numbers);
    constexpr std::size_t kGrain = 1 << 14;
    base::parallel_for(tbb::blocked_range<std::size_t>(0, values.size(), kGrain),
                       [&](const tbb::blocked_range<std::size_t>& range) {
                         for (std::size_t i = range.begin(); i != range.end(); ++i) {
                           values[i] = static_cast<T>(numbers[i]) * static_cast<T>(scale);
                         }
                       });
  });
  return array;
}

py::array fake_quantize(const py::array& array, const std::string& format, bool in_double, const std::string& rounding,
                        const py::object& random_bits, const py::object& seed, const py::object& stream,
                        const std::optional<std::string>& operand, const std::optional<std::string>& pass_name,
                        const py::object& threads, const std::string& name) {
  const Request request = request_of(format, rounding, random_bits, seed, stream, operand, pass_name, threads);
  const Input input = input_of(array, name);
  if (in_double) return rounded<double>(input, request, name);
  return rounded<float>(input, request, name);
}

// ---- What a quantized tensor shows

const Quantized& tensor_of(const py::object& self) {
  return self.cast<const Quantized&>();
}

const models::ScaledTensor& require_blocks(const Quantized& self, const char* what) {
  if (const auto* blocks = self.scaled()) return *blocks;
  throw std::runtime_error(
      fmt::format("{}: {} has none, expected a block-scaled format", what, models::to_string(self.format())));
}

py::array codes_of(const py::object& self) {
  const Quantized& tensor = tensor_of(self);
  if (const auto* blocks = tensor.scaled()) return to_view(blocks->codes, tensor.shape, self);
  std::vector<std::uint32_t> codes = compute(std::nullopt, [&] { return models::encode_baseline(*tensor.baseline()); });
  if (models::element_bits(tensor.baseline()->format) > 16) return to_array(std::move(codes), tensor.shape);
  return to_array(std::vector<std::uint16_t>(codes.begin(), codes.end()), tensor.shape);
}

py::object stored_scale(const Quantized& self, bool fraction) {
  const auto* blocks = self.scaled();
  if (blocks == nullptr || (fraction && blocks->format.scale.kind != models::ScaleKind::kMls)) return py::none();
  models::StoredScales scales = models::stored_scales(*blocks);
  return to_array(std::move(fraction ? scales.fractions : scales.exponents), scales.shape);
}

// As files have them, both bytes of an MLS scale in one element.
py::object scales_of(const Quantized& self) {
  const auto* blocks = self.scaled();
  if (blocks == nullptr) return py::none();
  models::StoredScales scales = models::stored_scales(*blocks);
  if (blocks->format.scale.kind != models::ScaleKind::kMls) return to_array(std::move(scales.exponents), scales.shape);
  std::vector<models::StoredScale> pairs;
  pairs.reserve(scales.exponents.size());
  for (std::size_t i = 0; i < scales.exponents.size(); ++i) {
    pairs.push_back({scales.exponents[i], scales.fractions[i]});
  }
  return to_array(std::move(pairs), scales.shape);
}

py::object scale_values(const Quantized& self) {
  const auto* blocks = self.scaled();
  if (blocks == nullptr) return py::none();
  std::vector<double> values;
  values.reserve(blocks->scales.size());
  for (const models::TileScale scale : blocks->scales) values.push_back(std::ldexp(scale.significand, scale.exponent));
  const auto grid = blocks->grid().extents();
  return to_array(std::move(values), Shape(grid.begin(), grid.end()));
}

py::array_t<std::int64_t> integers_of(const Quantized& self) {
  std::vector<std::int64_t> integers;
  if (const auto* blocks = self.scaled()) {
    integers = compute(std::nullopt, [&] { return models::decode_integers(*blocks); });
  } else if (models::layout_of(self.baseline()->format).is_integer()) {
    integers.assign(self.baseline()->values.begin(), self.baseline()->values.end());
  } else {
    require_blocks(self, "integers");
  }
  return to_array(std::move(integers), self.shape);
}

py::array_t<double> dequantize(const Quantized& self, const py::object& threads) {
  return to_array(compute(threads_of(threads),
                          [&] {
                            return std::visit([](const auto& tensor) { return models::dequantize(tensor).values; },
                                              self.tensor);
                          }),
                  self.shape);
}

py::object dequantized_as(const Quantized& self, const py::object& dtype, const py::object& /*copy*/) {
  return as_dtype(dequantize(self, py::none()), dtype);
}

py::object tile_of(const Quantized& self) {
  if (self.scaled() == nullptr) return py::none();
  const auto tile = models::tile_sizes(*self.scaled());
  return py::make_tuple(tile[0], tile[1], tile[2], tile[3]);
}

py::dict statistics_of(const Quantized& self) {
  py::dict statistics;
  statistics["sqnr_db"] = self.sqnr_db;
  statistics["saturated"] = self.counts.saturated;
  statistics["flushed_to_zero"] = self.counts.flushed_to_zero;
  statistics["exact"] = self.counts.exact;
  return statistics;
}

template <typename T>
std::optional<std::string> named(const std::optional<T>& value) {
  if (!value) return std::nullopt;
  return models::to_string(*value);
}

std::string represent_quantized(const Quantized& self) {
  std::string text =
      fmt::format("<mlsim.Quantized {} {}", models::to_string(self.format()), models::to_string(self.shape));
  if (self.operand) text += fmt::format(" {}", models::to_string(*self.operand));
  if (self.pass) text += fmt::format(" of {}", models::to_string(*self.pass));
  if (self.sqnr_db) text += fmt::format(", SQNR {:.2f} dB", *self.sqnr_db);
  return text + fmt::format(", saturated {}, flushed to zero {}>", self.counts.saturated, self.counts.flushed_to_zero);
}

py::tuple shape_tuple(const Quantized& self) {
  py::tuple shape(self.shape.size());
  for (std::size_t d = 0; d < self.shape.size(); ++d) shape[d] = self.shape[d];
  return shape;
}

}  // namespace

models::QuantizerOptions rounding_of(const std::string& rounding, const py::object& random_bits, const py::object& seed,
                                     const py::object& stream) {
  return {.rounding = models::parse_rounding(rounding),
          .random_bits = static_cast<int>(whole_number("random_bits", random_bits, 1, 24)),
          .seed = word("seed", seed),
          .stream = word("stream", stream)};
}

float quantize_values(std::span<const float> input, const Shape& shape, const models::Format& format,
                      const models::QuantizerOptions& rounding, const std::string& name, std::span<float> values) {
  if (const auto* blocks = std::get_if<ScaledFormat>(&format)) {
    return models::quantize_scaled(input, shape, *blocks, rounding, name, values);
  }
  return models::quantize_baseline_scaled(input, shape, std::get<BaselineFormat>(format), rounding, name, values);
}

void bind_quantize(py::module_& module) {
  using py::arg;
  PYBIND11_NUMPY_DTYPE(models::StoredScale, exponent, fraction);
  py::class_<Quantized>(module, "Quantized", R"(A tensor in a number format, as `mlsim.quantize` makes it.

The real value of an element is tensor_scale * (scale of its tile) * integer * 2**-unit_exponent. Arrays that are views
are read-only. It converts to an array of its real values by itself.)")
      .def_property_readonly("codes", codes_of, R"(Code words in the shape of the array: uint16, of fp32 uint32.

`s | e | m` in the low 1 + Ex + Mx bits; of mxint8 a byte in two's complement. A view, but of baseline formats.)")
      .def_property_readonly(
          "scales", scales_of,
          R"(The scales as `mlsim quantize` stores them, in the shape of its files; None of baseline formats.

MX and NVFP4: uint8, the byte of each E8M0 or E4M3 scale, in the shape of the grid of tiles (four dimensions), as in
scale.npy. MLS: fields exponent (h) and fraction (f), both uint8, of the shape (D0, D1) with the tiles of nc, n, c and
none, else of the grid of tiles, as in group_exponent.npy and group_fraction.npy. See scale_values for numbers.)")
      .def_property_readonly(
          "group_exponent",
          [](const Quantized& self) {
            return self.scaled() != nullptr && self.scaled()->format.scale.kind == models::ScaleKind::kMls
                       ? stored_scale(self, false)
                       : py::object(py::none());
          },
          "h of each MLS scale, uint8, as in group_exponent.npy of `mlsim quantize`; None of other formats.")
      .def_property_readonly(
          "group_fraction", [](const Quantized& self) { return stored_scale(self, true); },
          "f of each MLS scale, uint8, as in group_fraction.npy of `mlsim quantize`; None of other formats.")
      .def_property_readonly("scale_values", scale_values, R"(The scale of each tile as a number, float64 and exact.

In the shape of the grid of tiles, four dimensions; None of baseline formats, which have no tiles.)")
      .def_property_readonly(
          "tensor_scale", [](const Quantized& self) { return static_cast<double>(self.tensor_scale()); },
          "The scale of the tensor, a binary32 number.")
      .def_property_readonly("tile", tile_of,
                             R"(Block sizes of a tile along four dimensions, a whole dimension as its extent.

None of baseline formats.)")
      .def_property_readonly("integers", integers_of,
                             R"(The integer k of each element, int64, in the shape of the array.

Computed at each call. Raises mlsim.Error for fp32, fp16, bf16 and fp8, which have none.)")
      .def_property_readonly(
          "unit_exponent",
          [](const Quantized& self) {
            return self.scaled() == nullptr ? 0 : self.scaled()->format.element.unit_exponent();
          },
          "U: an element is k * 2**-U; 0 of baseline formats.")
      .def("dequantize", dequantize, arg("threads") = py::none(), R"(The real values, float64 and exact.)")
      .def("__array__", dequantized_as, arg("dtype") = py::none(), arg("copy") = py::none())
      .def_property_readonly("shape", shape_tuple, "Shape of the array.")
      .def_property_readonly(
          "ndim", [](const Quantized& self) { return self.shape.size(); }, "Dimensions, 2 to 4.")
      .def_property_readonly(
          "size", [](const Quantized& self) { return models::element_count(self.shape); }, "Elements.")
      .def_property_readonly(
          "format", [](const Quantized& self) { return models::to_string(self.format()); },
          "The format in full, such as e2m4/g8m1/nc.")
      .def_property_readonly(
          "rounding", [](const Quantized& self) { return models::to_string(self.rounding.rounding); },
          "nearest or stochastic.")
      .def_property_readonly(
          "operand", [](const Quantized& self) { return named(self.operand); },
          "activation, weight or error, where that was said.")
      .def_property_readonly(
          "pass_name", [](const Quantized& self) { return named(self.pass); },
          "forward, backward_data or backward_weight, where that was said.")
      .def_property_readonly(
          "statistics", statistics_of,
          R"(What quantization did: sqnr_db in dB, infinite where nothing differs and None where it was not measured;
counts of elements: saturated (rounded above the largest and brought back to it), flushed_to_zero (not zero before,
zero after), exact (the same number before and after, zeros included).)")
      .def("__repr__", represent_quantized);

  module.def("quantize", quantize, arg("array"), arg("format"), arg("rounding"), arg("random_bits"), arg("seed"),
             arg("stream"), arg("operand"), arg("pass_name"), arg("threads"), arg("measure"), arg("name"));
  module.def("fake_quantize", fake_quantize, arg("array"), arg("format"), arg("in_double"), arg("rounding"),
             arg("random_bits"), arg("seed"), arg("stream"), arg("operand"), arg("pass_name"), arg("threads"),
             arg("name"));
}

}  // namespace mlsim::python
