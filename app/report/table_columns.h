// Fills a table column by column, so that figures of a column have one unit and one number of digits.
// Tested in tests/app/summary_test.cpp.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "app/report/cells.h"
#include "app/report/report_tables.h"

namespace mlsim::app {

// A row of the table for each of `rows`, which outlive it.
template <typename Row>
class TableColumns {
 public:
  TableColumns(ReportTable& table, const std::vector<Row>& rows) : table_(table), rows_(rows) {
    table.rows.resize(rows.size());
  }

  template <typename Text>
  void texts(const std::string& head, const Text& text) {
    std::vector<std::string> cells;
    for (const Row& row : rows_) cells.push_back(text(row));
    add(head, cells);
  }
  template <typename Figure>
  void numbers(const std::string& head, const Figure& figure) {
    add(head, fixed_column(figures(figure)));
  }
  // Of figures in pJ; the head gets their unit.
  template <typename Figure>
  void energies(const std::string& head, const Figure& figure) {
    const EnergyColumn column = energy_column(figures(figure));
    add(fmt::format("{}, {}", head, column.unit), column.cells);
  }
  // Of products of pJ and seconds.
  template <typename Figure>
  void energy_delays(const std::string& head, const Figure& figure) {
    const EnergyColumn column = energy_column(figures(figure));
    add(fmt::format("{}, {}·s", head, column.unit), column.cells);
  }

 private:
  template <typename Figure>
  std::vector<double> figures(const Figure& figure) const {
    std::vector<double> values;
    for (const Row& row : rows_) values.push_back(figure(row));
    return values;
  }
  void add(const std::string& head, const std::vector<std::string>& cells) {
    table_.head.push_back(head);
    for (std::size_t r = 0; r < cells.size(); ++r) table_.rows[r].push_back(cells[r]);
  }

  ReportTable& table_;
  const std::vector<Row>& rows_;
};

}  // namespace mlsim::app
