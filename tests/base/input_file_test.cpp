#include "base/input_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/support/temporary_folder.h"

namespace mlsim::base {
namespace {

using test::error_of;

TEST(ReadText, RefusesWhatCannotBeRead) {
  const test::TemporaryFolder folder;
  const std::string root = folder.path().string();
  EXPECT_EQ(error_of([&] { read_text(root + "/none.json"); }),
            root + "/none.json: cannot be read: No such file or directory");
  EXPECT_EQ(error_of([&] { read_text(root); }), root + ": cannot be read: it is a folder");
}

TEST(ReadText, TellsAFailedReadFromTheEnd) {
  // Reading a process's memory at its lowest address fails.
  EXPECT_EQ(error_of([] { read_text("/proc/self/mem"); }), "/proc/self/mem: cannot be read: Input/output error");
}

TEST(ReadText, StopsAtTheLimit) {
  const test::TemporaryFolder folder;
  const std::string path = folder.write("a.txt", std::string(1025, 'a')).string();
  EXPECT_EQ(read_text(path, 1025).size(), 1025U);
  EXPECT_EQ(error_of([&] { read_text(path, 1024); }),
            path + ": is longer than 1 KiB, the most that is read of such a file");
  EXPECT_EQ(error_of([] { read_text("/dev/zero", std::uint64_t{5} << 20); }),
            "/dev/zero: is longer than 5 MiB, the most that is read of such a file");
}

TEST(InputFile, KnowsWhatIsLeftOfARegularFile) {
  const test::TemporaryFolder folder;
  InputFile file(folder.write("a.txt", "12345"));
  EXPECT_EQ(file.left(), 5U);
  char byte = 0;
  EXPECT_EQ(file.read(&byte, 1), 1U);
  EXPECT_EQ(byte, '1');
  EXPECT_EQ(file.left(), 4U);
  EXPECT_EQ(InputFile("/dev/null").left(), std::nullopt);
}

TEST(RegularFile, IsNeverWaitedFor) {
  const test::TemporaryFolder folder;
  const std::string pipe = (folder.path() / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  for (const std::string& path : {pipe, std::string("/dev/null"), std::string("/dev/zero")}) {
    EXPECT_EQ(error_of([&] { RegularFile(path, "a file"); }), path + ": is no regular file, expected a file");
  }
  EXPECT_EQ(error_of([&] { RegularFile(folder.path(), "a file"); }),
            folder.path().string() + ": is a folder, expected a file");
  RegularFile file(folder.write("a.txt", "12345"), "a file");
  EXPECT_EQ(file.size(), 5U);
  std::vector<std::uint8_t> bytes(2);
  file.read(bytes);
  EXPECT_EQ(bytes[1], '2');
  EXPECT_EQ(file.left(), 3U);
  EXPECT_EQ(error_of([&] { file.read_rest(2); }),
            (folder.path() / "a.txt").string() + ": has 5 bytes, more than 2, expected a file");
  EXPECT_EQ(file.read_rest().size(), 3U);
}

TEST(InputText, EndsWithItsText) {
  InputText text("abc", "it");
  std::string bytes(5, ' ');
  EXPECT_EQ(text.read(bytes.data(), 2), 2U);
  EXPECT_EQ(text.left(), 1U);
  EXPECT_EQ(text.read(bytes.data(), 5), 1U);
  EXPECT_EQ(bytes, "cb   ");
  EXPECT_EQ(text.read(bytes.data(), 5), 0U);
}

}  // namespace
}  // namespace mlsim::base
