#include "sim/array_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace mlsim::sim {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

class ArrayConfigFile : public testing::Test {
 protected:
  std::string write(const std::string& text) const {
    std::ofstream(path_) << text;
    return path_;
  }
  void expect_refused(const std::string& text, const std::string& key, const std::string& expectation) const {
    const std::string path = write(text);
    EXPECT_THAT([&] { load_array_config(path); }, testing::ThrowsMessage<std::runtime_error>(
                                                      AllOf(StartsWith(path), HasSubstr(key), HasSubstr(expectation))))
        << text;
  }
  ~ArrayConfigFile() override { std::filesystem::remove(path_); }

  const std::string path_ = testing::TempDir() + "array-" + std::to_string(getpid()) + ".json";
};

TEST_F(ArrayConfigFile, ShippedConfigurationsLoad) {
  const std::string folder = std::string(MLSIM_SOURCE_DIR) + "/sim/configs/";
  EXPECT_EQ(load_array_config(folder + "default-16x16.json"), ArrayConfig{});
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_NO_THROW(load_array_config(entry.path())) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 3);
}

TEST_F(ArrayConfigFile, LeftOutKeysKeepTheirDefaults) {
  EXPECT_EQ(load_array_config(write("{}")), ArrayConfig{});
  const ArrayConfig config = load_array_config(
      write(R"({"rows": 4, "columns": 2, "elements_per_scaler": "all", "column_feeder": {"fill_ports": 3}})"));
  EXPECT_EQ(config.rows, 4);
  EXPECT_EQ(config.elements_per_scaler, 8);
  EXPECT_EQ(config.column_feeder.fill_ports, 3);
  EXPECT_EQ(config.column_feeder.buffer_elements, FeederConfig{}.buffer_elements);
}

TEST_F(ArrayConfigFile, Dataflows) {
  EXPECT_EQ(load_array_config(write(R"({"dataflow": "output-stationary"})")), ArrayConfig{});
  EXPECT_EQ(load_array_config(write(R"({"dataflow": "weight-stationary"})")).dataflow, DataflowKind::kWeightStationary);
  EXPECT_EQ(load_array_config(write(R"({"dataflow": "weight-stationary", "taps_per_cycle": 256})")).taps_per_cycle,
            256);
  for (const DataflowKind kind : {DataflowKind::kOutputStationary, DataflowKind::kWeightStationary}) {
    EXPECT_EQ(parse_dataflow_kind(to_string(kind)), kind);
  }
}

TEST_F(ArrayConfigFile, GroupsSideBySide) {
  EXPECT_EQ(load_array_config(write(R"({"depthwise": "rows"})")).depthwise, DepthwiseMapping::kRows);
  for (const char* const off : {R"({"depthwise": "off"})", R"({"depthwise": false})", R"({"depthwise": null})"}) {
    EXPECT_EQ(load_array_config(write(off)), ArrayConfig{}) << off;
  }
  expect_refused(R"({"depthwise": "columns"})", "/depthwise: is \"columns\"", R"(expected one of "off", "rows")");
  expect_refused(R"({"depthwise": true})", "/depthwise: is true", R"(expected "off", "rows", false or null)");
  EXPECT_EQ(load_array_config(write(R"({"depthwise": "rows", "dataflow": "weight-stationary"})")).depthwise,
            DepthwiseMapping::kRows);
}

TEST_F(ArrayConfigFile, GroupsAtOnceFitTheRowsAndTheBuffer) {
  ArrayConfig config;
  EXPECT_EQ(config.groups_at_once(1, 96), 1);
  config.depthwise = DepthwiseMapping::kRows;
  EXPECT_EQ(config.groups_at_once(1, 96), 16);
  EXPECT_EQ(config.groups_at_once(3, 96), 5);
  EXPECT_EQ(config.groups_at_once(1, 7), 7);
  EXPECT_EQ(config.groups_at_once(9, 96), 1);
  EXPECT_EQ(config.groups_at_once(17, 96), 1);
  EXPECT_EQ(config.words_of_half(16), 16);
  config.column_feeder.buffer_elements = 2 * 16 * 5 + 31;
  EXPECT_EQ(config.groups_at_once(1, 96), 5);
  EXPECT_EQ(config.words_of_half(5), 1);
  config.taps_per_cycle = 3;
  EXPECT_EQ(config.groups_at_once(1, 96), 1);
}

TEST_F(ArrayConfigFile, TakesIntegersHoweverTheyAreWritten) {
  EXPECT_EQ(load_array_config(write(R"({"rows": 16.0, "columns": 1e1})")).rows, 16);
  EXPECT_EQ(load_array_config(write(R"({"rows": 16.0, "columns": 1e1})")).columns, 10);
}

TEST_F(ArrayConfigFile, SharingThatIsLeftOutFitsTheArray) {
  EXPECT_EQ(load_array_config(write(R"({"rows": 2, "columns": 2})")).elements_per_scaler, 4);
  EXPECT_EQ(load_array_config(write(R"({"rows": 1, "columns": 1})")).elements_per_scaler, 1);
  EXPECT_EQ(load_array_config(write(R"({"rows": 4, "columns": 4})")).elements_per_scaler, 8);
  expect_refused(R"({"rows": 2, "columns": 2, "elements_per_scaler": 8})", "/elements_per_scaler: is 8",
                 "an integer from 1 to 4");
}

