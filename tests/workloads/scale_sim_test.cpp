#include "workloads/scale_sim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"
#include "workloads/source.h"
#include "workloads/training_counts.h"
#include "workloads/workload.h"

namespace mlsim::workloads {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr const char* kHeader =
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n";

TEST(ScaleSim, ReadsLayersWithPaddedInputs) {
  const Network network = parse_scale_sim(
      std::string(kHeader) + "\nConv1, 230, 231, 7, 5, 3, 64, 2,\r\n\tFC,1,1,1,1,2048,1000,1\n", "some/net.csv");
  EXPECT_EQ(network.name, "net");
  ASSERT_EQ(network.layers.size(), 2U);
  const models::ConvolutionShape expected{.batch = 4,
                                          .in_channels = 3,
                                          .out_channels = 64,
                                          .in_size = {230, 231},
                                          .kernel = {7, 5},
                                          .stride = {2, 2},
                                          .padding = {0, 0},
                                          .groups = 1};
  EXPECT_EQ(network.layers[0].name, "Conv1");
  EXPECT_EQ(network.layers[0].convolution_shape(4), expected);
  EXPECT_EQ(network.layers[0].output, (FeatureMap{64, {112, 114}}));
  EXPECT_EQ(network.layers[1].name, "FC");
  EXPECT_EQ(network.layers[1].weight_count(), 2048 * 1000);
  // 64 · 112 · 114 outputs of 7 · 5 · 3 products, and the 1×1 layer.
  EXPECT_EQ(count_training_step(network, 1).convolution.forward, 64U * 112 * 114 * 105 + 2048 * 1000);
}

TEST(ScaleSim, IsTakenWhereANetworkOrAWorkloadIs) {
  const test::TemporaryFolder folder;
  folder.write("net.csv", std::string(kHeader) + "conv, 34, 34, 3, 3, 16, 32, 1,\n");
  EXPECT_EQ(load_network("net.csv", folder.path()).layers.size(), 1U);
  const Workload direct = open_workload((folder.path() / "net.csv").string());
  const Workload named = parse_workload(
      R"({"schema": "mlsim.workload/1", "name": "w", "seed": 1, "format": "e2m1", "batch": 2, "layers": "net.csv"})",
      "w.json", folder.path());
  EXPECT_EQ(direct.name, "net");
  ASSERT_EQ(direct.layers.size(), 1U);
  EXPECT_TRUE(direct.layers[0].is_shape_only());
  EXPECT_EQ(direct.layers[0].passes.size(), 3U);
  EXPECT_EQ(models::to_string(direct.layers[0].operand(models::Operand::kError).format), "e2m4/g8m1/nc");
  EXPECT_EQ(direct.layers[0].shape.batch, 1);
  EXPECT_EQ(named.layers[0].shape.batch, 2);
  EXPECT_EQ(named.layers[0].shape.out_size(), (std::array<std::int64_t, 2>{32, 32}));
}

TEST(ScaleSim, RefusesABrokenWorkloadByItsLine) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("net.csv", std::string(kHeader) + "conv, 34, 34, 3, 3, 16, 32, 0,\n");
  EXPECT_EQ(test::error_of([&] { open_workload(path.string()); }),
            path.string() + ": line 2: Strides is '0', expected a whole number from 1 to 1048576");
}

