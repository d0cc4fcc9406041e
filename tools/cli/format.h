#pragma once

// Numbers and times as a person reads them.

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/clock.h"

namespace attune::cli {

std::string FormatBytes(double bytes);      // "1.4 GiB"
std::string FormatCount(double count);      // "134.5M"
std::string FormatSeconds(double seconds);  // "45s", "1m20s", "3h05m", "2d4h"
std::string FormatLoss(double loss);        // "2.3141"
std::string FormatRate(double per_second);  // "1.2k"
std::string FormatNumber(double value);     // shortest, at most 6 digits
std::string FormatShort(double value);      // at most 3 digits
std::string FormatFixed(double value, int digits);
std::string FormatAge(const google::protobuf::Timestamp& time,
                      TimePoint now);                                  // "3m20s", "" when unset
std::string FormatLocalTime(const google::protobuf::Timestamp& time);  // "2026-11-24 18:06:24"
double SecondsOf(const google::protobuf::Timestamp& time);
double SecondsOf(TimePoint time);

// [######------] with eighths of a character where the terminal can (utf8).
std::string Bar(double share, int width, bool utf8);
// One character of eight heights per value, resampled to at most width.
std::string Sparkline(const std::vector<double>& values, int width);

size_t DisplayWidth(const std::string& text);            // characters
std::string Fit(const std::string& text, size_t width);  // cut with … at the end

}  // namespace attune::cli
