#include "sim/systemc/vcd_trace.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>

namespace mlsim::sim {
namespace {

// The short name of a variable: digits of base 94, the characters that can be printed.
std::string code_of(std::size_t index) {
  constexpr std::size_t kBase = '~' - '!' + 1;
  std::string code;
  do {
    code += static_cast<char>('!' + index % kBase);
    index /= kBase;
  } while (index > 0);
  return code;
}

constexpr std::uint64_t kPsOfACycle = 1000;

// Whether a name is a pattern's, in which * stands for any text.
bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;  // the last one, which has taken the name up to `taken`
  std::size_t taken = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace

class VcdTrace::Variable {
 public:
  Variable(std::string name, int width, std::string code)
      : name_(std::move(name)), width_(width), code_(std::move(code)) {}
  virtual ~Variable() = default;
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  Variable(Variable&&) = delete;
  Variable& operator=(Variable&&) = delete;

  const std::string& name() const { return name_; }
  int width() const { return width_; }
  const std::string& code() const { return code_; }
  virtual bool is_real() const = 0;
  virtual bool has_changed() const = 0;
  // Writes the value, which from now on is the old one.
  virtual void write(std::ostream& stream) = 0;

 private:
  std::string name_;
  int width_;
  std::string code_;
};

template <typename T>
class VcdTrace::VariableOf : public Variable {
 public:
  VariableOf(const T& object, std::string name, int width, std::string code)
      : Variable(std::move(name), width, std::move(code)), object_(object), written_(object) {}

  bool is_real() const override { return std::is_floating_point_v<T>; }
  bool has_changed() const override { return object_ != written_; }
  void write(std::ostream& stream) override {
    written_ = object_;
    std::array<char, 80> text{};
    char* const begin = text.data();
    char* const end = begin + text.size();
    if constexpr (std::is_same_v<T, bool>) {
      stream << (written_ ? '1' : '0');
    } else if constexpr (std::is_floating_point_v<T>) {
      constexpr int kDigits = 16;
      const auto last = std::to_chars(begin, end, static_cast<double>(written_), std::chars_format::general, kDigits);
      stream << 'r' << std::string_view(begin, static_cast<std::size_t>(last.ptr - begin)) << ' ';
    } else {
      auto bits = static_cast<std::uint64_t>(static_cast<std::make_unsigned_t<T>>(written_));
      if (width() < 64) {
        assert(fits());
        bits &= (std::uint64_t{1} << width()) - 1;
      }
      const auto last = std::to_chars(begin, end, bits, 2);
      stream << 'b' << std::string_view(begin, static_cast<std::size_t>(last.ptr - begin)) << ' ';
    }
    stream << code() << '\n';
  }

 private:
  // Whether the value has no more bits than the bus, a signed one in two's complement.
  bool fits() const {
    if constexpr (std::is_signed_v<T>) {
      const auto value = static_cast<std::int64_t>(written_);
      return value >> (width() - 1) == (value < 0 ? -1 : 0);
    } else {
      return static_cast<std::uint64_t>(written_) >> width() == 0;
    }
  }

  const T& object_;
  T written_;
};

// A module and what is in it, in the order in which it was named.
struct VcdTrace::Scope {
  std::string name;
  std::vector<Scope> scopes;
  std::vector<std::pair<std::string, const Variable*>> variables;