TEST(ScaleSim, RefusesWithFileLineAndWhatWasExpected) {
  const auto expect = [](const std::string& text, const std::vector<std::string>& parts) {
    for (const std::string& part : parts) {
      EXPECT_THAT([&] { parse_scale_sim(text, "net.csv"); },
                  ThrowsMessage<std::runtime_error>(AllOf(HasSubstr("net.csv: line "), HasSubstr(part))))
          << text;
    }
  };
  const std::string header = kHeader;
  expect(header + "conv, 3, 3, 1, 1, 1, 1,\n", {"line 2", "has 6 numbers behind the name, expected a name and 7"});
  expect("conv, 3, 3, 1, 1\n", {"line 1", "has 4 numbers"});
  expect("Layer, M, N, K,\nqk, 1, 2,\n", {"line 2", "has 2 numbers"});
  expect(header + "qk, 1, 2, 3,\n", {"line 2", "has 3 numbers"});
  expect(header + "\nconv, 3, x, 1, 1, 1, 1, 1,\n", {"line 3", "IFMAP Width is 'x', expected a whole number from 1"});
  expect(header + "a, 3, 3, 1, 1, 1, 1, 1,\nlstm, 1, B, 1, 1, H, H, 1,\n", {"line 3", "Channels is 'H'"});
  expect(header + "a, 3, 3, 1, 1, 1, 1, 1,\nlstm, B, B, B, B, H, H, S,\n", {"line 3", "Channels is 'H'"});
  expect(header + "conv, 3, 3, 1, 1, 0, 1, 1,\n", {"Channels is '0'"});
  expect(header + "conv, 3, 3, 1, 1, -1, 1, 1,\n", {"Channels is '-1'"});
  expect(header + "conv, 3, 3, 1, 1, 1.5, 1, 1,\n", {"Channels is '1.5'"});
  expect(header + "conv, 3, 3, 1, 1, 1048577, 1, 1,\n", {"Channels is '1048577'"});
  expect(header + "conv, 3, 3, 1, 1, 1, 1, ,\n", {"has 6 numbers"});
  expect(header + "conv, 3, 3, 1, 1, 1, 1, 2, 0,\n", {"Stride width is '0'"});
  expect(header + "conv, 3, 2, 1, 3, 1, 1, 1,\n", {"Filter Width is 3, expected at most the 2 of IFMAP Width"});
  expect("l, M, N, K, Batch size\nqk, 1048576, 1, 1, 2\n", {"line 2", "has 2097152 rows in all"});
  expect(header + "DP1, 3, 3, 1, 1, 1048576, 2, 1,\n", {"line 2", "has 2097152 filters for all channels"});
  expect(header +
             "a\x01"
             "b, 3, 3, 1, 1, 1, 1, 1,\n",
         {"line 2", "control characters"});
  expect(header + "a, 1048576, 1048576, 1, 1, 1048576, 1, 1,\n", {"2^56"});
}

TEST(ScaleSim, RefusesWhatHasNoLayer) {
  EXPECT_EQ(test::error_of([] { parse_scale_sim("\n , ,\n", "net.csv"); }),
            "net.csv: is empty, expected a SCALE-Sim topology");
  for (const std::string& text : {std::string(kHeader), kHeader + std::string("AlphaGoZero,\n"),
                                  std::string(kHeader) + "LSTM, H, B, D, H, D, H, S,\n"}) {
    EXPECT_THAT(test::error_of([&] { parse_scale_sim(text, "net.csv"); }),
                HasSubstr("net.csv: has no layer, expected a name and 7 numbers"))
        << text;
  }
  EXPECT_EQ(test::error_of([] { parse_scale_sim("\xFF\xFEL\0a\0", "net.csv"); }),
            "net.csv: is UTF-16 text, expected UTF-8");
}

