#include "tests/support/packed_files.h"

#include <arrow/buffer.h>
#include <arrow/io/memory.h>
#include <arrow/json/reader.h>
#include <arrow/table.h>
#include <arrow/util/compression.h>
#include <parquet/arrow/writer.h>

#include "common/base/status.h"

namespace attune {
namespace {

template <typename T>
T Must(arrow::Result<T> result) {
  if (!result.ok()) CheckFailed(__FILE__, __LINE__, result.status().ToString().c_str());
  return *std::move(result);
}

std::string Compress(arrow::Compression::type type, std::string_view bytes) {
  auto codec = Must(arrow::util::Codec::Create(type));
  const auto* input = reinterpret_cast<const uint8_t*>(bytes.data());
  const auto size = static_cast<int64_t>(bytes.size());
  std::string out(static_cast<size_t>(codec->MaxCompressedLen(size, input)), '\0');
  const int64_t written = Must(codec->Compress(size, input, static_cast<int64_t>(out.size()),
                                               reinterpret_cast<uint8_t*>(out.data())));
  out.resize(static_cast<size_t>(written));
  return out;
}

}  // namespace

std::string Gzip(std::string_view bytes) {
  return Compress(arrow::Compression::GZIP, bytes);
}

std::string Zstd(std::string_view bytes) {
  return Compress(arrow::Compression::ZSTD, bytes);
}

std::string ParquetOf(const arrow::Table& table, const ParquetLayout& layout) {
  auto sink = Must(arrow::io::BufferOutputStream::Create());
  parquet::WriterProperties::Builder properties;
  properties.compression(layout.compressed ? arrow::Compression::SNAPPY
                                           : arrow::Compression::UNCOMPRESSED);
  if (!layout.dictionary) properties.disable_dictionary();
  const arrow::Status written = parquet::arrow::WriteTable(
      table, arrow::default_memory_pool(), sink, layout.rows_a_group, properties.build(),
      parquet::ArrowWriterProperties::Builder().store_schema()->build());
  if (!written.ok()) CheckFailed(__FILE__, __LINE__, written.ToString().c_str());
  return Must(sink->Finish())->ToString();
}

std::string ParquetOfRows(std::string_view jsonl, const ParquetLayout& layout) {
  auto input =
      std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(std::string(jsonl)));
  auto options = arrow::json::ParseOptions::Defaults();
  options.newlines_in_values = false;
  auto reader = Must(arrow::json::TableReader::Make(arrow::default_memory_pool(), input,
                                                    arrow::json::ReadOptions::Defaults(), options));
  return ParquetOf(*Must(reader->Read()), layout);
}

}  // namespace attune
