#include "base/terminal.h"

#include <gtest/gtest.h>

namespace mlsim::base {
namespace {

TEST(Printable, EscapesWhatATerminalActsOn) {
  EXPECT_EQ(printable("layer1.0, ×, µm², 漢, 😀"), "layer1.0, ×, µm², 漢, 😀");
  EXPECT_EQ(printable("a\x1b[31mb\x07\x7f\r\n\tc"), "a\\x1b[31mb\\x07\\x7f\\x0d\\n\\tc");
  EXPECT_EQ(printable("c1 \xC2\x9B"
                      "31m"),
            "c1 \\x9b31m");
  EXPECT_EQ(printable("\u202Etxt.exe \u2066\u2069 \u200F\u061C \u2028"),
            "\\u202etxt.exe \\u2066\\u2069 \\u200f\\u061c \\u2028");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
}

TEST(Printable, EscapesWhatIsNoUtf8) {
  EXPECT_EQ(printable("\xFF\xC3(\x80"), "\\xff\\xc3(\\x80");
  EXPECT_EQ(printable("\xC0\xAF \xE0\x80\x80 \xED\xA0\x80 \xF4\x90\x80\x80 \xE2\x82"),
            "\\xc0\\xaf \\xe0\\x80\\x80 \\xed\\xa0\\x80 \\xf4\\x90\\x80\\x80 \\xe2\\x82");
}

TEST(PrintableLines, KeepsEndsOfLines) {
  EXPECT_EQ(printable_lines("a\nb\x1b\n"), "a\nb\\x1b\n");
}

}  // namespace
}  // namespace mlsim::base
