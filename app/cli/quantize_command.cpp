#include "app/cli/quantize_command.h"

#include <fmt/core.h>

#include <array>
#include <bit>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

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
    for (const char* file : kFiles) base::require_regular_file(path_ / file);
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
  static constexpr std::array<const char*, 5> kFiles{"codes.npy", "group_exponent.npy", "group_fraction.npy",
                                                     "dequantized.npy", "quantized.json"};
  std::filesystem::path path_;
  base::FileSet files_;
  std::set<std::string> written_;
};

void quantize_mls(const Tensor<float>& input, const std::string& name, const models::ScaledFormat& format,
                  const models::QuantizerOptions& options, const std::filesystem::path& out) {
  const models::QuantizedTensor quantized = models::quantize(input, format, options, name);
  const models::ScaledTensor& tensor = quantized.tensor;
  const Tensor<double> dequantized = models::dequantize(tensor);
  nlohmann::ordered_json json = describe(format, input, tensor.tensor_scale);
  write_rounding(json, options);
  json["sqnr_db"] = sqnr(input, dequantized);
  write_counts(json, quantized.counts);

  OutputFolder folder(out);
  const models::Shape groups{input.shape[0], input.shape[1]};
  folder.write("codes.npy", Tensor<std::uint16_t>{input.shape, tensor.codes});
  folder.write("group_exponent.npy", Tensor<std::uint8_t>{groups, tensor.group_exponent});
  folder.write("group_fraction.npy", Tensor<std::uint8_t>{groups, tensor.group_fraction});
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
  if (format == models::BaselineFormat::kFp32) {
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
      .summary = "turn a tensor into an MLS (or baseline) format and say what that did to it",
      .description =
          "Quantizes a float32 tensor of 2 to 4 dimensions (- reads it from standard input) and writes to DIR: "
          "codes.npy, group_exponent.npy, group_fraction.npy, dequantized.npy (float64, exact) and quantized.json.\n"
          "\n"
          "Formats: eXmY[/gAmB][/GROUPING], for example e2m4 or e2m1/g8m0/n; fp32, fp16, bf16, fp8-e4m3, fp8-e5m2, "
          "int8 (without group files).",
      .operands = {{.name = "IN.npy"}},
      .groups = {
          {.title = "options",
           .options = {
               {.name = "format", .value_name = "F", .help = "the format", .kind = format_kind(), .required = true},
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

void run_quantize(const base::CommandLine& line) {
  const models::Format format = models::parse_format(line.text("format"));
  models::QuantizerOptions options;
  options.rounding = models::parse_rounding(line.text("rounding"));
  options.random_bits = line.whole_number<int>("random-bits");
  options.seed = line.whole_number("seed");
  options.stream = line.whole_number("stream");

  const std::string& file = line.operands().front();
  base::InputFile source = file == "-" ? base::InputFile::standard_input() : base::InputFile(file);
  const Tensor<float> input = workloads::read_npy(source);
  if (const auto* mls = std::get_if<models::ScaledFormat>(&format)) {
    quantize_mls(input, source.name(), *mls, options, line.path("out"));
  } else {
    quantize_baseline(input, source.name(), std::get<models::BaselineFormat>(format), options, line.path("out"));
  }
}

}  // namespace mlsim::app
