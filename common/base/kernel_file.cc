#include "common/base/kernel_file.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace attune {

std::string ReadKernelFile(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::string text(1 << 16, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(0, in.gcount())));
  return text;
}

uint64_t KernelBytes(std::string_view text, std::string_view field) {
  std::istringstream in{std::string(text)};
  std::string name;
  uint64_t kibibytes;
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    if (words >> name >> kibibytes && name == std::string(field) + ":") return kibibytes * 1024;
  }
  return 0;
}

}  // namespace attune
