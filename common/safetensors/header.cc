#include "common/safetensors/header.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

namespace attune {
namespace {

using Json = nlohmann::json;

constexpr size_t kDimensionsMax = 32;

// Events of nlohmann's parser, which does not recurse, so that deep nesting cannot exhaust the
// stack. The places in the document: {"__metadata__": {KEY: TEXT}, NAME: {"dtype": TEXT, "shape":
// [N...], "data_offsets": [N, N]}}.
class HeaderReader : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(SafetensorsHeader* header) : header_(header) {}
  const std::string& error() const { return error_; }

  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return Unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return Unexpected("a fraction"); }
  bool binary(binary_t&) override { return Unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::kShape) {
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return Fail("has a dimension of " + std::to_string(value));
      }
      if (entry_.shape.size() == kDimensionsMax) return Fail("has too many dimensions");
      entry_.shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (place_ == Place::kOffsets) {
      if (offsets_.size() == 2) return Fail("has more than two data_offsets");
      offsets_.push_back(value);
      return true;
    }
    return Unexpected("a number");
  }

  bool string(string_t& value) override {
    if (place_ == Place::kMetadata) {
      header_->metadata[key_] = value;
      return true;
    }
    if (place_ == Place::kTensor && key_ == "dtype") {
      entry_.dtype = value;
      return true;
    }
    return Unexpected("a string");
  }

  bool start_object(size_t) override {
    if (place_ == Place::kStart) {
      place_ = Place::kTop;
      return true;
    }
    if (place_ != Place::kTop) return Unexpected("an object");
    place_ = name_ == "__metadata__" ? Place::kMetadata : Place::kTensor;
    seen_.clear();
    entry_ = {};
    offsets_.clear();
    return true;
  }

  bool key(string_t& key) override {
    if (place_ == Place::kTop) {
      name_ = key;
      if (!names_.insert(key).second) return Fail("is there twice");
      return true;
    }
    key_ = key;
    if (!seen_.insert(key).second) return Fail("has the key " + QuotedName(key) + " twice");
    if (place_ == Place::kTensor && key != "dtype" && key != "shape" && key != "data_offsets") {
      return Fail("has the unknown key " + QuotedName(key));
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      for (const char* needed : {"dtype", "shape", "data_offsets"}) {
        if (!seen_.contains(needed)) return Fail(std::string("has no ") + needed);
      }
      if (offsets_.size() != 2) return Fail("needs two data_offsets");
      entry_.begin = offsets_[0];
      entry_.end = offsets_[1];
      header_->entries.emplace(name_, std::move(entry_));
    }
    place_ = Place::kTop;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::kTensor || key_ == "dtype") return Unexpected("an array");
    place_ = key_ == "shape" ? Place::kShape : Place::kOffsets;
    return true;
  }

  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    error_ = "the header is not JSON (byte " + std::to_string(position) + "): " + error.what();
    return false;
  }

 private:
  enum class Place { kStart, kTop, kMetadata, kTensor, kShape, kOffsets };

  bool Fail(const std::string& what) {
    error_ = (name_ == "__metadata__" ? name_ : "tensor " + QuotedName(name_)) + " " + what;
    return false;
  }
  bool Unexpected(const std::string& what) {
    if (place_ == Place::kStart) {
      error_ = "the header is " + what + ", not an object";
      return false;
    }
    if (place_ == Place::kTop) return Fail("is " + what + ", not an object");
    return Fail("has " + what + " where none may be, at " + QuotedName(key_));
  }

  SafetensorsHeader* const header_;
  Place place_ = Place::kStart;
  std::string name_, key_, error_;
  std::set<std::string> names_;  // of the top level
  std::set<std::string> seen_;   // keys of the current object
  SafetensorsHeader::Entry entry_;
  std::vector<uint64_t> offsets_;
};

}  // namespace

std::string QuotedName(std::string_view name) {
  std::string out = "\"";
  for (char c : name.substr(0, 100)) out += (c >= 0x20 && c < 0x7f) ? c : '?';
  return out + (name.size() > 100 ? "...\"" : "\"");
}

Result<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json) {
  SafetensorsHeader header;
  HeaderReader reader(&header);
  try {
    if (!Json::sax_parse(json.begin(), json.end(), &reader)) {
      return InvalidArgument(reader.error());
    }
  } catch (const std::exception& error) {
    return InvalidArgument(std::string("the header cannot be parsed: ") + error.what());
  }
  return header;
}

}  // namespace attune
