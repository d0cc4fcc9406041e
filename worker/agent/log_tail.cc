#include "worker/agent/log_tail.h"

#include <algorithm>
#include <fstream>

#include "common/base/utf8.h"

namespace attune::worker {
namespace {

constexpr std::streamoff kWindowBytes = 64 << 10;
constexpr size_t kLineBytes = 2000;

std::string ReadEnd(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in.seekg(0, std::ios::end)) return "";
  const std::streamoff size = in.tellg();
  const std::streamoff start = std::max<std::streamoff>(0, size - kWindowBytes);
  in.seekg(start);
  std::string text(static_cast<size_t>(size - start), '\0');
  in.read(text.data(), size - start);
  text.resize(static_cast<size_t>(std::max<std::streamsize>(0, in.gcount())));
  return text;
}

}  // namespace

std::vector<std::string> ReadLogTail(const std::filesystem::path& path, size_t lines) {
  const std::string text = ReadEnd(path);
  std::vector<std::string> tail;
  size_t end = text.size();
  if (end > 0 && text[end - 1] == '\n') --end;
  while (end > 0 && tail.size() < lines) {
    const size_t newline = text.rfind('\n', end - 1);
    const size_t start = newline == std::string::npos ? 0 : newline + 1;
    tail.push_back(ToValidUtf8(text.substr(start, std::min(end - start, kLineBytes))));
    end = newline == std::string::npos ? 0 : newline;
  }
  std::reverse(tail.begin(), tail.end());
  return tail;
}

}  // namespace attune::worker
