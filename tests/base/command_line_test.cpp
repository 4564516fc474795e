#include "base/command_line.h"

#include <gmock/gmock.h>

#include <stdexcept>

#include "base/command_pages.h"
#include "tests/support/temporary_folder.h"

namespace mlsim::base {
namespace {

using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;

const Command kCommand{
    .name = "tool bake",
    .synopsis = "CAKE... --oven NAME",
    .summary = "bake cakes",
    .description = "Bakes cakes, one after another.\n\nNothing burns.",
    .operands = {{.name = "CAKE", .kind = File{}, .many = true}},
    .groups = {
        {.title = "options",
         .options = {
             {.name = "oven", .value_name = "NAME", .help = "the oven", .required = true},
             {.name = "degrees",
              .value_name = "N",
              .help = "from cold to hot",
              .kind = WholeNumber{0, 300},
              .preset = "180"},
             {.name = "share", .value_name = "X", .help = "of sugar", .kind = Number{0, 0.5}},
             {.name = "seed", .value_name = "N", .help = "of the draw", .kind = WholeNumber{1}},
             {.name = "form", .value_name = "F", .help = "a form", .kind = Choice{{"round", "square", "-"}}},
             {.name = "even", .value_name = "N", .help = "an even number", .kind = Parsed{[](const std::string& text) {
                                                                             if (text != "2")
                                                                               throw std::runtime_error("is odd");
                                                                           }}},
             {.name = "topping",
              .value_name = "T",
              .help = "what is on it",
              .kind = Choice{{"nuts", "cream"}},
              .many = true},
             {.name = "quiet", .help = "say nothing"}}}}};

std::string error_with(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"a.cake", "--oven", "old"});
  return error_of([&] { CommandLine(kCommand, arguments); });
}

TEST(CommandLine, HoldsWhatIsGivenAndWhatIsPreset) {
  const CommandLine line(kCommand, {"a", "--oven=old", "--share", "0.25", "--quiet", "-", "--degrees", "180"});
  EXPECT_THAT(line.operands(), ElementsAre("a", "-"));
  EXPECT_EQ(line.text("oven"), "old");
  EXPECT_EQ(line.number("share"), 0.25);
  EXPECT_EQ(line.whole_number<int>("degrees"), 180);
  EXPECT_TRUE(line.given("degrees"));
  EXPECT_TRUE(line.flag("quiet"));
  EXPECT_FALSE(line.has("form"));
  const CommandLine preset(kCommand, {"a", "--oven", "old"});
  EXPECT_EQ(preset.whole_number("degrees"), 180U);
  EXPECT_FALSE(preset.given("degrees"));
  EXPECT_FALSE(preset.flag("quiet"));
  EXPECT_EQ(preset.path("form"), "");
}

