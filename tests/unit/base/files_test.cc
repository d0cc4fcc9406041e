#include "common/base/files.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temporary_folder.h"

namespace attune {
namespace {

namespace fs = std::filesystem;

class FilesTest : public testing::Test {
 protected:
  size_t FilesInFolder() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  const TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path();
};

TEST_F(FilesTest, WritesAndReplacesWhole) {
  fs::path path = folder_ / "a";
  ASSERT_TRUE(WriteFileAtomically(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomically(path, "two!").ok());
  EXPECT_EQ(*ReadFile(path), "two!");
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(FilesTest, WithoutCommitNothingIsLeft) {
  fs::path path = folder_ / "a";
  ASSERT_TRUE(WriteFileAtomically(path, "old").ok());
  {
    auto writer = AtomicFileWriter::Create(path);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->Append("new").ok());
    EXPECT_EQ(FilesInFolder(), 2u);
  }
  EXPECT_EQ(*ReadFile(path), "old");
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(FilesTest, WhatHasTheNameMayStay) {
  const fs::path path = folder_ / "a";
  for (const char* content : {"one", "two"}) {
    auto writer = AtomicFileWriter::Create(path);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE(writer->Append(std::string_view(content)).ok());
    EXPECT_TRUE(writer->CommitUnlessThere().ok());
    EXPECT_EQ(*ReadFile(path), "one");
    EXPECT_EQ(FilesInFolder(), 1u);
  }
}

TEST_F(FilesTest, WritesLargeAndSmallPiecesInOrder) {
  std::string expected;
  auto writer = AtomicFileWriter::Create(folder_ / "a");
  ASSERT_TRUE(writer.ok());
  for (size_t size : {1, 1000, 3 << 20, 5, 1 << 20, (1 << 20) - 1, 2}) {
    std::string piece(size, static_cast<char>('a' + expected.size() % 26));
    expected += piece;
    ASSERT_TRUE(writer->Append(piece).ok());
  }
  EXPECT_EQ(writer->size(), expected.size());
  AtomicFileWriter moved = std::move(writer).value();
  ASSERT_TRUE(moved.Commit().ok());
  EXPECT_EQ(*ReadFile(folder_ / "a"), expected);
  EXPECT_EQ(FilesInFolder(), 1u);
}

TEST_F(FilesTest, ReadHonoursItsLimit) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "a", std::string(100, 'x')).ok());
  EXPECT_EQ(ReadFile(folder_ / "a", 100)->size(), 100u);
  EXPECT_EQ(ReadFile(folder_ / "a", 99).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadFile(folder_ / "b").status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(ReadFile(folder_).ok());
}

TEST_F(FilesTest, CreatesMissingFolders) {
  ASSERT_TRUE(CreateFolders(folder_ / "x/y/z").ok());
  EXPECT_TRUE(std::filesystem::is_directory(folder_ / "x/y/z"));
  EXPECT_TRUE(CreateFolders(folder_ / "x/y/z").ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ / "file", "").ok());
  EXPECT_FALSE(CreateFolders(folder_ / "file").ok());
  EXPECT_FALSE(CreateFolders(folder_ / "file/x").ok());
}

TEST_F(FilesTest, CannotWriteWhereThereIsNoFolder) {
  Status status = WriteFileAtomically(folder_ / "missing" / "a", "x");
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_NE(status.message().find((folder_ / "missing").string()), std::string::npos);
}

TEST_F(FilesTest, MapsWholeFiles) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "a", "content").ok());
  auto map = MappedFile::Open(folder_ / "a");
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>((*map)->bytes().data()), 7), "content");
  ASSERT_TRUE(WriteFileAtomically(folder_ / "empty", "").ok());
  auto empty = MappedFile::Open(folder_ / "empty");
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE((*empty)->bytes().empty());
  EXPECT_EQ(MappedFile::Open(folder_ / "b").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(MappedFile::Open(folder_).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(FilesTest, AMapKeepsItsContentWhenTheFileIsReplaced) {
  ASSERT_TRUE(WriteFileAtomically(folder_ / "a", "old").ok());
  auto map = MappedFile::Open(folder_ / "a");
  ASSERT_TRUE(map.ok());
  ASSERT_TRUE(WriteFileAtomically(folder_ / "a", "new").ok());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>((*map)->bytes().data()), 3), "old");
}

TEST(ValidName, NeverEscapesAFolder) {
  for (const char* good : {"a", "docs-2024.v1", "0", "smollm2_135m"})
    EXPECT_TRUE(IsValidName(good));
  EXPECT_TRUE(IsValidName(std::string(63, 'a')));
  EXPECT_FALSE(IsValidName(std::string(64, 'a')));
  for (const char* bad :
       {"", ".", "..", ".a", "-a", "_a", "a/b", "A", "a b", "a\n", "a@1", "\xc3\xa9"}) {
    EXPECT_FALSE(IsValidName(bad)) << bad;
  }
  EXPECT_FALSE(IsValidName(std::string("a\0b", 3)));
}

}  // namespace
}  // namespace attune
