#include "app/cli/quantize_command.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "app/cli/options.h"
#include "base/input_file.h"
#include "base/json.h"
#include "base/output_file.h"
#include "models/baseline/baseline.h"
#include "models/quantizer/quantizer.h"
#include "models/quantizer/sqnr.h"
#include "workloads/npy.h"

namespace mlsim::app {
namespace {

using models::Tensor;

// null where the ratio is infinite or undefined.
nlohmann::json sqnr(const Tensor<float>& input, const Tensor<double>& output) {
  const std::vector<double> exact(input.values.begin(), input.values.end());
  const double ratio = models::sqnr_db<double>(exact, output.values);
  return std::isfinite(ratio) ? nlohmann::json(ratio) : nlohmann::json();
}

nlohmann::ordered_json describe(const models::Format& format, const Tensor<float>& input, float scale) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  json["schema"] = "mlsim.quantized/1";
  json["format"] = models::to_string(format);
  json["shape"] = input.shape;
  json["elements"] = input.size();
  json["tensor_scale"] = scale;
  json["tensor_scale_hex"] = fmt::format("{:08x}", std::bit_cast<std::uint32_t>(scale));
  return json;
}

void write_rounding(nlohmann::ordered_json& json, const models::QuantizerOptions& options) {
  json["rounding"] = models::to_string(options.rounding);
  if (options.rounding == models::Rounding::kStochastic) {
    json["random_bits"] = options.random_bits;
    json["seed"] = options.seed;
    json["stream"] = options.stream;
  }
}

void write_counts(nlohmann::ordered_json& json, const models::QuantizationCounts& counts) {
  json["saturated"] = counts.saturated;
  json["flushed_to_zero"] = counts.flushed_to_zero;
  json["exact"] = counts.exact;
}

// The files of an output folder, which change together. Those that this run does not write are of another run.
class OutputFolder {
 public:
  explicit OutputFolder(std::filesystem::path path) : path_(std::move(path)) {
    base::create_directories(path_);
    for (const std::filesystem::path& file : files_in(path_)) base::require_regular_file(file);
  }
  // Everything that a folder of quantized tensors may have.
  static std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    files.reserve(kFiles.size());
    for (const char* file : kFiles) files.push_back(folder / file);
    return files;
  }

  template <typename T>
  void write(const std::string& name, const Tensor<T>& tensor) {
    written_.insert(name);
    workloads::write_npy(files_.add(path_ / name).stream(), tensor);
  }
  void commit(const nlohmann::ordered_json& description) {
    written_.insert("quantized.json");
    files_.add(path_ / "quantized.json").stream() << base::to_text(description, 2) << "\n";
    files_.commit();
    for (const char* file : kFiles) {
      if (!written_.contains(file)) std::filesystem::remove(path_ / file);
    }
  }

 private:
  static constexpr std::array<const char*, 6> kFiles{"codes.npy", "group_exponent.npy", "group_fraction.npy",
                                                     "scale.npy", "dequantized.npy",    "quantized.json"};
  std::filesystem::path path_;
  base::FileSet files_;
  std::set<std::string> written_;
};

void write_scales(const models::ScaledTensor& tensor, OutputFolder& folder) {
  models::StoredScales scales = models::stored_scales(tensor);
  const Tensor<std::uint8_t> exponents{scales.shape, std::move(scales.exponents)};
  if (tensor.format.scale.kind != models::ScaleKind::kMls) return folder.write("scale.npy", exponents);
  folder.write("group_exponent.npy", exponents);
  folder.write("group_fraction.npy", Tensor<std::uint8_t>{scales.shape, std::move(scales.fractions)});
}

void quantize_scaled(const Tensor<float>& input, const std::string& name, const models::ScaledFormat& format,
                     const models::QuantizerOptions& options, const std::filesystem::path& out) {
  const models::QuantizedTensor quantized = models::quantize(input, format, options, name);
  const models::ScaledTensor& tensor = quantized.tensor;
  const Tensor<double> dequantized = models::dequantize(tensor);
  nlohmann::ordered_json json = describe(format, input, tensor.tensor_scale);
  json["tile"] = models::tile_sizes(tensor);
  write_rounding(json, options);
  json["sqnr_db"] = sqnr(input, dequantized);
  write_counts(json, quantized.counts);

  OutputFolder folder(out);
  folder.write("codes.npy", Tensor<std::uint16_t>{input.shape, tensor.codes});
  write_scales(tensor, folder);
  folder.write("dequantized.npy", dequantized);
  folder.commit(json);
}

void quantize_baseline(const Tensor<float>& input, const std::string& name, models::BaselineFormat format,
                       const models::QuantizerOptions& options, const std::filesystem::path& out) {
  const models::BaselineTensor tensor = models::quantize_baseline(input, format, options, name);
  const Tensor<double> dequantized = models::dequantize(tensor);
  nlohmann::ordered_json json = describe(format, input, tensor.scale);
  write_rounding(json, options);
  json["sqnr_db"] = sqnr(input, dequantized);
  write_counts(json, tensor.counts);

  OutputFolder folder(out);
  const std::vector<std::uint32_t> codes = models::encode_baseline(tensor);
  if (models::element_bits(format) > 16) {
    folder.write("codes.npy", Tensor<std::uint32_t>{input.shape, codes});
  } else {
    folder.write("codes.npy", Tensor<std::uint16_t>{input.shape, {codes.begin(), codes.end()}});
  }
  folder.write("dequantized.npy", dequantized);
  folder.commit(json);
}

}  // namespace

