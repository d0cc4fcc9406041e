#pragma once

// The bytes of an import's files in, their rows out: unpacks gzip and zstd, recognises JSONL, CSV
// and Parquet, and keeps each file's lineage (bytes, checksum, format). Knows nothing of what rows
// mean. Memory: a row of a text, a batch of Parquet (parquet_reader.h), whatever the files' size.
// Used by one thread.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/cancel_check.h"
#include "common/base/hash.h"
#include "common/base/status.h"
#include "coordinator/datasets/sources/byte_sink.h"
#include "coordinator/datasets/sources/format.h"
#include "coordinator/datasets/sources/source_row.h"

namespace attune::datasets {

inline constexpr int kSourcesMax = 10'000;
// A version's record has them; it must fit into a message.
inline constexpr size_t kNamesBytesMax = 2 << 20;

struct SourceOptions {
  // Where Parquet files are set aside while they arrive; nothing is left there.
  std::filesystem::path folder;
  std::optional<Format> format;   // of all files, in place of what is recognised
  std::optional<char> delimiter;  // of all CSV files, likewise
  size_t row_bytes_max = 8 << 20;
  CancelCheck cancelled = CancelCheck();  // asked now and then while rows are made
};

class SourceReader {
 public:
  SourceReader(SourceOptions options, RowHandler handler);
  ~SourceReader();

  // Bytes of file in order; a change of file ends the one before. What is wrong with a row is its
  // problem; errors are the handler's and, naming the file, kInvalidArgument for one that is
  // damaged, cut off or outside of the limits. After an error the import is over.
  Status Append(const std::string& file, std::string_view bytes);
  // Ends the last file.
  Status Finish();

  // What a usable row of a file (SourceRow's) turned out to be; of several it is "mixed".
  void NoteShape(size_t file, std::string_view shape);
  // Of all files so far, in order; rows includes those with problems.
  const std::vector<v1::SourceFile>& files() const { return files_; }

 private:
  Status Begin(const std::string& file);
  Status EndFile();
  // The first sink of a file's bytes.
  std::unique_ptr<ByteSink> Recognise();
  // What takes the unpacked content, once head tells its format.
  Result<std::unique_ptr<ByteSink>> OpenFormat(std::string_view head, bool all);
  Status Named(const Status& status) const;

  const SourceOptions options_;
  const RowHandler handler_;
  std::vector<v1::SourceFile> files_;
  size_t names_bytes_ = 0;
  // Of the file at hand.
  std::string file_;
  std::unique_ptr<ByteSink> sink_;
  std::unique_ptr<Sha256> sha256_;
};

}  // namespace attune::datasets
