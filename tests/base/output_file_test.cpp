#include "base/output_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <thread>
#include <vector>

#include "tests/support/temporary_folder.h"

namespace mlsim::base {
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

TEST(AtomicFile, FollowsALinkToNothing) {
  const TemporaryFolder folder;
  fs::create_symlink("real.txt", folder.path() / "link.txt");
  fs::create_symlink("loop", folder.path() / "loop");
  write_file(folder.path() / "link.txt", "new");
  EXPECT_TRUE(fs::is_symlink(folder.path() / "link.txt"));
  EXPECT_EQ(folder.read("real.txt"), "new");
  EXPECT_THAT(error_of([&] { write_file(folder.path() / "loop", "new"); }),
              testing::HasSubstr("loop: cannot be written: Too many levels of symbolic links"));
  EXPECT_TRUE(fs::is_symlink(folder.path() / "loop"));
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

TEST(AtomicFile, KeepsTheModeOfTheFileThatItReplaces) {
  const TemporaryFolder folder;
  const fs::path path = folder.write("a.txt", "old");
  for (const unsigned mode : {0600U, 0640U, 0604U}) {
    fs::permissions(path, static_cast<fs::perms>(mode));
    write_file(path, "new");
    EXPECT_EQ(static_cast<unsigned>(fs::status(path).permissions()), mode);
  }
  const mode_t mask = umask(027);
  write_file(folder.path() / "b.txt", "new");
  umask(mask);
  EXPECT_EQ(static_cast<unsigned>(fs::status(folder.path() / "b.txt").permissions()), 0640U);
}

TEST(AtomicFile, WritesThroughNoLinkAndNoFileOfOthers) {
  const TemporaryFolder folder;
  const fs::path victim = folder.write("victim.txt", "precious");
  for (int i = 0; i < 3; ++i) {
    const std::string name = ".a.txt.mlsim-" + std::to_string(i) + ".part";
    if (i == 1) {
      fs::create_hard_link(victim, folder.path() / name);
    } else {
      fs::create_symlink("victim.txt", folder.path() / name);
    }
  }
  write_file(folder.path() / "a.txt", "new");
  EXPECT_EQ(folder.read("a.txt"), "new");
  EXPECT_EQ(folder.read("victim.txt"), "precious");
  EXPECT_TRUE(fs::is_symlink(folder.path() / ".a.txt.mlsim-0.part"));
  EXPECT_EQ(file_count(folder.path()), 5U);
}

TEST(AtomicFile, TakesNamesAsLongAsFilesMayHave) {
  const TemporaryFolder folder;
  for (const std::size_t length : {180U, 181U, 240U, 255U}) {
    const std::string name(length, 'n');
    write_file(folder.path() / name, "written");
    EXPECT_EQ(folder.read(name), "written");
  }
  EXPECT_EQ(file_count(folder.path()), 4U);
}

TEST(AtomicFile, ClearsWhatAProgramThatDiedHasLeft) {
  const TemporaryFolder folder;
  const pid_t child = fork();
  if (child == 0) {
    AtomicFile file(folder.path() / "a.txt");
    AtomicFile second(folder.path() / "a.txt");
    file.stream() << "half";
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(file_count(folder.path()), 2U);
  {
    // Those of a program that lives stay.
    AtomicFile file(folder.path() / "a.txt");
    file.stream() << "first";
    write_file(folder.path() / "a.txt", "second");
    EXPECT_EQ(folder.read("a.txt"), "second");
    file.commit();
  }
  EXPECT_EQ(folder.read("a.txt"), "first");
  EXPECT_EQ(file_count(folder.path()), 1U);
}

// Signals at 200 moments of a program that does nothing but begin and end files on four threads.
TEST(AtomicFile, LeavesNothingAfterASignal) {
  for (int repetition = 0; repetition < 200; ++repetition) {
    const TemporaryFolder folder;
    const pid_t child = fork();
    if (child == 0) {
      remove_unfinished_files_on_signals();
      std::vector<std::thread> threads;
      for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
          while (true) write_file(folder.path() / std::to_string(t), "whole");
        });
      }
      threads[0].join();
    }
    usleep(static_cast<useconds_t>(500 + 37 * repetition));
    kill(child, SIGTERM);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    for (const fs::directory_entry& entry : fs::directory_iterator(folder.path())) {
      const std::string name = entry.path().filename().string();
      ASSERT_EQ(name.size(), 1U) << name << " in repetition " << repetition;
      ASSERT_EQ(folder.read(name), "whole");
    }
  }
}

TEST(FileSet, PutsAllFilesIntoPlaceOrNone) {
  const TemporaryFolder folder;
  folder.write("a.txt", "old a");
  {
    FileSet files;
    files.add(folder.path() / "a.txt").stream() << "new a";
    files.add("/dev/full").stream() << std::string(10, 'x');
    EXPECT_EQ(error_of([&] { files.commit(); }), "/dev/full: cannot be written: No space left on device");
  }
  EXPECT_EQ(folder.read("a.txt"), "old a");
  FileSet files;
  files.add(folder.path() / "a.txt").stream() << "new a";
  files.add(folder.path() / "b.txt").stream() << "new b";
  files.commit();
  EXPECT_EQ(folder.read("a.txt"), "new a");
  EXPECT_EQ(folder.read("b.txt"), "new b");
  EXPECT_EQ(file_count(folder.path()), 2U);
}

TEST(CheckOutputs, RefusesToReplaceAnInput) {
  const TemporaryFolder folder;
  const fs::path input = folder.write("input.txt", "read");
  const fs::path other = folder.write("other.txt", "old");
  fs::create_symlink("input.txt", folder.path() / "link.txt");
  fs::create_hard_link(input, folder.path() / "hard.txt");
  for (const char* name : {"input.txt", "link.txt", "hard.txt", "./input.txt"}) {
    const fs::path path = folder.path() / name;
    for (const auto& inputs : {std::vector{input}, std::vector{fs::path(), input}, std::vector{path}}) {
      EXPECT_EQ(error_of([&] {
                  check_outputs({other, path}, inputs);
                }),
                path.string() + ": cannot be written: it is an input, expected another file");
    }
  }
  check_outputs({other, folder.path() / "new.txt", fs::path()}, {input, folder.path() / "none.txt", fs::path()});
  check_outputs({"/dev/null"}, {"/dev/null"});
}

TEST(CheckOutputs, RefusesOnePlaceForTwo) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "a.txt";
  const fs::path again = folder.path() / "./b/../a.txt";
  fs::create_directory(folder.path() / "b");
  EXPECT_EQ(error_of([&] {
              check_outputs({path, folder.path() / "b.txt", again}, {});
            }),
            path.string() + " and " + again.string() + ": are one file, expected another for each output");
  check_outputs({"/dev/null", "/dev/null", fs::path(), fs::path()}, {});
}

TEST(CreateDirectories, MakesParentsAndAcceptsWhatExists) {
  const TemporaryFolder folder;
  base::create_directories(folder.path() / "a/b");
  base::create_directories(folder.path() / "a/b/");
  base::create_directories(folder.path() / "a/b");
  EXPECT_TRUE(fs::is_directory(folder.path() / "a/b"));
}

TEST(CreateDirectories, RefusesAFileInItsPlace) {
  const TemporaryFolder folder;
  const std::string path = folder.write("file", "").string();
  EXPECT_EQ(error_of([&] { base::create_directories(path); }), path + ": cannot be made a folder: Not a directory");
  EXPECT_EQ(error_of([&] { base::create_directories(path + "/b"); }),
            path + "/b: cannot be made a folder: Not a directory");
}

}  // namespace
}  // namespace mlsim::base