const base::Command& quantize_command() {
  static const base::Command command{
      .name = "mlsim quantize",
      .synopsis = "IN.npy --format F --out DIR [options]",
      .summary = "turn a tensor into a block-scaled (or baseline) format and say what that did to it",
      .description =
          "Quantizes a float32 tensor of 2 to 4 dimensions (- reads it from standard input) and writes to DIR: "
          "codes.npy, dequantized.npy (float64, exact), quantized.json, and the scales: group_exponent.npy and "
          "group_fraction.npy of MLS, scale.npy of MX and NVFP4.\n"
          "\n"
          "Formats: " +
          models::format_syntax() +
          ".\n"
          "\n"
          "Groupings: " +
          models::grouping_syntax() +
          " or t1x32x*x*. Blocks of channels are of whole planes; those along the reduction of a pass, at every "
          "position, are along dimension 1 unless --operand and --pass say which.",
      .operands = {{.name = "IN.npy"}},
      .groups = {{.title = "options",
                  .options = {{.name = "format",
                               .value_name = "F",
                               .help = "the format; fp8 and mxfp8 beside --operand",
                               .kind = operand_formats_kind(),
                               .required = true},
                              {.name = "out",
                               .value_name = "DIR",
                               .help = "folder for the files; made if missing",
                               .kind = base::Folder{},
                               .required = true},
                              {.name = "rounding",
                               .value_name = "MODE",
                               .help = "nearest or stochastic",
                               .kind = base::Choice{{"nearest", "stochastic"}},
                               .preset = "nearest"},
                              {.name = "operand",
                               .value_name = "O",
                               .help = "the operand that the tensor is, for groupings that depend on it",
                               .kind = base::Choice{{"activation", "weight", "error"}}},
                              {.name = "pass",
                               .value_name = "P",
                               .help = "the pass that takes it, likewise",
                               .kind = base::Choice{{"forward", "backward_data", "backward_weight"}}},
                              {.name = "random-bits",
                               .value_name = "R",
                               .help = "random bits of stochastic rounding, 1 to 24",
                               .kind = base::WholeNumber{1, 24},
                               .preset = "16"},
                              {.name = "seed",
                               .value_name = "S",
                               .help = "seed of the random bits, 64 bits",
                               .kind = base::WholeNumber{},
                               .preset = "0"},
                              {.name = "stream",
                               .value_name = "T",
                               .help = "stream of the random bits, 64 bits",
                               .kind = base::WholeNumber{},
                               .preset = "0"}}}}};
  return command;
}

namespace {

// The format as the operand and the pass that were asked for take it.
models::Format format_of(const base::CommandLine& line) {
  const models::OperandFormats formats = models::parse_operand_formats(line.text("format"));
  if (!line.has("operand")) {
    if (line.has("pass")) throw std::runtime_error("--pass is given without --operand, expected both");
    if (formats[0] != formats[2]) {
      throw std::runtime_error(
          fmt::format("--format {}: is {} for errors and {} for others, expected --operand beside it",
                      line.text("format"), models::to_string(formats[2]), models::to_string(formats[0])));
    }
    return formats[0];
  }
  const models::Operand operand = models::parse_operand(line.text("operand"));
  const models::Format format = formats[static_cast<std::size_t>(operand)];
  const auto takes = [&](models::Pass pass) { return models::takes(pass, operand); };
  const models::Pass pass = line.has("pass") ? models::parse_pass(line.text("pass"))
                                             : *std::find_if(models::kPasses.begin(), models::kPasses.end(), takes);
  if (!takes(pass)) {
    throw std::runtime_error(
        fmt::format("--pass is {}, which takes no {}", models::to_string(pass), line.text("operand")));
  }
  return models::format_of(format, operand, pass);
}

}  // namespace

void run_quantize(const base::CommandLine& line) {
  const models::Format format = format_of(line);
  models::QuantizerOptions options;
  options.rounding = models::parse_rounding(line.text("rounding"));
  options.random_bits = line.whole_number<int>("random-bits");
  options.seed = line.whole_number("seed");
  options.stream = line.whole_number("stream");

  const std::string& file = line.operands().front();
  if (file != "-") base::check_outputs(OutputFolder::files_in(line.path("out")), {file});
  base::InputFile source = file == "-" ? base::InputFile::standard_input() : base::InputFile(file);
  const Tensor<float> input = workloads::read_npy(source);
  if (const auto* scaled = std::get_if<models::ScaledFormat>(&format)) {
    quantize_scaled(input, source.name(), *scaled, options, line.path("out"));
  } else {
    quantize_baseline(input, source.name(), std::get<models::BaselineFormat>(format), options, line.path("out"));
  }
}

}  // namespace mlsim::app