  void add(std::string_view path, const Variable& variable) {
    const std::size_t dot = path.find('.');
    if (dot == std::string_view::npos) {
      variables.emplace_back(path, &variable);
      return;
    }
    const std::string_view first = path.substr(0, dot);
    auto scope = std::find_if(scopes.begin(), scopes.end(), [&](const Scope& s) { return s.name == first; });
    if (scope == scopes.end()) scope = scopes.insert(scopes.end(), Scope{std::string(first), {}, {}});
    scope->add(path.substr(dot + 1), variable);
  }
  void write(std::ostream& stream) const {
    stream << "$scope module " << name << " $end\n";
    for (const auto& [own_name, variable] : variables) {
      stream << "$var " << (variable->is_real() ? "real " : "wire ") << variable->width() << ' ' << variable->code()
             << ' ' << own_name;
      if (variable->width() > 1) stream << " [" << variable->width() - 1 << ":0]";
      stream << " $end\n";
    }
    for (const Scope& scope : scopes) scope.write(stream);
    stream << "$upscope $end\n";
  }
};

VcdTrace::VcdTrace(std::ostream& stream, const TraceRequest& request)
    : stream_(stream), request_(request), scope_has_signal_(request.scopes.size(), false) {
  sc_core::sc_get_curr_simcontext()->add_trace_file(this);
}

VcdTrace::~VcdTrace() {
  sc_core::sc_get_curr_simcontext()->remove_trace_file(this);
}

// A scope is a signal's name or that of a module that it is in.
bool VcdTrace::is_chosen(const std::string& name) {
  bool chosen = request_.scopes.empty();
  for (std::size_t i = 0; i < request_.scopes.size(); ++i) {
    if (!matches(request_.scopes[i], name) && !matches(request_.scopes[i] + ".*", name)) continue;
    scope_has_signal_[i] = true;
    chosen = true;
  }
  return chosen;
}

std::optional<std::string> VcdTrace::scope_without_signal() const {
  for (std::size_t i = 0; i < request_.scopes.size(); ++i) {
    if (!scope_has_signal_[i]) return request_.scopes[i];
  }
  return std::nullopt;
}

double VcdTrace::bytes_a_cycle() const {
  // Measured on a 16 × 16 array whose elements work in nearly every cycle: of what all signals would take, each
  // changing once, so much is written.
  constexpr double kShare = 0.42;
  double bytes = 0;
  for (const auto& variable : variables_) {
    const bool bit = variable->width() == 1 && !variable->is_real();
    bytes += static_cast<double>(bit ? 2 : 3 + std::min(variable->width(), 12)) +
             static_cast<double>(variable->code().size());
  }
  return kShare * bytes + 16;  // and two times
}

void VcdTrace::mark(const std::string& name) {
  const std::uint64_t cycle = time_ps() / kPsOfACycle;
  if (cycle > request_.last_cycle) return;
  new_mark_ = name;
  marks_.push_back({std::max(time_ps(), request_.first_cycle * kPsOfACycle), name});
}

void VcdTrace::finish() {
  if (begun_ && !ended_) write_time();
}

void VcdTrace::write_save_file(std::ostream& stream, const std::string& vcd) const {
  constexpr std::size_t kMarkers = 26;
  constexpr std::size_t kMostSignals = 64;
  stream << "[*] Layers and passes of a machine, for GTKWave\n[dumpfile] \"" << vcd << "\"\n[timestart] "
         << (marks_.empty() ? 0 : marks_.front().time_ps) << "\n*-12.000000 -1";
  for (std::size_t i = 0; i < kMarkers; ++i) {
    stream << ' ' << (i < marks_.size() ? std::to_string(marks_[i].time_ps) : "-1");
  }
  stream << '\n';
  for (std::size_t i = 0; i < std::min(kMarkers, marks_.size()); ++i) {
    stream << "[markername] " << static_cast<char>('A' + i) << marks_[i].name << '\n';
  }
  for (std::size_t i = 0; i < std::min(kMostSignals, variables_.size()); ++i) {
    const Variable& variable = *variables_[i];
    const bool vector = variable.width() > 1;
    // Flags of how it is shown: hexadecimal, or as a bit.
    stream << (vector ? "@22\n" : "@28\n") << variable.name();
    if (vector) stream << '[' << variable.width() - 1 << ":0]";
    stream << '\n';
  }
}

template <typename T>
void VcdTrace::add(const T& object, const std::string& name, int width) {
  if (!is_chosen(name)) return;
  if (request_.widths) width = request_.widths->of(std::string_view(name).substr(name.rfind('.') + 1), width);
  variables_.push_back(std::make_unique<VariableOf<T>>(object, name, width, code_of(variables_.size())));
}

void VcdTrace::trace(const bool& object, const std::string& name) {
  add(object, name, 1);
}
void VcdTrace::trace(const float& object, const std::string& name) {
  add(object, name, 1);
}
void VcdTrace::trace(const double& object, const std::string& name) {
  add(object, name, 1);
}
void VcdTrace::trace(const unsigned char& object, const std::string& name, int width) {
  add(object, name, width);
}
void VcdTrace::trace(const unsigned short& object, const std::string& name, int width) {
  add(object, name, width);
}
void VcdTrace::trace(const unsigned int& object, const std::string& name, int width) {
  add(object, name, width);
}
void VcdTrace::trace(const unsigned long& object, const std::string& name, int width) {
  add(object, name, width);
}
void VcdTrace::trace(const char& object, const std::string& name, int width) {
  add(object, name, width);
}
void VcdTrace::trace(const short& object, const std::string& name, int width) {
  add(object, name, width);
}
void VcdTrace::trace(const int& object, const std::string& name, int width) {
  add(object, name, width);
}
void VcdTrace::trace(const long& object, const std::string& name, int width) {
  add(object, name, width);
}
void VcdTrace::trace(const sc_dt::int64& object, const std::string& name, int width) {
  add(object, name, width);
}
void VcdTrace::trace(const sc_dt::uint64& object, const std::string& name, int width) {
  add(object, name, width);
}
void VcdTrace::trace(const unsigned int& object, const std::string& name, const char** /*literals*/) {
  add(object, name, 32);
}

void VcdTrace::refuse_type(const std::string& name) {
  throw std::logic_error("the signal " + name + " has a type that is not traced");
}

void VcdTrace::write_comment(const std::string& comment) {
  stream_ << "$comment " << comment << " $end\n";
}

void VcdTrace::write_declarations() {
  stream_ << "$version mlsim $end\n$timescale 1 ps $end\n";
  Scope root;
  for (const auto& variable : variables_) root.add(variable->name(), *variable);
  for (const Scope& scope : root.scopes) scope.write(stream_);
  stream_ << "$enddefinitions $end\n";
}

std::uint64_t VcdTrace::time_ps() {
  return static_cast<std::uint64_t>(sc_core::sc_time_stamp() / sc_core::sc_time(1, sc_core::SC_PS));
}

void VcdTrace::write_time() {
  stream_ << '#' << time_ps() << '\n';
}

// Called when all has settled at a time, before time moves on.
void VcdTrace::cycle(bool delta_cycle) {
  const std::uint64_t cycle = time_ps() / kPsOfACycle;
  if (delta_cycle || ended_ || cycle < request_.first_cycle) return;
  if (cycle > request_.last_cycle) {
    finish();
    ended_ = true;
    return;
  }
  if (!begun_) {
    begun_ = true;
    write_declarations();
    write_time();
    if (new_mark_) write_comment(*std::exchange(new_mark_, std::nullopt));
    stream_ << "$dumpvars\n";
    for (const auto& variable : variables_) variable->write(stream_);
    stream_ << "$end\n";
    return;
  }
  bool has_time = false;
  if (new_mark_) {
    write_time();
    has_time = true;
    write_comment(*std::exchange(new_mark_, std::nullopt));
  }
  for (const auto& variable : variables_) {
    if (!variable->has_changed()) continue;
    if (!std::exchange(has_time, true)) write_time();
    variable->write(stream_);
  }
}

}  // namespace mlsim::sim
