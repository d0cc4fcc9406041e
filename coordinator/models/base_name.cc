#include "coordinator/models/base_name.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

namespace attune::models {
namespace {

namespace fs = std::filesystem;

// "models--org--Model-7B" of the Hub's cache: "Model-7B"; else the name itself.
std::string WithoutOwner(const std::string& name) {
  const size_t at = name.rfind("--");
  return at == name.npos ? name : name.substr(at + 2);
}

// What is left of a name when it is written in another way: letters and digits, in lower case.
std::string Bare(const std::string& name) {
  std::string bare;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte)) bare += static_cast<char>(std::tolower(byte));
  }
  return bare;
}

}  // namespace

bool LooksLike(const std::string& named, const v1::ModelVersion& base) {
  fs::path path = fs::path(named).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  const std::string wanted = Bare(WithoutOwner(path.filename().string()));
  if (wanted.empty() || Bare(base.name()) == wanted) return true;
  // Any folder on the way to the files may have the name.
  const fs::path source = base.lineage().source();
  return std::ranges::any_of(source, [&](const fs::path& part) {
    return Bare(WithoutOwner(part.string())) == wanted || Bare(part.stem().string()) == wanted;
  });
}

}  // namespace attune::models
