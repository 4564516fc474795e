#include "app/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "app/report/html_report.h"
#include "app/report/report_tables.h"
#include "app/report/summary.h"
#include "base/json.h"
#include "base/terminal.h"

namespace mlsim::app {
namespace {

using evaluation::Evaluation;

// Characters of UTF-8 text, all of them one column wide here.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// Words on lines of at most `width` columns, each behind `indent`.
std::string wrapped(const std::string& text, const std::string& indent, std::size_t width) {
  std::string result;
  std::string line = indent;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (line.size() > indent.size() && columns(line) + 1 + columns(word) > width) {
      result += line + "\n";
      line = indent;
    }
    if (line.size() > indent.size()) line += ' ';
    line += word;
    begin = end + 1;
  }
  return result + line + "\n";
}

constexpr std::size_t kTextWidth = 116;
constexpr const char* kFurther =
    "A baseline is the same array and dataflow with elements of its own format. mlsim report --detail has energies by "
    "operation, pass and layer, error bars and areas, --format html the plots; docs/energy.md the laws and sources.";

std::string to_text(const ReportTable& table) {
  std::vector<std::vector<std::string>> rows{table.head};
  rows.insert(rows.end(), table.rows.begin(), table.rows.end());
  if (table.grouped) {
    for (std::size_t r = rows.size() - 1; r > 1; --r) {
      if (rows[r][0] == rows[r - 1][0]) rows[r][0].clear();
    }
  }
  std::vector<std::size_t> widths(table.head.size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
  }
  std::string text = "\n" + wrapped(table.title, "", kTextWidth);
  for (const auto& row : rows) {
    std::string line = "  ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string gap(widths[i] - columns(row[i]), ' ');
      line += i < table.text_columns ? row[i] + gap : gap + row[i];
      if (i + 1 < row.size()) line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

// Text that Markdown takes as it stands, on one line.
std::string markdown(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (std::string_view("\\`*[]<>|&").find(c) != std::string_view::npos) result += '\\';
    result += c == '\n' || c == '\r' ? ' ' : c;
  }
  return result;
}

std::string to_markdown(const ReportTable& table) {
  std::string text = fmt::format("\n### {}\n\n|", markdown(table.title));
  for (const std::string& cell : table.head) text += fmt::format(" {} |", markdown(cell));
  text += "\n|";
  for (std::size_t i = 0; i < table.head.size(); ++i) text += i < table.text_columns ? " --- |" : " ---: |";
  text += "\n";
  for (const auto& row : table.rows) {
    text += "|";
    for (const std::string& cell : row) text += fmt::format(" {} |", markdown(cell));
    text += "\n";
  }
  return text;
}

}  // namespace

std::string text_report(const std::vector<Evaluation>& evaluations) {
  std::string text;
  for (const std::string& sentence : summary_sentences(evaluations)) text += wrapped(sentence, "", kTextWidth);
  text += to_text(summary_table(evaluations)) + "\n";
  const std::vector<std::string> notes = result_notes(evaluations);
  if (!notes.empty()) text += wrapped(fmt::format("{}", fmt::join(notes, " ")), "", kTextWidth);
  return text + wrapped(kFurther, "", kTextWidth);
}

std::string detailed_text_report(const std::vector<Evaluation>& evaluations) {
  std::string text;
  for (const ReportSection& section : report_sections(evaluations)) {
    if (!text.empty()) text += "\n";
    text += section.title + "\n";
    for (const auto& [name, value] : section.facts) text += fmt::format("  {:<8} {}\n", name, value);
    for (const ReportTable& table : section.tables) text += to_text(table);
  }
  text += "\nNotes\n";
  return text + wrapped(fmt::format("{}", fmt::join(report_notes(evaluations), " ")), "  ", kTextWidth);
}

std::string markdown_report(const std::vector<Evaluation>& evaluations) {
  std::string text = "# mlsim report\n" + to_markdown(overview_table(evaluations));
  for (const ReportSection& section : report_sections(evaluations)) {
    text += fmt::format("\n## {}\n\n", markdown(section.title));
    for (const auto& [name, value] : section.facts) text += fmt::format("- {}: {}\n", name, markdown(value));
    for (const ReportTable& table : section.tables) text += to_markdown(table);
  }
  text += "\n## Notes\n\n";
  for (const std::string& note : report_notes(evaluations)) text += fmt::format("- {}\n", markdown(note));
  return text;
}

std::string report_as(const std::string& format, const std::vector<Evaluation>& evaluations,
                      const ReportExtras& extras) {
  if (format == "markdown") return base::printable_lines(markdown_report(evaluations));
  if (format == "html") return html_report(evaluations, extras);
  if (format == "json") return base::to_text(json_report(evaluations), 2) + "\n";
  if (format == "csv") return csv_report(evaluations);
  return base::printable_lines(extras.detail ? detailed_text_report(evaluations) : text_report(evaluations));
}

}  // namespace mlsim::app
