#include "workloads/onnx/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "tests/support/onnx_models.h"
#include "tests/support/temporary_folder.h"
#include "workloads/source.h"
#include "workloads/workload.h"

namespace mlsim::workloads {
namespace {

using models::Operand;
using ::onnx::TensorProto;
using test::OnnxModel;
using testing::ElementsAre;
using testing::HasSubstr;
using Floats = std::vector<float>;

class OnnxValues : public testing::Test {
 protected:
  // A linear layer of two features to three, whose weights `fill` gives as 1, 2, 3, 4, 5, 6.
  template <typename Fill>
  OnnxModel model(int type, Fill fill) {
    OnnxModel model;
    model.input("x", {4, 2});
    fill(model.tensor("w", {3, 2}, type));
    model.node("Gemm", {"x", "w"}, {"y"}, {{"transB", 1}});
    return model;
  }
  std::string save(const OnnxModel& model) { return model.save(folder_.path() / "m.onnx").string(); }
  Floats weights(const OnnxModel& model) {
    const Workload workload = open_workload(save(model));
    return load_operand(workload.layers.at(0), Operand::kWeight).values;
  }
  std::string error(const OnnxModel& model) {
    return test::error_of([&] { weights(model); });
  }

  template <typename Stored>
  static std::string raw(const std::vector<Stored>& values) {
    std::string bytes(values.size() * sizeof(Stored), '\0');
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  static constexpr auto kOneToSix = [](const Floats& values) { return values == Floats{1, 2, 3, 4, 5, 6}; };

  test::TemporaryFolder folder_;
};

TEST_F(OnnxValues, AreReadFromTheFieldsOfTheirTypes) {
  EXPECT_THAT(weights(model(TensorProto::FLOAT,
                            [](TensorProto& w) {
                              for (int i = 1; i <= 6; ++i) w.add_float_data(static_cast<float>(i));
                            })),
              testing::Truly(kOneToSix));
  EXPECT_THAT(weights(model(TensorProto::DOUBLE,
                            [](TensorProto& w) {
                              for (int i = 1; i <= 6; ++i) w.add_double_data(i);
                            })),
              testing::Truly(kOneToSix));
  EXPECT_THAT(weights(model(TensorProto::FLOAT16,
                            [](TensorProto& w) {
                              for (const int bits : {0x3C00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600})
                                w.add_int32_data(bits);
                            })),
              testing::Truly(kOneToSix));
  EXPECT_THAT(
      weights(model(TensorProto::BFLOAT16,
                    [](TensorProto& w) {
                      for (int i = 1; i <= 6; ++i)
                        w.add_int32_data(static_cast<int>(std::bit_cast<std::uint32_t>(static_cast<float>(i)) >> 16));
                    })),
      testing::Truly(kOneToSix));
}

TEST_F(OnnxValues, AreReadFromBytes) {
  const auto bytes = [&](int type, const std::string& text) {
    return weights(model(type, [&](TensorProto& w) { w.set_raw_data(text); }));
  };
  EXPECT_THAT(bytes(TensorProto::FLOAT, raw(Floats{1, 2, 3, 4, 5, 6})), testing::Truly(kOneToSix));
  EXPECT_THAT(bytes(TensorProto::DOUBLE, raw(std::vector<double>{1, 2, 3, 4, 5, 6})), testing::Truly(kOneToSix));
  // The smallest and largest of binary16, a number below its normal ones, and what is none.
  const Floats halves =
      bytes(TensorProto::FLOAT16, raw(std::vector<std::uint16_t>{1, 0x7BFF, 0x8200, 0xFC00, 0x7E00, 0x8000}));
  EXPECT_EQ(halves[0], std::ldexp(1.0F, -24));
  EXPECT_EQ(halves[1], 65504);
  EXPECT_EQ(halves[2], -std::ldexp(1.0F, -15));
  EXPECT_EQ(halves[3], -INFINITY);
  EXPECT_TRUE(std::isnan(halves[4]));
  EXPECT_TRUE(halves[5] == 0 && std::signbit(halves[5]));
}

TEST_F(OnnxValues, AreRefusedWhereTheyAreNotAsManyAsTheirDimensions) {
  const std::string start = (folder_.path() / "m.onnx").string() + ": tensor 'w': ";
  EXPECT_EQ(error(model(TensorProto::FLOAT, [](TensorProto& w) { w.add_float_data(1); })),
            start + "holds 1 values, expected the 6 of its dimensions 3 × 2");
  EXPECT_EQ(error(model(TensorProto::FLOAT, [](TensorProto& w) { w.set_raw_data("12345"); })),
            start + "holds 5 bytes, expected the 24 of its dimensions 3 × 2");
  EXPECT_EQ(error(model(TensorProto::FLOAT, [](TensorProto& w) { w.set_dims(0, -3); })),
            start + "has the dimensions -3 × 2, expected each from 0 to 2^31 and at most 2^56 elements");
  EXPECT_EQ(
      error(model(TensorProto::FLOAT,
                  [](TensorProto& w) {
                    w.set_dims(0, 1 << 30);
                    w.set_dims(1, 1 << 30);
                  })),
      start + "has the dimensions 1073741824 × 1073741824, expected each from 0 to 2^31 and at most 2^56 elements");
}

class ExternalValues : public OnnxValues {
 protected:
  OnnxModel beside(const std::string& location, const std::vector<std::pair<std::string, std::string>>& more = {}) {
    return model(TensorProto::FLOAT, [&](TensorProto& w) {
      w.set_data_location(TensorProto::EXTERNAL);
      const auto add = [&](const std::string& key, const std::string& value) {
        auto& entry = *w.add_external_data();
        entry.set_key(key);
        entry.set_value(value);
      };
      add("location", location);
      for (const auto& [key, value] : more) add(key, value);
    });
  }
};

TEST_F(ExternalValues, AreReadFromAFileBeside) {
  folder_.write("w.bin", "0123" + raw(Floats{1, 2, 3, 4, 5, 6}) + "rest");
  EXPECT_THAT(weights(beside("w.bin", {{"offset", "4"}, {"length", "24"}})), testing::Truly(kOneToSix));
  EXPECT_THAT(weights(beside("./w.bin", {{"offset", "4"}})), testing::Truly(kOneToSix));
  const Workload workload = open_workload(save(beside("w.bin", {{"offset", "4"}})));
  EXPECT_THAT(workload.files, testing::Contains(folder_.path() / "w.bin"));
}

TEST_F(ExternalValues, AreRefusedOutsideTheFolder) {
  std::filesystem::create_directory(folder_.path() / "sub");
  folder_.write("sub/w.bin", raw(Floats{1, 2, 3, 4, 5, 6}));
  EXPECT_THAT(weights(beside("sub/w.bin")), testing::Truly(kOneToSix));
  std::filesystem::create_symlink("/etc", folder_.path() / "link");
  for (const std::string place : {"/etc/passwd", "../w.bin", "sub/../../w.bin", "link/passwd"}) {
    EXPECT_EQ(error(beside(place)), (folder_.path() / "m.onnx").string() + ": tensor 'w': is in the file '" + place +
                                        "', expected one in the folder of the model");
  }
}

TEST_F(ExternalValues, AreRefusedWhereTheFileHasFewer) {
  folder_.write("w.bin", raw(Floats{1, 2, 3}));
  EXPECT_THAT(error(beside("w.bin")), HasSubstr("w.bin: has 12 bytes, fewer than the 24 behind byte 0, expected the "
                                                "values of tensor 'w' of "));
  EXPECT_THAT(error(beside("w.bin", {{"offset", "99"}})), HasSubstr("fewer than the 24 behind byte 99"));
  EXPECT_THAT(error(beside("none.bin")), HasSubstr("none.bin: cannot be opened, expected the values of tensor 'w'"));
  EXPECT_THAT(error(beside("w.bin", {{"offset", "-4"}})),
              HasSubstr("has the offset '-4' in another file, expected a number of bytes"));
  EXPECT_THAT(error(beside("w.bin", {{"length", "12"}})),
              HasSubstr("holds 12 bytes, expected the 24 of its dimensions 3 × 2"));
}

TEST_F(OnnxValues, StandBesideSyntheticOnesAsTheUserSays) {
  const OnnxModel with = model(TensorProto::FLOAT, [&](TensorProto& w) {
    w.set_raw_data(raw(Floats{1, 2, 3, 4, 5, 6}));
  });
  const auto kinds = [&](std::optional<NetworkValues> values) {
    std::vector<std::size_t> found;
    const Workload workload = open_workload(save(with), {.values = values});
    for (const LayerOperand& operand : workload.layers.at(0).operands) found.push_back(operand.source.index());
    return found;
  };
  constexpr std::size_t kNone = 0;
  constexpr std::size_t kSynthetic = 2;
  constexpr std::size_t kModel = 3;
  EXPECT_THAT(kinds(std::nullopt), ElementsAre(kSynthetic, kModel, kSynthetic));
  EXPECT_THAT(kinds(NetworkValues::kWeights), ElementsAre(kSynthetic, kModel, kSynthetic));
  EXPECT_THAT(kinds(NetworkValues::kSynthetic), ElementsAre(kSynthetic, kSynthetic, kSynthetic));
  EXPECT_THAT(kinds(NetworkValues::kNone), ElementsAre(kNone, kNone, kNone));
  OnnxModel without;
  without.input("x", {4, 2}).input("w", {3, 2}).node("Gemm", {"x", "w"}, {"y"}, {{"transB", 1}});
  EXPECT_TRUE(open_workload(save(without)).layers.at(0).is_shape_only());
  EXPECT_THAT(test::error_of([&] { open_workload(save(without), {.values = NetworkValues::kWeights}); }),
              HasSubstr("--values is given, but "));
}

}  // namespace
}  // namespace mlsim::workloads