// Each text is one of two layers, whatever wrote it.
TEST(ScaleSim, ReadsEveryKindOfTable) {
  const std::string header = kHeader;
  const Network plain = parse_scale_sim(header + "a b, 8, 9, 3, 2, 5, 6, 2,\nfc, 1, 1, 1, 1, 7, 4, 1,\n", "net.csv");
  ASSERT_EQ(plain.layers.size(), 2U);
  for (const std::string& text : {
           // Headers: of other words, of none, of quotes, behind a title, behind a byte-order mark, twice.
           std::string("Layer,Ifmap width,ifmap width,w,w,channels,num filters,S\na b,8,9,3,2,5,6,2\nfc,1,1,1,1,7,4,1"),
           std::string("a b,8,9,3,2,5,6,2\nfc,1,1,1,1,7,4,1"),
           std::string("\"Layer, name\",h,w,h,w,c,f,s\n\"a b\",\"8\",\"9\",3,2,5,6,2\nfc,1,1,1,1,7,4,1\n"),
           "A network,,,\n" + header + "a b,8,9,3,2,5,6,2\nfc,1,1,1,1,7,4,1\n",
           "\xEF\xBB\xBF" + header + "a b,8,9,3,2,5,6,2\nfc,1,1,1,1,7,4,1\n",
           header + "a b,8,9,3,2,5,6,2\n" + header + "fc,1,1,1,1,7,4,1\n",
           // Ends of lines: CR LF, CR; rows of commas, of spaces, titles.
           std::string("h,h,w,h,w,c,f,s\r\na b,8,9,3,2,5,6,2,\r\n\r\nfc,1,1,1,1,7,4,1,\r\n"),
           std::string("h,h,w,h,w,c,f,s\ra b,8,9,3,2,5,6,2,\rfc,1,1,1,1,7,4,1,"),
           header + ",,,,,,,,\n  \t\nInception (4a),\na b,8,9,3,2,5,6,2\n, ,\n\"Block 2\"\nfc,1,1,1,1,7,4,1\n",
           // Separators: tabs, semicolons, spaces; no-break spaces of UTF-8 and of Latin-1; numbers of a table of
           // floats.
           std::string(
               "Layer name\t h\t w\t h\t w\t c\t f\t s\t \na b\t8\t9\t3\t2\t5\t6\t2\t\nfc\t1\t1\t1\t1\t7\t4\t1"),
           header + "\ta b,8,9,3,2,5,6,2,\n\tfc,1,1,1,1,7,4,1,\n",
           std::string("n;h;w;h;w;c;f;s\na b;8;9;3;2;5;6;2\nfc;1;1;1;1;7;4;1\n"),
           header + "a b,8,9,3,2,5,6,2\nfc 1 1  1 1 7 4 1\n",
           header + "a\xC2\xA0"
                    "b,\xC2\xA0"
                    "8,9\xC2\xA0,3,2,5,\xE2\x80\xAF"
                    "6,2\nfc,1,1,1,1,7,4,1\n",
           header + "a\xA0"
                    "b,8,9,3\xA0,2,5,6,2\nfc,1,1,1,1,7,4,1\n",
           header + "a b,8.0,9.00,3.0,2,5,6,2.0\nfc,1,1,1,1,7,4,1\n",
           // More columns: empty ones, a batch of one, two strides.
           std::string("n,h,w,h,w,c,f,s,batch size\na b,8,9,3,2,5,6,2\nfc,1,1,1,1,7,4,1,1\n"),
           std::string("n,Batch,h,w,h,w,c,f,s\na b,1,8,9,3,2,5,6,2\nfc,1,1,1,1,1,7,4,1\n"),
           header + "a b,8,9,3,2,5,6,2,2,\nfc,1,1,1,1,7,4,1,1,\n",
           std::string("n,h,w,h,w,c,f,Stride height,Stride width\na b,8,9,3,2,5,6,2,\nfc,1,1,1,1,7,4,1,1\n"),
       }) {
    const Network network = parse_scale_sim(text, "net.csv");
    ASSERT_EQ(network.layers.size(), 2U) << text;
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(network.layers[i].name, plain.layers[i].name) << text;
      EXPECT_EQ(network.layers[i].convolution_shape(1), plain.layers[i].convolution_shape(1)) << text;
    }
    EXPECT_TRUE(network.remarks.empty()) << network.remarks.front();
  }
}

