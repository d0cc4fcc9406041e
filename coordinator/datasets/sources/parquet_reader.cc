#include "coordinator/datasets/sources/parquet_reader.h"

#include <arrow/io/file.h>
#include <arrow/memory_pool.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>

#include <algorithm>
#include <cstring>

#include "coordinator/datasets/sources/column_json.h"
#include "coordinator/datasets/sources/unpack.h"

namespace attune::datasets {
namespace {

constexpr int64_t kBufferBytes = 1 << 20;  // of each column's stream
constexpr int64_t kBatchBytes = 8 << 20;   // aimed at
constexpr int64_t kBatchRowsMax = 1024;
constexpr int32_t kThriftStringMax = 8 << 20, kThriftListMax = 10'000;
constexpr uint64_t kRowOverhead = 64;  // an empty row is work, too
constexpr int64_t kFooterEnd = 8;      // its length and the magic bytes

Status FromArrow(const arrow::Status& status) {
  if (status.ok()) return Status();
  if (status.IsOutOfMemory()) {
    return InvalidArgument("it needs more than " + std::to_string(kParquetMemoryMax >> 20) +
                           " MiB to be read: write it with smaller pages");
  }
  return InvalidArgument("damaged, or no Parquet: " + status.message());
}

// The library parses a footer of any size.
Status CheckFooter(arrow::io::RandomAccessFile* file, int64_t bytes) {
  const Status cut_off =
      InvalidArgument("it does not end as a Parquet file does: it was cut off, or is encrypted");
  if (bytes < kFooterEnd + 4) return cut_off;
  uint8_t end[kFooterEnd];
  auto got = file->ReadAt(bytes - kFooterEnd, kFooterEnd, end);
  ATTUNE_RETURN_IF_ERROR(FromArrow(got.status()));
  if (*got != kFooterEnd || std::memcmp(end + 4, "PAR1", 4) != 0) return cut_off;
  const uint32_t footer = static_cast<uint32_t>(end[0]) | static_cast<uint32_t>(end[1]) << 8 |
                          static_cast<uint32_t>(end[2]) << 16 | static_cast<uint32_t>(end[3]) << 24;
  if (footer <= kParquetFooterMax) return Status();
  return InvalidArgument("its index has " + std::to_string(footer >> 20) + " MiB, more than " +
                         std::to_string(kParquetFooterMax >> 20) +
                         ": write it with larger row groups");
}

// One file while it is read. Nothing in here throws or returns Arrow's status.
class Reading {
 public:
  Reading(size_t row_bytes_max, const CancelCheck& cancelled, const RowHandler& handler,
          uint64_t bytes)
      : row_bytes_max_(row_bytes_max), cancelled_(cancelled), handler_(handler), bytes_(bytes) {}

  Status Run(int fd) {
    try {
      return ReadAll(fd);
    } catch (const std::exception& error) {
      return InvalidArgument(std::string("damaged, or no Parquet: ") + error.what());
    }
  }

 private:
  Status ReadAll(int fd) {
    auto file = arrow::io::ReadableFile::Open(fd, &pool_);
    ATTUNE_RETURN_IF_ERROR(FromArrow(file.status()));
    ATTUNE_RETURN_IF_ERROR(CheckFooter(file->get(), static_cast<int64_t>(bytes_)));
    ATTUNE_RETURN_IF_ERROR(Open(*std::move(file)));
    const auto metadata = reader_->parquet_reader()->metadata();
    for (int group = 0; group < metadata->num_row_groups(); ++group) {
      const auto of_group = metadata->RowGroup(group);
      ATTUNE_RETURN_IF_ERROR(ReadGroup(group, of_group->num_rows(), of_group->total_byte_size()));
    }
    return Status();
  }

