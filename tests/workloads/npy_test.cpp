#include "workloads/npy.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/support/temporary_folder.h"

namespace mlsim::workloads {
namespace {

using test::error_of;
using test::TemporaryFolder;
using testing::ElementsAre;

// A file of the given version with a header of any text and any data, whether they fit or not.
std::string npy(std::string header, const std::string& data, int major = 1, int minor = 0) {
  header += '\n';
  std::string file = "\x93NUMPY";
  file += static_cast<char>(major);
  file += static_cast<char>(minor);
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) file += static_cast<char>((header.size() >> (8 * i)) & 0xFF);
  return file + header + data;
}

std::string dictionary(const std::string& descr, const std::string& shape, const std::string& order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

std::string error_of_reading(const std::string& content) {
  return error_of([&] {
    base::InputText input(content, "a.npy");
    read_npy(input);
  });
}

// 1.0F and -2.5F, little-endian.
const std::string kTwoFloats("\x00\x00\x80\x3F\x00\x00\x20\xC0", 8);

TEST(ReadNpy, ReadsWhatNumpyWrites) {
  // numpy.array([[1, -2.5]], dtype="float32"), as numpy.save writes it: 128 bytes of header.
  const std::string header = dictionary("<f4", "(1, 2)");
  const std::string content = npy(header + std::string(117 - header.size(), ' '), kTwoFloats);
  ASSERT_EQ(content.size(), 128U + 8U);
  base::InputText input(content, "a.npy");
  const models::Tensor<float> tensor = read_npy(input);
  EXPECT_THAT(tensor.shape, ElementsAre(1, 2));
  EXPECT_THAT(tensor.values, ElementsAre(1.0F, -2.5F));
}

TEST(ReadNpy, ReadsEveryVersionAndAnyOrderAndLayoutOfTheHeader) {
  for (const std::string& header :
       {dictionary("<f4", "(2,)"), std::string(R"({"shape":(2,),"descr":"<f4","fortran_order":False})"),
        std::string("  { 'fortran_order' : False , 'shape' : ( 2 , ) , 'descr' : '<f4' }   ")}) {
    for (const int major : {1, 2, 3}) {
      const std::string content = npy(header, kTwoFloats, major);
      base::InputText input(content, "a.npy");
      const models::Tensor<float> tensor = read_npy(input);
      EXPECT_THAT(tensor.shape, ElementsAre(2)) << header;
      EXPECT_THAT(tensor.values, ElementsAre(1.0F, -2.5F)) << header;
    }
  }
}

TEST(ReadNpy, ReadsAScalar) {
  const std::string content = npy(dictionary("<f4", "()"), kTwoFloats.substr(4));
  base::InputText input(content, "a.npy");
  const models::Tensor<float> tensor = read_npy(input);
  EXPECT_TRUE(tensor.shape.empty());
  EXPECT_THAT(tensor.values, ElementsAre(-2.5F));
}

TEST(ReadNpy, RefusesWhatIsNoNpyFile) {
  EXPECT_EQ(error_of_reading(""), "a.npy: is no .npy file");
  EXPECT_EQ(error_of_reading("PK\x03\x04 this is an archive"), "a.npy: is no .npy file");
  EXPECT_EQ(error_of_reading("\x93NUMPY"), "a.npy: ends inside its header");
  EXPECT_EQ(error_of_reading(npy("", "").substr(0, 9)), "a.npy: ends inside its header");
  EXPECT_EQ(error_of_reading(npy(dictionary("<f4", "(2,)"), "").substr(0, 30)), "a.npy: ends inside its header");
}

TEST(ReadNpy, RefusesOtherVersions) {
  const std::string header = dictionary("<f4", "(2,)");
  EXPECT_EQ(error_of_reading(npy(header, kTwoFloats, 4)),
            "a.npy: has the .npy format version 4.0, expected 1.0, 2.0 or 3.0");
  EXPECT_EQ(error_of_reading(npy(header, kTwoFloats, 0)),
            "a.npy: has the .npy format version 0.0, expected 1.0, 2.0 or 3.0");
  EXPECT_EQ(error_of_reading(npy(header, kTwoFloats, 1, 7)),
            "a.npy: has the .npy format version 1.7, expected 1.0, 2.0 or 3.0");
}

TEST(ReadNpy, RefusesMalformedHeaders) {
  const auto reason = [](const std::string& header) {
    const std::string error = error_of_reading(npy(header, kTwoFloats));
    const std::string start = "a.npy: has a malformed header: ";
    return error.starts_with(start) ? error.substr(start.size()) : "another error: " + error;
  };
  EXPECT_EQ(reason(""), "expected '{' at ''");
  EXPECT_EQ(reason("[1, 2]"), "expected '{' at '[1, 2]?'");
  EXPECT_EQ(reason("{}"), "descr, fortran_order or shape is missing");
  EXPECT_EQ(reason("{'descr': '<f4', 'shape': (2,)}"), "descr, fortran_order or shape is missing");
  EXPECT_EQ(reason("{'descr': '<f4', 'descr': '<f4'}"),
            "key 'descr' is repeated or none of descr, fortran_order, shape");
  EXPECT_EQ(reason("{'color': 'red'}"), "key 'color' is repeated or none of descr, fortran_order, shape");
  EXPECT_EQ(reason("{'descr: <f4}"), "expected a text in quotes at ''descr: <f4}'");
  EXPECT_EQ(reason("{descr: '<f4'}"), "expected a text in quotes at 'descr: '<f4''");
  EXPECT_EQ(reason("{'descr' '<f4'}"), "expected ':' at ''<f4'}?'");
  EXPECT_EQ(reason(dictionary("<f4", "(2,)", "0")), "fortran_order is neither True nor False");
  EXPECT_EQ(reason(dictionary("<f4", "(2)")), "shape is no tuple");
  EXPECT_EQ(reason(dictionary("<f4", "[2]")), "expected '(' at '[2], }?'");
  EXPECT_EQ(reason(dictionary("<f4", "(-2,)")), "expected an extent of 0 or more at '-2,), }?'");
  EXPECT_EQ(reason(dictionary("<f4", "(2.0,)")), "shape is no tuple");
  EXPECT_EQ(reason(dictionary("<f4", "(1, 2")), "expected an extent of 0 or more at '}?'");
  EXPECT_EQ(reason(dictionary("<f4", "(2,)") + " and more"), "something follows the dictionary");
  EXPECT_EQ(reason("{'descr': '<f\x01', }"), "a text has characters that cannot be printed");
  EXPECT_EQ(reason("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)"), "expected '}' at ''");
}

TEST(ReadNpy, RefusesAHeaderOfAbsurdLength) {
  EXPECT_EQ(error_of_reading(std::string("\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF{", 13)),
            "a.npy: has a malformed header: it is 4294967295 bytes long");
}

TEST(ReadNpy, RefusesOtherTypes) {
  const auto error = [](const std::string& descr) {
    return error_of_reading(npy(dictionary(descr, "(2,)"), kTwoFloats));
  };
  EXPECT_EQ(error("<f8"), "a.npy: holds float64 ('<f8'), expected little-endian float32 ('<f4')");
  EXPECT_EQ(error("<f2"), "a.npy: holds float16 ('<f2'), expected little-endian float32 ('<f4')");
  EXPECT_EQ(error("<f16"), "a.npy: holds float128 ('<f16'), expected little-endian float32 ('<f4')");
  EXPECT_EQ(error("|u1"), "a.npy: holds uint8 ('|u1'), expected little-endian float32 ('<f4')");
  EXPECT_EQ(error("<i8"), "a.npy: holds int64 ('<i8'), expected little-endian float32 ('<f4')");
  EXPECT_EQ(error("|b1"), "a.npy: holds bool ('|b1'), expected little-endian float32 ('<f4')");
  EXPECT_EQ(error("<c8"), "a.npy: holds complex64 ('<c8'), expected little-endian float32 ('<f4')");
  EXPECT_EQ(error("<U5"), "a.npy: holds the type ('<U5'), expected little-endian float32 ('<f4')");
  EXPECT_EQ(error("<f4e"), "a.npy: holds the type ('<f4e'), expected little-endian float32 ('<f4')");
  EXPECT_EQ(error(""), "a.npy: holds the type (''), expected little-endian float32 ('<f4')");
  EXPECT_EQ(error(">f4"), "a.npy: holds big-endian float32 ('>f4'), expected little-endian float32 ('<f4')");
  EXPECT_EQ(error(">f8"), "a.npy: holds big-endian float64 ('>f8'), expected little-endian float32 ('<f4')");
  EXPECT_EQ(error_of_reading(npy("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2,)}", kTwoFloats)),
            "a.npy: holds records of several fields, expected float32 ('<f4')");
}

TEST(ReadNpy, ReadsEveryNameOfTheType) {
  for (const char* const descr : {"<f4", "=f4", "|f4", "f4", "float32"}) {
    const std::string content = npy(dictionary(descr, "(2,)"), kTwoFloats);
    base::InputText input(content, "a.npy");
    EXPECT_THAT(read_npy(input).values, ElementsAre(1.0F, -2.5F)) << descr;
  }
  EXPECT_THAT(error_of_reading(npy(dictionary("=f8", "(1,)"), kTwoFloats)),
              testing::HasSubstr("holds float64 ('=f8')"));
}

TEST(ReadNpy, ReadsFortranOrder) {
  // numpy.asfortranarray(numpy.arange(24).reshape(2, 3, 4)): element (i, j, k) is 12 i + 4 j + k, and i changes
  // fastest.
  std::string data;
  for (int k = 0; k < 4; ++k) {
    for (int j = 0; j < 3; ++j) {
      for (int i = 0; i < 2; ++i) {
        const auto value = static_cast<float>(12 * i + 4 * j + k);
        data.append(reinterpret_cast<const char*>(&value), sizeof(value));
      }
    }
  }
  const std::string content = npy(dictionary("<f4", "(2, 3, 4)", "True"), data);
  base::InputText input(content, "a.npy");
  const models::Tensor<float> tensor = read_npy(input);
  EXPECT_THAT(tensor.shape, ElementsAre(2, 3, 4));
  for (std::size_t i = 0; i < 24; ++i) EXPECT_EQ(tensor.values[i], static_cast<float>(i));
  for (const char* const shape : {"(2,)", "(1, 2)", "(2, 1, 1)"}) {
    const std::string line = npy(dictionary("<f4", shape, "True"), kTwoFloats);
    base::InputText row(line, "a.npy");
    EXPECT_THAT(read_npy(row).values, ElementsAre(1.0F, -2.5F)) << shape;
  }
  EXPECT_EQ(error_of_reading(npy(dictionary("<f4", "(2, 2)", "True"), kTwoFloats)),
            "a.npy: is truncated: it holds 8 of the 16 bytes of data that its shape asks for");
}

TEST(ReadNpy, RefusesLongIntegersByName) {
  for (const char* const shape : {"(2L,)", "(1, 2L)", "(2l, 1)"}) {
    EXPECT_THAT(error_of_reading(npy(dictionary("<f4", shape), kTwoFloats)),
                testing::MatchesRegex("a.npy: has a shape in long integers, as Python 2 writes them .2[Ll].,"
                                      " expected 2"))
        << shape;
  }
}

TEST(ReadNpy, RefusesDataThatDoNotFit) {
  EXPECT_EQ(error_of_reading(npy(dictionary("<f4", "(2,)"), kTwoFloats.substr(1))),
            "a.npy: is truncated: it holds 7 of the 8 bytes of data that its shape asks for");
  EXPECT_EQ(error_of_reading(npy(dictionary("<f4", "(2,)"), kTwoFloats + "x")),
            "a.npy: has bytes after the 8 bytes of data that its shape asks for");
}

TEST(ReadNpy, RefusesShapesThatHoldNothingOrTooMuch) {
  EXPECT_EQ(error_of_reading(npy(dictionary("<f4", "(2, 0, 3)"), "")), "a.npy: has an extent of 0 in its shape");
  EXPECT_EQ(error_of_reading(npy(dictionary("<f4", "(4294967296, 4294967296)"), kTwoFloats)),
            "a.npy: has a shape of more than 2^60 bytes");
  EXPECT_EQ(error_of_reading(npy(dictionary("<f4", "(99999999999999999999,)"), kTwoFloats)),
            "a.npy: has an extent beyond 2^63");
  // Large enough to hurt if it were allocated before the data are seen to be missing.
  EXPECT_EQ(error_of_reading(npy(dictionary("<f4", "(1099511627776,)"), kTwoFloats)),
            "a.npy: is truncated: it holds 8 of the 4398046511104 bytes of data that its shape asks for");
}

TEST(ReadNpy, EndsWellWithAnyByteChangedOrTheRestCutOff) {
  const std::string file = npy(dictionary("<f4", "(1, 2)"), kTwoFloats);
  for (std::size_t i = 0; i < file.size(); ++i) {
    EXPECT_NE(error_of_reading(file.substr(0, i)), "nothing was thrown") << i;
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = file;
      changed[i] = static_cast<char>(byte);
      const std::string error = error_of_reading(changed);
      EXPECT_TRUE(error == "nothing was thrown" || error.starts_with("a.npy: ")) << i << " " << byte << " " << error;
    }
  }
}

TEST(ReadNpy, RefusesAFileThatIsMissingOrAFolder) {
  const TemporaryFolder folder;
  const std::string root = folder.path().string();
  EXPECT_EQ(error_of([&] { read_npy(root + "/none.npy"); }),
            root + "/none.npy: cannot be read: No such file or directory");
  EXPECT_EQ(error_of([&] { read_npy(folder.path()); }), root + ": cannot be read: it is a folder");
}

TEST(WriteNpy, IsReadBack) {
  const TemporaryFolder folder;
  // More than one piece of reading.
  models::Tensor<float> tensor{{3, 1025, 401}, {}};
  for (int i = 0; i < 3 * 1025 * 401; ++i) tensor.values.push_back(static_cast<float>(i) * 0.1F);
  tensor.values[7] = std::numeric_limits<float>::denorm_min();
  tensor.values[8] = -std::numeric_limits<float>::infinity();
  write_npy(folder.path() / "a.npy", tensor);
  const models::Tensor<float> back = read_npy(folder.path() / "a.npy");
  EXPECT_EQ(back.shape, tensor.shape);
  EXPECT_EQ(back.values, tensor.values);
}

TEST(WriteNpy, WritesHeadersAsNumpyDoes) {
  const TemporaryFolder folder;
  const auto check = [&](const auto& tensor, const std::string& header, const std::string& data) {
    write_npy(folder.path() / "a.npy", tensor);
    const std::string file = folder.read("a.npy");
    const std::size_t padding = 64 - (10 + header.size() + 1) % 64;
    EXPECT_EQ(file, npy(header + std::string(padding, ' '), data));
    EXPECT_EQ((file.size() - data.size()) % 64, 0U);
  };
  check(models::Tensor<float>{{1, 2}, {1.0F, -2.5F}}, dictionary("<f4", "(1, 2)"), kTwoFloats);
  check(models::Tensor<double>{{1}, {1.0}}, dictionary("<f8", "(1,)"), std::string("\0\0\0\0\0\0\xF0\x3F", 8));
  check(models::Tensor<std::uint8_t>{{3}, {1, 2, 255}}, dictionary("|u1", "(3,)"), "\x01\x02\xFF");
  check(models::Tensor<std::uint16_t>{{1, 1, 1}, {513}}, dictionary("<u2", "(1, 1, 1)"), "\x01\x02");
  check(models::Tensor<std::uint32_t>{{}, {0x04030201}}, dictionary("<u4", "()"), "\x01\x02\x03\x04");
}

TEST(WriteNpy, RefusesAFolderThatIsNotThere) {
  const TemporaryFolder folder;
  const std::string root = folder.path().string();
  EXPECT_EQ(error_of([&] {
              write_npy(root + "/none/a.npy", models::Tensor<float>{{1}, {1.0F}});
            }),
            root + "/none/a.npy: cannot be written: there is no folder " + root + "/none");
}

}  // namespace
}  // namespace mlsim::workloads