TEST_F(ArrayConfigFile, MemoryTakesNoTimeUnlessTold) {
  EXPECT_FALSE(ArrayConfig{}.waits_for_memory());
  EXPECT_EQ(
      load_array_config(write(R"({"dram_bytes_per_cycle": null, "dram_latency_cycles": null, "dram_burst_bytes": null,
                    "sram_read_bytes_per_cycle": null, "sram_write_bytes_per_cycle": null})")),
      ArrayConfig{});
  const ArrayConfig config =
      load_array_config(write(R"({"dram_bytes_per_cycle": 12.8, "dram_latency_cycles": 40, "dram_burst_bytes": 32})"));
  EXPECT_TRUE(config.waits_for_memory());
  EXPECT_EQ(config.dram_bytes_per_cycle.thousandths, 12800);
  EXPECT_EQ(config.dram_latency_cycles, 40);
  EXPECT_EQ(config.dram_burst_bytes, 32);
  EXPECT_EQ(load_array_config(write(R"({"dram_bytes_per_cycle": 0.001})")).dram_bytes_per_cycle.thousandths, 1);
  EXPECT_EQ(load_array_config(write(R"({"dram_bytes_per_cycle": 65536})")).dram_bytes_per_cycle.thousandths, 65536000);
  EXPECT_TRUE(load_array_config(write(R"({"dram_latency_cycles": 1})")).waits_for_memory());
  const ArrayConfig ports =
      load_array_config(write(R"({"sram_read_bytes_per_cycle": 16, "sram_write_bytes_per_cycle": 8.5})"));
  EXPECT_TRUE(ports.waits_for_memory());
  EXPECT_EQ(ports.sram_read_bytes_per_cycle.thousandths, 16000);
  EXPECT_EQ(ports.sram_write_bytes_per_cycle.thousandths, 8500);
}

TEST_F(ArrayConfigFile, BuffersHoldTwoWordsOfALane) {
  EXPECT_EQ(load_array_config(write(R"({"taps_per_cycle": 256})")).words_of_half(), 1);
  EXPECT_EQ(load_array_config(write(R"({"taps_per_cycle": 9})")).words_of_half(), 28);
  EXPECT_EQ(load_array_config(write(R"({"taps_per_cycle": 32, "columns": 64})")).words_of_half(), 2);
  EXPECT_EQ(load_array_config(write(R"({"taps_per_cycle": 3})")).multipliers(), 16 * 16 * 3);
  expect_refused(R"({"taps_per_cycle": 257})", "/row_feeder/buffer_elements: is 8192",
                 "8224 (two halves of 257 elements for each of the 16 lanes) to");
  expect_refused(R"({"taps_per_cycle": 4, "column_feeder": {"buffer_elements": 127}})",
                 "/column_feeder/buffer_elements: is 127", "128 (two halves of 4 elements for each of the 16 lanes)");
  expect_refused(R"({"taps_per_cycle": 0})", "/taps_per_cycle: is 0", "an integer from 1 to 1024");
}

TEST_F(ArrayConfigFile, ResultsHaveAnOlderNameForTwoForms) {
  EXPECT_EQ(load_array_config(write("{}")).results, ResultForm::kBoth);
  EXPECT_EQ(load_array_config(write(R"({"results": "both"})")).results, ResultForm::kBoth);
  EXPECT_EQ(load_array_config(write(R"({"results": "binary32"})")).results, ResultForm::kBinary32);
  EXPECT_EQ(load_array_config(write(R"({"results": "codes"})")).results, ResultForm::kCodes);
  EXPECT_EQ(load_array_config(write(R"({"quantize_results": true})")).results, ResultForm::kBoth);
  EXPECT_EQ(load_array_config(write(R"({"quantize_results": false})")).results, ResultForm::kBinary32);
  EXPECT_EQ(load_array_config(write(R"({"results": "codes", "quantize_results": true})")).results, ResultForm::kCodes);
  expect_refused(R"({"results": "codes", "quantize_results": false})", "/quantize_results",
                 "expected true beside results \"codes\"");
  expect_refused(R"({"results": "binary32", "quantize_results": true})", "/quantize_results", "expected false");
  expect_refused(R"({"results": "codes alone"})", "/results", R"(expected one of "both", "binary32", "codes")");
}