  Status Open(std::shared_ptr<arrow::io::RandomAccessFile> file) {
    parquet::ReaderProperties properties(&pool_);
    properties.enable_buffered_stream();
    properties.set_buffer_size(kBufferBytes);
    properties.set_thrift_string_size_limit(kThriftStringMax);
    properties.set_thrift_container_size_limit(kThriftListMax);
    properties.set_schema_depth_limit(kParquetNestingMax);  // it is walked recursively
    parquet::ArrowReaderProperties columns(/*use_threads=*/false);
    columns.set_pre_buffer(false);  // it would hold whole row groups
    parquet::arrow::FileReaderBuilder builder;
    ATTUNE_RETURN_IF_ERROR(FromArrow(builder.Open(std::move(file), properties)));
    const int leaves = builder.raw_reader()->metadata()->num_columns();
    if (leaves > kParquetColumnsMax) {
      return InvalidArgument("it has " + std::to_string(leaves) + " columns, more than " +
                             std::to_string(kParquetColumnsMax));
    }
    return FromArrow(builder.memory_pool(&pool_)->properties(columns)->Build(&reader_));
  }

  // bytes and rows as the file says: they only choose the size of a batch.
  Status ReadGroup(int group, int64_t rows, int64_t bytes) {
    const int64_t row_bytes = rows > 0 ? std::max<int64_t>(1, bytes / rows) : 1;
    reader_->set_batch_size(std::clamp<int64_t>(kBatchBytes / row_bytes, 1, kBatchRowsMax));
    auto batches = reader_->GetRecordBatchReader(std::vector<int>{group});
    ATTUNE_RETURN_IF_ERROR(FromArrow(batches.status()));
    ATTUNE_ASSIGN_OR_RETURN(const ColumnJson columns, ColumnJson::Make(*(*batches)->schema()));
    for (;;) {
      std::shared_ptr<arrow::RecordBatch> batch;
      ATTUNE_RETURN_IF_ERROR(FromArrow((*batches)->ReadNext(&batch)));
      if (batch == nullptr) return Status();
      ATTUNE_RETURN_IF_ERROR(cancelled_.Now());
      for (int64_t i = 0; i < batch->num_rows(); ++i) {
        ATTUNE_RETURN_IF_ERROR(TakeRow(columns, *batch, i));
      }
    }
  }

  Status TakeRow(const ColumnJson& columns, const arrow::RecordBatch& batch, int64_t i) {
    json_.clear();
    ++rows_;
    const bool whole = columns.Append(batch, i, row_bytes_max_, &json_);
    json_bytes_ += json_.size() + kRowOverhead;
    if (IsBomb(bytes_, json_bytes_)) return BombRefused();
    if (whole) return handler_({.number = rows_, .json = json_});
    const std::string problem = TooLong(row_bytes_max_);
    return handler_({.number = rows_, .problem = problem});
  }

  const size_t row_bytes_max_;
  const CancelCheck& cancelled_;
  const RowHandler& handler_;
  const uint64_t bytes_;
  // What this file takes, and no more; the readers below go first.
  arrow::ProxyMemoryPool counted_{arrow::default_memory_pool()};
  arrow::CappedMemoryPool pool_{&counted_, kParquetMemoryMax};
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  uint64_t rows_ = 0, json_bytes_ = 0;
  std::string json_;
};

}  // namespace

ParquetReader::ParquetReader(std::filesystem::path folder, size_t row_bytes_max,
                             CancelCheck cancelled, RowHandler handler)
    : folder_(std::move(folder)),
      row_bytes_max_(row_bytes_max),
      cancelled_(std::move(cancelled)),
      handler_(std::move(handler)) {}

Status ParquetReader::Append(std::string_view bytes) {
  if (!file_) {
    ATTUNE_ASSIGN_OR_RETURN(ScratchFile file, ScratchFile::Create(folder_));
    file_.emplace(std::move(file));
  }
  return file_->Append(bytes.data(), bytes.size());
}

Status ParquetReader::End() {
  if (!file_) return InvalidArgument("it is empty");
  Reading reading(row_bytes_max_, cancelled_, handler_, file_->size());
  ATTUNE_ASSIGN_OR_RETURN(const int fd, file_->Release());
  return reading.Run(fd);
}

}  // namespace attune::datasets