TEST(ScaleSim, ReadsStridesAndBatches) {
  const std::string row = "conv, 9, 9, 3, 3, 5, 6, 2, ";
  const std::string header = "n, h, w, h, w, c, f, ";
  const NetworkLayer strides =
      parse_scale_sim(header + "Stride height, Stride width\n" + row + "3\n", "n.csv").layers[0];
  EXPECT_EQ(strides.stride, (std::array<std::int64_t, 2>{2, 3}));
  EXPECT_EQ(strides.output, (FeatureMap{6, {4, 3}}));
  // Without a word on it SCALE-Sim takes an eighth number for the stride across.
  EXPECT_EQ(parse_scale_sim(header + "Strides,\n" + row + "3,\n", "n.csv").layers[0].stride, strides.stride);

  const Network batch = parse_scale_sim(header + "Strides, Batch Size,\n" + row + "3,\n", "n.csv");
  EXPECT_EQ(batch.layers[0].stride, (std::array<std::int64_t, 2>{2, 2}));
  EXPECT_EQ(batch.layers[0].convolution_shape(1).batch, 3);
  EXPECT_EQ(batch.layers[0].convolution_shape(2).batch, 6);
  const std::uint64_t each = 6U * 4 * 4 * 3 * 3 * 5;
  EXPECT_EQ(count_training_step(batch, 1).convolution.forward, 3 * each);
  EXPECT_EQ(count_training_step(batch, 2).convolution.backward, 2 * 2 * 3 * each);
}

TEST(ScaleSim, ReadsMatrixProductsAsLinearLayers) {
  for (const char* const text :
       {"Layer, M, N, K,\n1, 128, 512, 1536,\nqk, 100, 1, 7,\n", "1, 128, 512, 1536\nqk, 100, 1, 7\n",
        "a, rows, columns, inner\n1, 128, 512, 1536\nqk, 100, 1, 7\n", "l,m,k,n\n1,128,1536,512\nqk,100,7,1\n"}) {
    const test::TemporaryFolder folder;
    const Workload workload = open_workload(folder.write("products.csv", text).string());
    ASSERT_EQ(workload.layers.size(), 2U) << text;
    EXPECT_EQ(workload.layers[0].name, "1");
    EXPECT_TRUE(workload.layers[0].linear);
    const models::ConvolutionShape expected{.batch = 128, .in_channels = 1536, .out_channels = 512};
    EXPECT_EQ(workload.layers[0].shape, expected) << text;
    const TrainingCounts counts = count_training_step(load_network("products.csv", folder.path()), 1);
    EXPECT_EQ(counts.linear.forward, 128U * 512 * 1536 + 100 * 7);
    EXPECT_EQ(counts.linear_weights, 512U * 1536 + 7);
    EXPECT_EQ(counts.convolution.forward, 0U);
  }
  const Network sparse = parse_scale_sim("Layer, M, N, K, Sparsity, Batch\nqk, 4, 5, 6, 2:4, 3\n", "n.csv");
  EXPECT_EQ(sparse.layers[0].convolution_shape(1).batch, 12);
}

