#include "common/yaml/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace attune::yaml {
namespace {

std::string RangeText(const Range& range, double type_min) {
  double min = std::max(range.min, type_min);
  bool has_min = std::isfinite(min), has_max = std::isfinite(range.max);
  if (has_min && has_max) return " from " + FormatNumber(min) + " to " + FormatNumber(range.max);
  if (has_min) return " of at least " + FormatNumber(min);
  if (has_max) return " of at most " + FormatNumber(range.max);
  return "";
}

template <typename T>
bool ParseWhole(const std::string& text, T* out) {
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, *out);
  return error == std::errc() && stop == end;
}

template <typename T>
std::string ConvertInteger(const Node& node, T* out, const Range& range) {
  T value{};
  bool fits = node.kind == Node::Kind::kScalar && !node.quoted && ParseWhole(node.scalar, &value) &&
              static_cast<double>(value) >= range.min && static_cast<double>(value) <= range.max;
  if (!fits) {
    double type_min = std::numeric_limits<T>::is_signed ? -INFINITY : 0;
    return "a whole number" + RangeText(range, type_min) + ", not " + node.Describe();
  }
  *out = value;
  return "";
}

std::string ListOf(const std::vector<std::string>& values) {
  std::string out;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += i + 1 == values.size() ? " or " : ", ";
    out += values[i];
  }
  return out;
}

}  // namespace

std::string FormatNumber(double value) {
  char buffer[32];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, value);
  std::string text(buffer, end);
  // 2e-04, as to_chars writes it, is not how people do.
  if (size_t e = text.find('e'); e != std::string::npos && e + 2 < text.size()) {
    size_t digit = e + 2;
    while (digit + 1 < text.size() && text[digit] == '0') text.erase(digit, 1);
    if (text[e + 1] == '+') text.erase(e + 1, 1);
  }
  return text;
}

std::string Convert(const Node& node, bool* out) {
  if (node.kind == Node::Kind::kScalar && !node.quoted) {
    if (node.scalar == "true" || node.scalar == "false") {
      *out = node.scalar == "true";
      return "";
    }
  }
  return "true or false, not " + node.Describe();
}

std::string Convert(const Node& node, int32_t* out, const Range& range) {
  return ConvertInteger(node, out, range);
}
std::string Convert(const Node& node, uint32_t* out, const Range& range) {
  return ConvertInteger(node, out, range);
}
std::string Convert(const Node& node, int64_t* out, const Range& range) {
  return ConvertInteger(node, out, range);
}
std::string Convert(const Node& node, uint64_t* out, const Range& range) {
  return ConvertInteger(node, out, range);
}

std::string Convert(const Node& node, double* out, const Range& range) {
  double value = 0;
  bool fits = node.kind == Node::Kind::kScalar && !node.quoted && ParseWhole(node.scalar, &value) &&
              std::isfinite(value) && value >= range.min && value <= range.max;
  if (!fits) return "a number" + RangeText(range, -INFINITY) + ", not " + node.Describe();
  *out = value;
  return "";
}

std::string Convert(const Node& node, std::string* out, const OneOf& one_of) {
  const auto& values = one_of.values;
  if (node.kind == Node::Kind::kScalar) {
    bool allowed = values.empty()
                       ? !node.scalar.empty()
                       : std::find(values.begin(), values.end(), node.scalar) != values.end();
    if (allowed) {
      *out = node.scalar;
      return "";
    }
    if (values.empty()) return "a string that is not empty";
  }
  return (values.empty() ? "a string" : ListOf(values)) + ", not " + node.Describe();
}

std::string Convert(const Node& node, std::vector<std::string>* out, const OneOf& one_of) {
  std::vector<std::string> values;
  if (node.kind == Node::Kind::kScalar) {  // one word stands for a list of one
    std::string wrong = Convert(node, &values.emplace_back(), one_of);
    if (wrong.empty()) *out = std::move(values);
    return wrong;
  }
  if (node.kind != Node::Kind::kSequence) return "a list of strings, not " + node.Describe();
  for (const Node& item : node.items) {
    std::string wrong = Convert(item, &values.emplace_back(), one_of);
    if (!wrong.empty()) return "a list in which each is " + wrong;
  }
  *out = std::move(values);
  return "";
}

namespace {

template <typename Number>
std::string ConvertNumbers(const Node& node, std::vector<Number>* out, const Range& range) {
  if (node.kind != Node::Kind::kSequence) return "a list of numbers, not " + node.Describe();
  std::vector<Number> values;
  for (const Node& item : node.items) {
    std::string wrong = Convert(item, &values.emplace_back(), range);
    if (!wrong.empty()) return "a list in which each is " + wrong;
  }
  *out = std::move(values);
  return "";
}

}  // namespace

std::string Convert(const Node& node, std::vector<double>* out, const Range& range) {
  return ConvertNumbers(node, out, range);
}

std::string Convert(const Node& node, std::vector<uint32_t>* out, const Range& range) {
  return ConvertNumbers(node, out, range);
}

std::string Convert(const Node& node, std::chrono::milliseconds* out, const Range& range) {
  static constexpr struct {
    const char* unit;
    double seconds;
  } kUnits[] = {{"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
  if (node.kind == Node::Kind::kScalar) {
    double value = 0;
    const char* end = node.scalar.data() + node.scalar.size();
    auto [stop, error] = std::from_chars(node.scalar.data(), end, value);
    for (const auto& [unit, factor] : kUnits) {
      if (error != std::errc() || std::string_view(stop, end) != unit) continue;
      double seconds = value * factor;
      if (std::isfinite(seconds) && seconds >= std::max(range.min, 0.0) &&
          seconds <= std::min(range.max, 1e9)) {
        *out = std::chrono::milliseconds(std::llround(seconds * 1000));
        return "";
      }
    }
  }
  return "a duration such as 250ms, 10s, 5m or 6h" +
         (std::isfinite(range.max) ? RangeText(range, 0) + " seconds" : std::string()) + ", not " +
         node.Describe();
}

}  // namespace attune::yaml
