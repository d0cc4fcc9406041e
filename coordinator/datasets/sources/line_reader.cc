#include "coordinator/datasets/sources/line_reader.h"

#include <algorithm>

namespace attune::datasets {

Status LineReader::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    size_t end = bytes.find('\n');
    std::string_view part = bytes.substr(0, end);
    size_t room = line_bytes_max_ - line_.size();
    if (part.size() > room) too_long_ = true;
    line_.append(part.substr(0, room));
    if (end == std::string_view::npos) return Status();
    bytes.remove_prefix(end + 1);
    ATTUNE_RETURN_IF_ERROR(EndLine());
  }
  return Status();
}

Status LineReader::EndFile() {
  Status status = line_.empty() && !too_long_ ? Status() : EndLine();
  number_ = 0;
  return status;
}

Status LineReader::EndLine() {
  ++number_;
  std::string_view text = line_;
  if (number_ == 1 && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // byte order mark
  if (text.ends_with('\r')) text.remove_suffix(1);
  Status status = handler_(Line{number_, text, too_long_});
  line_.clear();
  too_long_ = false;
  return status;
}

}  // namespace attune::datasets
