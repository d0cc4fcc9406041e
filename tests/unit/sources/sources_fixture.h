#pragma once

// A reader that keeps what it hands over.

#include <gmock/gmock.h>

#include <string>
#include <string_view>
#include <vector>

#include "coordinator/datasets/sources/source_reader.h"
#include "tests/support/temporary_folder.h"

namespace attune::datasets {

class SourcesTest : public ::testing::Test {
 protected:
  // The rows of a file whose bytes come in pieces: "NUMBER:JSON", "NUMBER! PROBLEM".
  std::vector<std::string> Rows(const std::string& file, std::string_view bytes,
                                size_t piece = 1 << 16) {
    const Status status = Read(file, bytes, piece);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return rows_;
  }

  // What is wrong with the whole file.
  std::string Refused(const std::string& file, std::string_view bytes) {
    const Status status = Read(file, bytes, 1 << 16);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
    return status.message();
  }

  Status Read(const std::string& file, std::string_view bytes, size_t piece) {
    rows_.clear();
    options_.folder = folder_.path();
    SourceReader reader(options_, [this](const SourceRow& row) {
      rows_.push_back(std::to_string(row.number) + (row.problem.empty()
                                                        ? ":" + std::string(row.json)
                                                        : "! " + std::string(row.problem)));
      return Status();
    });
    for (size_t at = 0; at < bytes.size(); at += piece) {
      ATTUNE_RETURN_IF_ERROR(reader.Append(file, bytes.substr(at, piece)));
    }
    ATTUNE_RETURN_IF_ERROR(reader.Finish());
    files_ = reader.files();
    return Status();
  }

  TemporaryFolder folder_;
  SourceOptions options_;
  std::vector<std::string> rows_;
  std::vector<v1::SourceFile> files_;
};

}  // namespace attune::datasets