TEST_F(ArrayConfigFile, NamesItsDramAndKeepsBetweenLayers) {
  EXPECT_EQ(load_array_config(write("{}")).dram_technology, std::nullopt);
  EXPECT_EQ(load_array_config(write(R"({"dram_technology": null})")).dram_technology, std::nullopt);
  EXPECT_EQ(load_array_config(write(R"({"dram_technology": "LPDDR5"})")).dram_technology,
            energy::DramTechnology::kLpddr5);
  expect_refused(R"({"dram_technology": "SDRAM"})", "/dram_technology", R"(expected one of "DDR4", "GDDR6")");
  EXPECT_FALSE(load_array_config(write("{}")).keep_between_layers);
  EXPECT_TRUE(load_array_config(write(R"({"keep_between_layers": true})")).keep_between_layers);
  expect_refused(R"({"keep_between_layers": 1})", "/keep_between_layers", "true or false");
  expect_refused(R"({"keep_between_layers": true, "results": "binary32"})", "/keep_between_layers: is true",
                 "false where results are binary32");
}

TEST_F(ArrayConfigFile, RefusesWithFileKeyAndExpectation) {
  expect_refused("[]", ": is []", "expected an object");
  expect_refused("{", "line 1, column 2", "no JSON");
  expect_refused(R"({"row": 4})", "row", "expected one of rows");
  expect_refused(R"({"row_feeder": {"ports": 4}})", "/row_feeder/ports", "buffer_elements");
  expect_refused(R"({"row_feeder": 4})", "row_feeder", "object");
  expect_refused(R"({"rows": 0})", "/rows: is 0", "an integer from 1 to 1024");
  expect_refused(R"({"rows": -3})", "/rows: is -3", "an integer from 1 to 1024");
  for (const char* rows : {"99999999999", "4294967312", "18446744073709551615", "16.5", "1e4", "true", "[16]"}) {
    expect_refused(std::string(R"({"rows": )") + rows + "}", "/rows: is ", "expected an integer from 1 to 1024");
  }
  expect_refused(R"({"global_sram_bytes": 18446744073709551615})", "/global_sram_bytes: is 18446744073709551615",
                 "an integer from 1 to 1099511627776");
  expect_refused(R"({"row_feeder": {"fill_ports": 18446744073709551615}})", "/row_feeder/fill_ports: is 1844", "1 to");
  expect_refused(R"({"rows": "all"})", "rows", "integer");
  expect_refused(R"({"columns": 2.5})", "/columns: is 2.5", "integer");
  expect_refused(R"({"elements_per_scaler": 257})", "elements_per_scaler", "1 to 256");
  expect_refused(R"({"elements_per_scaler": 0})", "elements_per_scaler", "1 to 256");
  expect_refused(R"({"row_feeder": {"buffer_elements": 31}})", "/row_feeder/buffer_elements", "32");
  expect_refused(R"({"column_feeder": {"fill_ports": 0}})", "/column_feeder/fill_ports", "1 to");
  expect_refused(R"({"quantizer_lanes": 0})", "quantizer_lanes", "1 to");
  expect_refused(R"({"quantize_results": 1})", "quantize_results", "true or false");
  expect_refused(R"({"global_sram_bytes": 0})", "global_sram_bytes", "1 to");
  expect_refused(R"({"clock_ghz": 0})", "clock_ghz", "0.000001 to 1000");
  expect_refused(R"({"clock_ghz": 1e-320})", "clock_ghz", "0.000001 to 1000");
  expect_refused(R"({"clock_ghz": "fast"})", "clock_ghz", "number");
  for (const char* rate : {"0", "-1", "0.0001", "12.8125", "65536.001", "1e300", "\"fast\"", "true", "[8]"}) {
    expect_refused(std::string(R"({"dram_bytes_per_cycle": )") + rate + "}", "/dram_bytes_per_cycle: is ",
                   "expected a number from 0.001 to 65536 with at most three decimals, or null");
  }
  expect_refused(R"({"sram_read_bytes_per_cycle": 0.5})", "/sram_read_bytes_per_cycle: is 0.5",
                 "expected a number from 1 to 65536 with at most three decimals, or null");
  expect_refused(R"({"sram_write_bytes_per_cycle": "wide"})", "/sram_write_bytes_per_cycle: is \"wide\"", "or null");
  expect_refused(R"({"dram_latency_cycles": 1000001})", "/dram_latency_cycles: is 1000001",
                 "an integer from 0 to 1000000 or null");
  expect_refused(R"({"dram_latency_cycles": 2.5})", "/dram_latency_cycles: is 2.5", "or null");
  expect_refused(R"({"dataflow": "row-stationary"})", "/dataflow: is \"row-stationary\"",
                 R"(expected one of "output-stationary", "weight-stationary")");
  expect_refused(R"({"dataflow": 1})", "/dataflow: is 1", "expected one of \"output-stationary\"");
  expect_refused(R"({"dataflow": "weight-stationary", "taps_per_cycle": 257})", "/row_feeder/buffer_elements: is 8192",
                 "8224 (two halves of 257 elements for each of the 16 lanes)");
  expect_refused(R"({"dram_burst_bytes": 0})", "/dram_burst_bytes: is 0", "an integer from 1 to 65536 or null");
  EXPECT_THAT([] { load_array_config("no-such-array.json"); },
              testing::ThrowsMessage<std::runtime_error>(HasSubstr("no-such-array.json: cannot be read")));
}

}  // namespace
}  // namespace mlsim::sim