TEST(CommandLine, RefusesWithTheOptionAndWhatWasExpected) {
  EXPECT_EQ(error_with({}), "nothing was thrown");
  EXPECT_EQ(error_with({"--degrees", "301"}), "--degrees: is '301', expected a whole number from 0 to 300");
  for (const std::string text : {"-1", "+1", " 1", "1 ", "1.0", "0x1", "", "99999999999999999999"}) {
    EXPECT_EQ(error_with({"--degrees", text}), "--degrees: is '" + text + "', expected a whole number from 0 to 300");
  }
  EXPECT_EQ(error_with({"--seed", "0"}), "--seed: is '0', expected a whole number from 1 on");
  for (const std::string text : {"0.51", "nan", "inf", "x", "0.1x"}) {
    EXPECT_EQ(error_with({"--share", text}), "--share: is '" + text + "', expected a number from 0 to 0.5");
  }
  EXPECT_EQ(error_with({"--form", "star"}), "--form: is 'star', expected round, square or -");
  EXPECT_EQ(error_with({"--even", "3"}), "--even: is odd");
  EXPECT_EQ(error_with({""}), "CAKE: is empty, expected a name");
  EXPECT_EQ(error_with({"--form", "round", "--form", "round"}), "--form is given twice (see tool bake --help)");
  EXPECT_EQ(error_with({"--for", "round"}), "unrecognised option '--for' (see tool bake --help)");
  EXPECT_EQ(error_with({"--form"}), "the required argument for option '--form' is missing (see tool bake --help)");
  EXPECT_EQ(error_of([] { CommandLine(kCommand, {"a"}); }), "--oven is missing (see tool bake --help)");
  EXPECT_EQ(error_of([] { CommandLine(kCommand, {"--oven", "old"}); }), "CAKE is missing (see tool bake --help)");
  Command one = kCommand;
  one.operands.front().many = false;
  EXPECT_EQ(error_of([&] {
              CommandLine(one, {"a", "b", "--oven", "old"});
            }),
            "'b' is one argument too many (see tool bake --help)");
  Command with = kCommand;
  with.operands.front().many_with = "quiet";
  EXPECT_EQ(error_of([&] {
              CommandLine(with, {"a", "b", "--oven", "old"});
            }),
            "'b' is one argument too many (see tool bake --help)");
  EXPECT_THAT(CommandLine(with, {"a", "b", "--oven", "old", "--quiet"}).operands(), ElementsAre("a", "b"));
}

TEST(CommandLine, HoldsEveryValueOfAnOptionThatMayBeGivenSeveralTimes) {
  const CommandLine line(kCommand, {"a", "--oven", "old", "--topping", "nuts", "--quiet", "--topping=cream"});
  EXPECT_THAT(line.texts("topping"), ElementsAre("nuts", "cream"));
  EXPECT_EQ(line.text("topping"), "cream");
  EXPECT_THAT(line.texts("oven"), ElementsAre("old"));
  EXPECT_THAT(CommandLine(kCommand, {"a", "--oven", "old"}).texts("topping"), ElementsAre());
  EXPECT_EQ(error_with({"--topping", "mud", "--topping", "nuts"}), "--topping: is 'mud', expected nuts or cream");
}

TEST(CommandLine, LooksAtNoValueWhereHelpIsAskedFor) {
  EXPECT_TRUE(CommandLine(kCommand, {"--degrees", "hot", "--help"}).flag("help"));
  EXPECT_TRUE(CommandLine(kCommand, {"-h"}).flag("help"));
}

TEST(Help, BreaksNoWordAndNoLineTooLate) {
  const std::string help = help_text(kCommand, 50);
  EXPECT_THAT(help, testing::StartsWith("usage: tool bake CAKE... --oven NAME\n\nBakes cakes, one after another.\n\n"
                                        "Nothing burns.\n\noptions:\n  --oven NAME         the oven\n"));
  EXPECT_THAT(help, HasSubstr("\n  --degrees N (=180)  from cold to hot\n"));
  EXPECT_EQ(wrapped("a quite long line of an-unbreakable-word here", 12, 2),
            "a quite\n  long line\n  of\n  an-unbreakable-word\n  here");
  EXPECT_EQ(wrapped("one\n\ntwo", 80), "one\n\ntwo");
}

TEST(ManPage, EscapesWhatRoffWouldRead) {
  Program program{.itself = kCommand, .commands = {}, .version = "1.2"};
  program.itself.description = ".TH is no command\n\n'nor this \\n";
  const std::string page = man_page(program);
  EXPECT_THAT(page, testing::StartsWith(".TH TOOL BAKE 1 \"\" \"tool bake 1.2\" \"User commands\"\n"));
  EXPECT_THAT(page, HasSubstr("\n\\&.TH is no command\n.PP\n\\&'nor this \\en\n"));
  EXPECT_THAT(page, HasSubstr("\n\\fB\\-\\-degrees\\fR \\fIN\\fR\nfrom cold to hot (default: 180)\n"));
}

}  // namespace
}  // namespace mlsim::base
