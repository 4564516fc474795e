#include "workloads/atomic_file.h"

#include <gmock/gmock.h>

#include "tests/support/temporary_folder.h"

namespace mlsim::workloads {
namespace {

namespace fs = std::filesystem;
using test::error_of;
using test::TemporaryFolder;
using testing::StartsWith;

std::size_t file_count(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(AtomicFile, WritesAndReplaces) {
  const TemporaryFolder folder;
  write_file(folder.path() / "a.txt", "one");
  EXPECT_EQ(folder.read("a.txt"), "one");
  write_file(folder.path() / "a.txt", "two");
  EXPECT_EQ(folder.read("a.txt"), "two");
  EXPECT_EQ(file_count(folder.path()), 1U);
}

TEST(AtomicFile, LeavesTheOldFileWithoutACommit) {
  const TemporaryFolder folder;
  folder.write("a.txt", "old");
  {
    AtomicFile file(folder.path() / "a.txt");
    file.stream() << "half of the n";
    EXPECT_EQ(folder.read("a.txt"), "old");
  }
  EXPECT_EQ(folder.read("a.txt"), "old");
  EXPECT_EQ(file_count(folder.path()), 1U);
}

TEST(AtomicFile, FollowsASymbolicLink) {
  const TemporaryFolder folder;
  folder.write("real.txt", "old");
  fs::create_symlink(folder.path() / "real.txt", folder.path() / "link.txt");
  write_file(folder.path() / "link.txt", "new");
  EXPECT_TRUE(fs::is_symlink(folder.path() / "link.txt"));
  EXPECT_EQ(folder.read("real.txt"), "new");
}

TEST(AtomicFile, RefusesToReplaceAnInput) {
  const TemporaryFolder folder;
  const fs::path input = folder.write("input.txt", "read");
  protect_input(input);
  fs::create_symlink("input.txt", folder.path() / "link.txt");
  fs::create_hard_link(input, folder.path() / "hard.txt");
  for (const char* name : {"input.txt", "link.txt", "hard.txt", "./input.txt"}) {
    const std::string path = (folder.path() / name).string();
    EXPECT_EQ(error_of([&] { write_file(path, "written"); }),
              path + ": cannot be written: it is an input, expected another file");
    EXPECT_EQ(error_of([&] { require_regular_file(path); }),
              path + ": cannot be written: it is an input, expected another file");
  }
  EXPECT_EQ(folder.read("input.txt"), "read");
  write_file(folder.path() / "other.txt", "written");
  allow_replacing(folder.path() / "link.txt");
  write_file(input, "written");
  EXPECT_EQ(folder.read("input.txt"), "written");
}

TEST(AtomicFile, WritesToADeviceInPlace) {
  write_file("/dev/null", "gone");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(AtomicFile, ReportsAFullDevice) {
  EXPECT_THAT(error_of([] { write_file("/dev/full", std::string(1 << 16, 'x')); }),
              StartsWith("/dev/full: cannot be written: No space left on device"));
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST(AtomicFile, RefusesWhatCannotBeWritten) {
  const TemporaryFolder folder;
  const std::string root = folder.path().string();
  EXPECT_EQ(error_of([&] { write_file(root + "/none/a.txt", ""); }),
            root + "/none/a.txt: cannot be written: there is no folder " + root + "/none");
  EXPECT_EQ(error_of([&] { write_file(root, ""); }), root + ": cannot be written: it is a folder");
  folder.write("file", "");
  EXPECT_EQ(error_of([&] { write_file(root + "/file/a.txt", ""); }),
            root + "/file/a.txt: cannot be written: there is no folder " + root + "/file");
  if (geteuid() != 0) {  // nothing is unwritable for root
    fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec);
    EXPECT_EQ(error_of([&] { write_file(root + "/a.txt", ""); }),
              root + "/a.txt: cannot be written: Permission denied");
    fs::permissions(folder.path(), fs::perms::owner_all);
  }
}

TEST(CreateDirectories, MakesParentsAndAcceptsWhatExists) {
  const TemporaryFolder folder;
  workloads::create_directories(folder.path() / "a/b");
  workloads::create_directories(folder.path() / "a/b/");
  workloads::create_directories(folder.path() / "a/b");
  EXPECT_TRUE(fs::is_directory(folder.path() / "a/b"));
}

TEST(CreateDirectories, RefusesAFileInItsPlace) {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "").string();
  EXPECT_EQ(error_of([&] { workloads::create_directories(path); }),
            path + ": cannot be made a folder: Not a directory");
  EXPECT_EQ(error_of([&] { workloads::create_directories(path + "/b"); }),
            path + "/b: cannot be made a folder: Not a directory");
}

}  // namespace
}  // namespace mlsim::workloads
