#include "common/base/scratch_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "tests/support/temporary_folder.h"

namespace attune {
namespace {

std::string Bytes(size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) bytes += static_cast<char>('a' + i % 26);
  return bytes;
}

TEST(ScratchFile, HasNoNameAndIsReadAsItWasWritten) {
  const TemporaryFolder folder;
  Result<ScratchFile> made = ScratchFile::Create(folder.path());
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  ScratchFile file = *std::move(made);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_TRUE(file.Map()->empty());
  const std::string bytes = Bytes((1 << 20) + 1000);  // more than is held back
  for (size_t at = 0; at < bytes.size(); at += 333) {
    const std::string piece = bytes.substr(at, 333);
    ASSERT_TRUE(file.Append(piece.data(), piece.size()).ok());
  }
  EXPECT_EQ(file.size(), bytes.size());
  std::string part(500, ' ');
  ASSERT_TRUE(file.Read(bytes.size() - part.size(), part.data(), part.size()).ok());
  EXPECT_EQ(part, bytes.substr(bytes.size() - part.size()));
  EXPECT_EQ(file.Read(bytes.size() - 1, part.data(), 2).code(), StatusCode::kDataLoss);
  const auto map = file.Map();
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(map->data()), map->size()), bytes);
}

TEST(ScratchFile, AnotherMayTakeItOver) {
  const TemporaryFolder folder;
  const std::string bytes = Bytes(100);
  int fd = -1;
  {
    ScratchFile file = *ScratchFile::Create(folder.path());
    ASSERT_TRUE(file.Append(bytes.data(), bytes.size()).ok());
    fd = *file.Release();
  }
  std::string read(200, ' ');
  ASSERT_EQ(pread(fd, read.data(), read.size(), 0), 100);
  EXPECT_EQ(read.substr(0, 100), bytes);
  close(fd);
}

TEST(ScratchFile, AFolderThatIsNotThereIsAnError) {
  EXPECT_EQ(ScratchFile::Create("/nonexistent/folder").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace attune
