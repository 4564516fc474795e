// A value change dump (IEEE 1364-2001, clause 18) of SystemC signals. SystemC's own writer does not look at what its
// writes return; this one writes to a stream whose errors are known.
// Tested in tests/sim/trace_test.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <systemc>
#include <vector>

#include "sim/simulate.h"

namespace mlsim::sim {

// Registers itself with the simulation while it lives. Takes bits, integers and floating-point numbers; times are in
// ps, of which a cycle has 1,000.
class VcdTrace : public sc_core::sc_trace_file {
 public:
  // Of the request's cycles and signals.
  VcdTrace(std::ostream& stream, const TraceRequest& request);
  ~VcdTrace() override;
  VcdTrace(const VcdTrace&) = delete;
  VcdTrace& operator=(const VcdTrace&) = delete;
  VcdTrace(VcdTrace&&) = delete;
  VcdTrace& operator=(VcdTrace&&) = delete;

  std::size_t signals() const { return variables_.size(); }
  // About how many where all elements work.
  double bytes_a_cycle() const;
  // The first of the request's scopes that no signal is in.
  std::optional<std::string> scope_without_signal() const;
  // A comment now, and a marker of the save file.
  void mark(const std::string& name);
  // Writes the time of the end.
  void finish();
  // What GTKWave opens with the VCD of that name: markers A to Z for the first names that were marked, and signals.
  void write_save_file(std::ostream& stream, const std::string& vcd) const;

  void trace(const bool& object, const std::string& name) override;
  void trace(const float& object, const std::string& name) override;
  void trace(const double& object, const std::string& name) override;
  void trace(const unsigned char& object, const std::string& name, int width) override;
  void trace(const unsigned short& object, const std::string& name, int width) override;
  void trace(const unsigned int& object, const std::string& name, int width) override;
  void trace(const unsigned long& object, const std::string& name, int width) override;
  void trace(const char& object, const std::string& name, int width) override;
  void trace(const short& object, const std::string& name, int width) override;
  void trace(const int& object, const std::string& name, int width) override;
  void trace(const long& object, const std::string& name, int width) override;
  void trace(const sc_dt::int64& object, const std::string& name, int width) override;
  void trace(const sc_dt::uint64& object, const std::string& name, int width) override;
  void trace(const unsigned int& object, const std::string& name, const char** literals) override;

  // No signal of the machine has one of these types.
#define MLSIM_IS_NOT_TRACED(type)                             \
  void trace(const type&, const std::string& name) override { \
    refuse_type(name);                                        \
  }
  MLSIM_IS_NOT_TRACED(sc_core::sc_event)
  MLSIM_IS_NOT_TRACED(sc_core::sc_time)
  MLSIM_IS_NOT_TRACED(sc_dt::sc_bit)
  MLSIM_IS_NOT_TRACED(sc_dt::sc_logic)
  MLSIM_IS_NOT_TRACED(sc_dt::sc_int_base)
  MLSIM_IS_NOT_TRACED(sc_dt::sc_uint_base)
  MLSIM_IS_NOT_TRACED(sc_dt::sc_signed)
  MLSIM_IS_NOT_TRACED(sc_dt::sc_unsigned)
  MLSIM_IS_NOT_TRACED(sc_dt::sc_fxval)
  MLSIM_IS_NOT_TRACED(sc_dt::sc_fxval_fast)
  MLSIM_IS_NOT_TRACED(sc_dt::sc_fxnum)
  MLSIM_IS_NOT_TRACED(sc_dt::sc_fxnum_fast)
  MLSIM_IS_NOT_TRACED(sc_dt::sc_bv_base)
  MLSIM_IS_NOT_TRACED(sc_dt::sc_lv_base)
#undef MLSIM_IS_NOT_TRACED

  void write_comment(const std::string& comment) override;
  void set_time_unit(double, sc_core::sc_time_unit) override {}

 protected:
  void cycle(bool delta_cycle) override;

 private:
  class Variable;
  template <typename T>
  class VariableOf;
  struct Scope;

  template <typename T>
  void add(const T& object, const std::string& name, int width);
  [[noreturn]] static void refuse_type(const std::string& name);
  void write_declarations();
  void write_time();
  bool is_chosen(const std::string& name);
  static std::uint64_t time_ps();

  struct Mark {
    std::uint64_t time_ps;
    std::string name;
  };

  std::ostream& stream_;
  TraceRequest request_;
  std::vector<bool> scope_has_signal_;
  std::vector<std::unique_ptr<Variable>> variables_;
  std::vector<Mark> marks_;
  std::optional<std::string> new_mark_;  // not in the file yet
  bool begun_ = false;
  bool ended_ = false;
};

}  // namespace mlsim::sim