TEST(ScaleSim, SaysWhatItDoesNotTakeAsItStands) {
  const auto remarks = [](const std::string& rows) {
    const Network network = parse_scale_sim(kHeader + rows, "net.csv");
    EXPECT_EQ(network.remarks.size(), 1U) << rows;
    return network.remarks.empty() ? "" : network.remarks.front();
  };
  EXPECT_EQ(remarks("a, 3, 3, 1, 1, 1, 1, 1, 2:4,\nb, 3, 3, 1, 1, 1, 1, 1, 1:4,\n"),
            "net.csv: has a sparsity, which is not modelled: weights are dense: a, and 1 more");
  EXPECT_EQ(remarks("a, 3, 3, 1, 1, 1, 1, 1,\na, 3, 3, 1, 1, 1, 1, 1,\na_2, 3, 3, 1, 1, 1, 1, 1,\n"),
            "net.csv: has names more than once: 'a' of line 3 is also that of line 2 and becomes 'a_2', and 1 more");
  EXPECT_EQ(remarks("a, 3, 3, 1, 1, 1, 1, 1,#dw\n"),
            "net.csv: has cells without a meaning, which are passed over: '#dw' in line 2");
  EXPECT_EQ(remarks("FC, 1, 1, 1, ,1 2, 2, 1,\n"),
            "net.csv: has commas at wrong places: line 2 is read as 1, 1, 1, 1, 2, 2, 1");
  EXPECT_EQ(remarks("4a/1x1, 3, 3, 1, 1, 1, 1, 1,\n"),
            "net.csv: has names that cannot be files': '4a/1x1' becomes '4a_1x1'");
  EXPECT_EQ(remarks(", 3, 3, 1, 1, 1, 1, 1,\n"),
            "net.csv: has rows without a name, which are called by their line: 'line_2'");
  EXPECT_EQ(remarks("conv_DP, 3, 3, 1, 1, 1, 1, 1,\n"),
            "net.csv: has DP in names, which makes layers depthwise, as in SCALE-Sim: 'conv_DP'");
  const Network padded = parse_scale_sim("n,h,w,h,w,c,f,Strides,Padding\na,3,3,1,1,1,1,1,1\n", "net.csv");
  EXPECT_EQ(padded.layers[0].stride, (std::array<std::int64_t, 2>{1, 1}));
  ASSERT_EQ(padded.remarks.size(), 1U);
}

TEST(ScaleSim, GivesEveryLayerANameOfItsOwn) {
  const Network network =
      parse_scale_sim(std::string(kHeader) +
                          "a, 3, 3, 1, 1, 1, 1, 1,\na_2, 3, 3, 1, 1, 1, 1, 1,\na, 3, 3, 1, 1, 1, 1, 1,\n"
                          "a_2, 3, 3, 1, 1, 1, 1, 1,\na, 3, 3, 1, 1, 1, 1, 1,\n",
                      "n.csv");
  std::vector<std::string> names;
  for (const NetworkLayer& layer : network.layers) names.push_back(layer.name);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "a_2", "a_3", "a_2_2", "a_4"}));
}

// Trying all suffixes for each row anew would take an hour.
TEST(ScaleSim, TakesManyRowsOfOneName) {
  constexpr int kRows = 100'000;
  std::string text;
  for (int i = 0; i < kRows; ++i) text += "a, 1, 1, 1,\n";
  EXPECT_EQ(parse_scale_sim(text, "net.csv").layers.back().name, "a_100000");
}

// Each of the channels of a depthwise convolution has all filters of the row.
TEST(ScaleSim, RunsDepthwiseConvolutions) {
  const Network network = parse_scale_sim(
      std::string(kHeader) + "conv2_DP, 114, 114, 3, 3, 32, 2, 1,\ndp, 114, 114, 3, 3, 32, 2, 1,\n", "n.csv");
  const models::ConvolutionShape depthwise = network.layers[0].convolution_shape(1);
  EXPECT_EQ(depthwise.groups, 32);
  EXPECT_EQ(depthwise.in_channels, 32);
  EXPECT_EQ(depthwise.out_channels, 64);
  EXPECT_NO_THROW(depthwise.check());
  EXPECT_EQ(depthwise.multiply_adds(models::Pass::kForward), 112U * 112 * 9 * 64);
  EXPECT_EQ(network.layers[1].groups, 1);
}

TEST(ScaleSim, IsKnownByItsEnding) {
  const test::TemporaryFolder folder;
  const auto path = folder.write("NET.CSV", std::string(kHeader) + "conv, 34, 34, 3, 3, 16, 32, 1,\n");
  EXPECT_EQ(load_network("NET.CSV", folder.path()).layers.size(), 1U);
  const std::uint64_t hash = open_workload(path.string()).content_hash;
  folder.write("NET.CSV", std::string(kHeader) + "conv, 34, 34, 3, 3, 16, 33, 1,\n");
  EXPECT_NE(open_workload(path.string()).content_hash, hash);
}

}  // namespace
}  // namespace mlsim::workloads
