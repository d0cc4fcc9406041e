#include "coordinator/datasets/sources/source_reader.h"

#include "common/base/utf8.h"
#include "coordinator/datasets/sources/csv_reader.h"
#include "coordinator/datasets/sources/jsonl_reader.h"
#include "coordinator/datasets/sources/parquet_reader.h"
#include "coordinator/datasets/sources/recogniser.h"
#include "coordinator/datasets/sources/unpack.h"

namespace attune::datasets {
namespace {

constexpr size_t kFileNameBytesMax = 1024;

// What CsvReader wants: bytes from after the byte order mark.
class AfterByteOrderMark final : public ByteSink {
 public:
  explicit AfterByteOrderMark(std::unique_ptr<ByteSink> next) : next_(std::move(next)) {}

  Status Append(std::string_view bytes) override {
    // The recogniser's first piece is longer than the mark, or all there is.
    if (!begun_) bytes = WithoutByteOrderMark(bytes);
    begun_ = true;
    return next_->Append(bytes);
  }
  Status End() override { return next_->End(); }

 private:
  const std::unique_ptr<ByteSink> next_;
  bool begun_ = false;
};

// Of these formats no file is empty; of the others one without rows may be.
bool HasContentWhenWhole(const std::string& file) {
  return file.ends_with(".parquet") || file.ends_with(".gz") || file.ends_with(".zst");
}

}  // namespace

SourceReader::SourceReader(SourceOptions options, RowHandler handler)
    : options_(std::move(options)), handler_(std::move(handler)) {}

SourceReader::~SourceReader() = default;

Status SourceReader::Append(const std::string& file, std::string_view bytes) {
  ATTUNE_RETURN_IF_ERROR(options_.cancelled.Now());
  if (!sink_ || file != file_) ATTUNE_RETURN_IF_ERROR(Begin(file));
  sha256_->Update(bytes);
  v1::SourceFile& source = files_.back();
  source.set_bytes(source.bytes() + bytes.size());
  return Named(sink_->Append(bytes));
}

Status SourceReader::Begin(const std::string& file) {
  ATTUNE_RETURN_IF_ERROR(EndFile());
  if (files_.size() == kSourcesMax) {
    return InvalidArgument("more than " + std::to_string(kSourcesMax) + " files in one import");
  }
  names_bytes_ += file.size();
  if (names_bytes_ > kNamesBytesMax) {
    return InvalidArgument("the names of the files have more than " +
                           std::to_string(kNamesBytesMax >> 20) +
                           " MiB in all: import them in parts, or as fewer files");
  }
  file_ = file;
  files_.emplace_back().set_name(Shorten(file, kFileNameBytesMax));
  sha256_ = std::make_unique<Sha256>();
  sink_ = Recognise();
  return Status();
}

Status SourceReader::EndFile() {
  if (!sink_) return Status();
  ATTUNE_RETURN_IF_ERROR(Named(sink_->End()));
  sink_.reset();
  if (files_.back().bytes() == 0 && HasContentWhenWhole(file_)) {
    return InvalidArgument(file_ + " is empty: it was cut off");
  }
  files_.back().set_sha256(sha256_->Hex());
  return Status();
}

Status SourceReader::Finish() {
  return EndFile();
}

void SourceReader::NoteShape(size_t file, std::string_view shape) {
  std::string* noted = files_[file].mutable_shape();
  if (noted->empty()) noted->assign(shape);
  if (*noted != shape) noted->assign("mixed");
}

std::unique_ptr<ByteSink> SourceReader::Recognise() {
  return std::make_unique<Recogniser>(
      [this](std::string_view head, bool all) -> Result<std::unique_ptr<ByteSink>> {
        if (!all && head.size() < kCompressionHead) return std::unique_ptr<ByteSink>();
        ATTUNE_ASSIGN_OR_RETURN(const Compression compression, CompressionOf(head));
        files_.back().set_compression(std::string(CompressionName(compression)));
        return MakeUnpacker(compression,
                            std::make_unique<Recogniser>([this](std::string_view text, bool end) {
                              return OpenFormat(text, end);
                            }));
      });
}

Result<std::unique_ptr<ByteSink>> SourceReader::OpenFormat(std::string_view head, bool all) {
  const bool enough = all || head.size() >= kCompressionHead;
  const std::optional<Format> format = !enough           ? std::nullopt
                                       : options_.format ? options_.format
                                                         : FormatOf(head, all, file_);
  if (!format) return std::unique_ptr<ByteSink>();
  v1::SourceFile* source = &files_.back();
  source->set_format(std::string(FormatName(*format)));
  std::optional<char> delimiter;
  if (*format == Format::kCsv) {
    delimiter = options_.delimiter ? options_.delimiter : DelimiterOf(head, all, file_);
    if (!delimiter) return std::unique_ptr<ByteSink>();
    source->set_delimiter(std::string(DelimiterName(*delimiter)));
  }
  RowHandler take = [this, file = files_.size() - 1](SourceRow row) {
    files_[file].set_rows(files_[file].rows() + 1);
    row.file = file;
    return handler_(row);
  };
  switch (*format) {
    case Format::kCsv:
      return std::unique_ptr<ByteSink>(std::make_unique<AfterByteOrderMark>(
          std::make_unique<CsvReader>(*delimiter, options_.row_bytes_max, std::move(take))));
    case Format::kParquet:
      return std::unique_ptr<ByteSink>(std::make_unique<ParquetReader>(
          options_.folder, options_.row_bytes_max, options_.cancelled, std::move(take)));
    case Format::kJsonl:
      break;
  }
  return std::unique_ptr<ByteSink>(
      std::make_unique<JsonlReader>(options_.row_bytes_max, std::move(take)));
}

// The handler's own errors speak of no file, but come while one is read as well.
Status SourceReader::Named(const Status& status) const {
  if (status.ok() || status.code() != StatusCode::kInvalidArgument) return status;
  return InvalidArgument(ToValidUtf8(files_.back().name() + ": " + status.message()));
}

}  // namespace attune::datasets
