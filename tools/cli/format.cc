#include "tools/cli/format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace attune::cli {
namespace {

template <typename... Args>
std::string Print(const char* format, Args... args) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, args...);
  return buffer;
}

// Three significant digits at most: "1.23", "12.3", "123".
std::string Short(double value) {
  std::string text = value < 9.995   ? Print("%.2f", value)
                     : value < 99.95 ? Print("%.1f", value)
                                     : Print("%.0f", value);
  if (text.find('.') != std::string::npos) {
    while (text.back() == '0') text.pop_back();
    if (text.back() == '.') text.pop_back();
  }
  return text;
}

bool Continues(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

}  // namespace

std::string FormatBytes(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  while (bytes >= 1023.5 && unit + 1 < std::size(kUnits)) bytes /= 1024, ++unit;
  return Short(bytes) + " " + kUnits[unit];
}

std::string FormatCount(double count) {
  static constexpr const char* kUnits[] = {"", "k", "M", "G", "T"};
  if (count < 9999.5) return Print("%.0f", count);
  size_t unit = 0;
  while (count >= 999.5 && unit + 1 < std::size(kUnits)) count /= 1000, ++unit;
  return Short(count) + kUnits[unit];
}

std::string FormatRate(double per_second) {
  return per_second < 1000 ? Short(per_second) : Short(per_second / 1000) + "k";
}

std::string FormatSeconds(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  if (seconds < 9.95) return Short(std::round(seconds * 10) / 10) + "s";
  auto s = static_cast<int64_t>(std::llround(seconds));
  if (s < 60) return Print("%llds", static_cast<long long>(s));
  if (s < 3600)
    return Print("%lldm%02llds", static_cast<long long>(s / 60), static_cast<long long>(s % 60));
  if (s < 86400) {
    return Print("%lldh%02lldm", static_cast<long long>(s / 3600),
                 static_cast<long long>(s % 3600 / 60));
  }
  return Print("%lldd%lldh", static_cast<long long>(s / 86400),
               static_cast<long long>(s % 86400 / 3600));
}

std::string FormatFixed(double value, int digits) {
  return Print("%.*f", digits, value);
}
std::string FormatShort(double value) {
  return Print("%.3g", value);
}
std::string FormatLoss(double loss) {
  return Print("%.4f", loss);
}
std::string FormatNumber(double value) {
  return Print("%.6g", value);
}

double SecondsOf(const google::protobuf::Timestamp& time) {
  return static_cast<double>(time.seconds()) + time.nanos() * 1e-9;
}
double SecondsOf(TimePoint time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

std::string FormatAge(const google::protobuf::Timestamp& time, TimePoint now) {
  if (time.seconds() == 0) return "";
  return FormatSeconds(std::max(0.0, std::floor(SecondsOf(now) - SecondsOf(time))));
}

std::string FormatLocalTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "";
  std::time_t seconds = time.seconds();
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts)};
}

std::string Bar(double share, int width, bool utf8) {
  share = std::clamp(std::isfinite(share) ? share : 0.0, 0.0, 1.0);
  std::string out;
  if (!utf8) {
    int full = static_cast<int>(share * width);
    return "[" + std::string(full, '#') + std::string(width - full, '-') + "]";
  }
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  int eighths = static_cast<int>(std::lround(share * width * 8));
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  out += kEighths[eighths % 8];
  int filled = eighths / 8 + (eighths % 8 != 0);
  for (int i = filled; i < width; ++i) out += "░";
  return out;
}

std::string Sparkline(const std::vector<double>& values, int width) {
  static constexpr const char* kLevels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::vector<double> finite;
  for (double value : values) {
    if (std::isfinite(value)) finite.push_back(value);
  }
  if (finite.empty() || width < 1) return "";
  std::vector<double> points;
  size_t count = std::min(finite.size(), static_cast<size_t>(width));
  for (size_t i = 0; i < count; ++i) {  // the mean of each part
    size_t from = i * finite.size() / count, to = (i + 1) * finite.size() / count;
    double sum = 0;
    for (size_t k = from; k < to; ++k) sum += finite[k];
    points.push_back(sum / static_cast<double>(to - from));
  }
  auto [low, high] = std::minmax_element(points.begin(), points.end());
  double span = *high - *low;
  std::string out;
  for (double point : points) out += kLevels[span > 0 ? std::lround((point - *low) / span * 7) : 0];
  return out;
}

size_t DisplayWidth(const std::string& text) {
  return text.size() - static_cast<size_t>(std::count_if(text.begin(), text.end(), Continues));
}

std::string Fit(const std::string& text, size_t width) {
  if (DisplayWidth(text) <= width) return text;
  if (width == 0) return "";
  size_t bytes = 0, characters = 0;
  while (bytes < text.size() && characters + 1 < width) {
    ++bytes;
    while (bytes < text.size() && Continues(text[bytes])) ++bytes;
    ++characters;
  }
  return text.substr(0, bytes) + "…";
}

}  // namespace attune::cli
