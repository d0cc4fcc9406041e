#pragma once

// Maps a section of a document to the fields of a struct, and complains about all that is wrong at
// once:
//
//   yaml::Reader reader(document);
//   reader.Required("listen", &config.listen);
//   reader.Optional("slots", &config.slots, yaml::Range{1, 64});
//   reader.Section("tls", [&](yaml::Reader& tls) { tls.Required("cert", &config.tls.cert); });
//   ATTUNE_RETURN_IF_ERROR(reader.Finish());
//
// A field whose key is absent or wrong keeps the value it had.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/yaml/document.h"
#include "common/yaml/problems.h"
#include "common/yaml/value.h"

namespace attune::yaml {

class Reader {
 public:
  // The document must outlive the reader.
  explicit Reader(const Document& document);

  // The types and constraints are those of Convert in value.h. True when a good value was there.
  template <typename T, typename... Constraint>
  bool Required(std::string_view key, T* out, const Constraint&... constraint) {
    return Read(key, true, [&](const Node& node) { return Convert(node, out, constraint...); });
  }
  template <typename T, typename... Constraint>
  bool Optional(std::string_view key, T* out, const Constraint&... constraint) {
    return Read(key, false, [&](const Node& node) { return Convert(node, out, constraint...); });
  }
  // Calls read with the section's own reader when the key is there; unknown keys in it are found at
  // its end.
  bool Section(std::string_view key, const std::function<void(Reader&)>& read);
  // Calls read for each item of a list of sections.
  bool Sections(std::string_view key, const std::function<void(Reader&)>& read);

  // The value of a key for a caller that reads it itself, null when absent; the key then counts as
  // known.
  const Node* Find(std::string_view key);
  // The keys that are there, for a section whose keys are names that the user chose.
  std::vector<std::string> Keys() const;
  // What the caller itself found wrong. The message starts with the key: "listen must be ...".
  void Fail(std::string_view key, const std::string& message);

  // Complains about keys that nobody asked for. OK, or kInvalidArgument with everything found. Only
  // of the outermost reader.
  Status Finish();

 private:
  Reader(const Node* node, std::string path, Problems* problems);
  using ConvertFunction = std::function<std::string(const Node&)>;
  bool Read(std::string_view key, bool required, const ConvertFunction& convert);
  std::string PathOf(std::string_view key) const;
  void RefuseUnknownKeys();

  std::unique_ptr<Problems> own_problems_;  // of the outermost reader
  Problems* problems_;
  const Node* node_;  // a map, or null
  std::string path_;  // "" of the document, "tls" of a section
  std::vector<std::string> known_;
};

}  // namespace attune::yaml
