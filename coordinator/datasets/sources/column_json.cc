#include "coordinator/datasets/sources/column_json.h"

#include <arrow/array.h>
#include <arrow/extension_type.h>
#include <arrow/util/float16.h>
#include <arrow/util/utf8.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <set>

#include "common/base/utf8.h"
#include "coordinator/datasets/sources/json_text.h"

namespace attune::datasets {
namespace {

using arrow::Array;
using arrow::Type;

constexpr int kNestingMax = 64;

// Where a value goes, and how much more may.
struct Out {
  std::string* text;
  size_t bytes_max;

  bool full() const { return text->size() > bytes_max; }
};

void AppendValue(const Array& array, int64_t i, int depth, const Out& out);

template <typename ArrayType, typename Number>
void AppendNumber(const Array& array, int64_t i, std::string* out) {
  const Number value = static_cast<const ArrayType&>(array).Value(i);
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  out->append(text, end);
}

template <typename Number>
void AppendFractionOf(Number value, std::string* out) {
  if (!std::isfinite(value)) {
    out->append("null");
    return;
  }
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  const std::string_view written(text, static_cast<size_t>(end - text));
  out->append(written);
  if (written.find_first_of(".e") == std::string_view::npos) out->append(".0");
}

void AppendBytes(std::string_view bytes, std::string* out) {
  if (arrow::util::ValidateUTF8(bytes)) {
    AppendJsonString(bytes, out);
  } else {
    out->append("null");
  }
}

int64_t PerSecond(arrow::TimeUnit::type unit) {
  switch (unit) {
    case arrow::TimeUnit::SECOND:
      return 1;
    case arrow::TimeUnit::MILLI:
      return 1'000;
    case arrow::TimeUnit::MICRO:
      return 1'000'000;
    case arrow::TimeUnit::NANO:
      return 1'000'000'000;
  }
  return 1;
}

// "2026-11-27"; nothing for a year that has not four digits.
std::string DateText(int64_t days) {
  constexpr int64_t kYear0 = -719'528, kYear10000 = 2'932'897;  // days since 1970
  if (days < kYear0 || days >= kYear10000) return "";
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{days}}};
  char text[16];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return text;
}

// "18:06:24.123", with a fraction of as many digits as the unit has, if it is not zero. value: of
// a day, in units.
std::string TimeText(int64_t value, int64_t per_second) {
  const int64_t seconds = value / per_second, rest = value % per_second;
  char text[32];
  std::snprintf(text, sizeof text, "%02d:%02d:%02d", static_cast<int>(seconds / 3600),
                static_cast<int>(seconds / 60 % 60), static_cast<int>(seconds % 60));
  std::string out = text;
  if (rest == 0) return out;
  const std::string digits = std::to_string(per_second + rest);
  return out + "." + digits.substr(1);
}

void AppendQuoted(const std::string& text, std::string* out) {
  out->append(text.empty() ? "null" : "\"" + text + "\"");
}

void AppendTimeOfDay(int64_t value, arrow::TimeUnit::type unit, std::string* out) {
  const int64_t per_second = PerSecond(unit);
  const bool of_a_day = value >= 0 && value / per_second < 86'400;
  AppendQuoted(of_a_day ? TimeText(value, per_second) : "", out);
}

void AppendTimestamp(const Array& array, int64_t i, std::string* out) {
  const auto& type = static_cast<const arrow::TimestampType&>(*array.type());
  const int64_t value = static_cast<const arrow::TimestampArray&>(array).Value(i);
  const int64_t per_second = PerSecond(type.unit()), per_day = per_second * 86'400;
  int64_t days = value / per_day, rest = value % per_day;
  if (rest < 0) {
    --days;
    rest += per_day;
  }
  std::string date = DateText(days);
  if (!date.empty()) {
    date += "T" + TimeText(rest, per_second) + (type.timezone().empty() ? "" : "Z");
  }
  AppendQuoted(date, out);
}

void AppendList(const Array& values, int64_t begin, int64_t end, int depth, const Out& out) {
  out.text->push_back('[');
  for (int64_t i = begin; i < end && !out.full(); ++i) {
    if (i > begin) out.text->push_back(',');
    AppendValue(values, i, depth, out);
  }
  out.text->push_back(']');
}

template <typename ListArray>
void AppendListOf(const Array& array, int64_t i, int depth, const Out& out) {
  const auto& list = static_cast<const ListArray&>(array);
  const int64_t begin = list.value_offset(i);
  AppendList(*list.values(), begin, begin + list.value_length(i), depth, out);
}

void AppendStruct(const Array& array, int64_t i, int depth, const Out& out) {
  const auto& type = *array.type();
  const auto& fields = static_cast<const arrow::StructArray&>(array);
  out.text->push_back('{');
  bool first = true;
  for (int f = 0; f < type.num_fields() && !out.full(); ++f) {
    const Array& field = *fields.field(f);
    if (field.IsNull(i)) continue;
    if (!first) out.text->push_back(',');
    first = false;
    AppendJsonString(type.field(f)->name(), out.text);
    out.text->push_back(':');
    AppendValue(field, i, depth, out);
  }
  out.text->push_back('}');
}

bool IsText(const arrow::DataType& type) {
  return type.id() == Type::STRING || type.id() == Type::LARGE_STRING;
}

void AppendMap(const Array& array, int64_t i, int depth, const Out& out) {
  const auto& map = static_cast<const arrow::MapArray&>(array);
  const bool object = IsText(*map.map_type()->key_type());
  const int64_t begin = map.value_offset(i), end = begin + map.value_length(i);
  out.text->push_back(object ? '{' : '[');
  for (int64_t at = begin; at < end && !out.full(); ++at) {
    if (at > begin) out.text->push_back(',');
    if (!object) out.text->push_back('[');
    AppendValue(*map.keys(), at, depth, out);
    out.text->push_back(object ? ':' : ',');
    AppendValue(*map.items(), at, depth, out);
    if (!object) out.text->push_back(']');
  }
  out.text->push_back(object ? '}' : ']');
}

void AppendDictionary(const Array& array, int64_t i, int depth, const Out& out) {
  const auto& encoded = static_cast<const arrow::DictionaryArray&>(array);
  const int64_t index = encoded.GetValueIndex(i);
  if (index < 0 || index >= encoded.dictionary()->length()) {
    out.text->append("null");
    return;
  }
  AppendValue(*encoded.dictionary(), index, depth, out);
}

// False when it is none of these types.
bool AppendWhole(const Array& array, int64_t i, std::string* out) {
  switch (array.type_id()) {
    case Type::UINT8:
      AppendNumber<arrow::UInt8Array, uint32_t>(array, i, out);
      return true;
    case Type::INT8:
      AppendNumber<arrow::Int8Array, int32_t>(array, i, out);
      return true;
    case Type::UINT16:
      AppendNumber<arrow::UInt16Array, uint32_t>(array, i, out);
      return true;
    case Type::INT16:
      AppendNumber<arrow::Int16Array, int32_t>(array, i, out);
      return true;
    case Type::UINT32:
      AppendNumber<arrow::UInt32Array, uint32_t>(array, i, out);
      return true;
    case Type::INT32:
      AppendNumber<arrow::Int32Array, int32_t>(array, i, out);
      return true;
    case Type::UINT64:
      AppendNumber<arrow::UInt64Array, uint64_t>(array, i, out);
      return true;
    case Type::INT64:
      AppendNumber<arrow::Int64Array, int64_t>(array, i, out);
      return true;
    case Type::DURATION:
      AppendNumber<arrow::DurationArray, int64_t>(array, i, out);
      return true;
    default:
      return false;
  }
}

bool AppendFraction(const Array& array, int64_t i, std::string* out) {
  switch (array.type_id()) {
    case Type::HALF_FLOAT: {
      const uint16_t bits = static_cast<const arrow::HalfFloatArray&>(array).Value(i);
      AppendFractionOf(arrow::util::Float16::FromBits(bits).ToFloat(), out);
      return true;
    }
    case Type::FLOAT:
      AppendFractionOf(static_cast<const arrow::FloatArray&>(array).Value(i), out);
      return true;
    case Type::DOUBLE:
      AppendFractionOf(static_cast<const arrow::DoubleArray&>(array).Value(i), out);
      return true;
    default:
      return false;
  }
}

bool AppendTime(const Array& array, int64_t i, std::string* out) {
  switch (array.type_id()) {
    case Type::DATE32:
      AppendQuoted(DateText(static_cast<const arrow::Date32Array&>(array).Value(i)), out);
      return true;
    case Type::DATE64: {
      const int64_t ms = static_cast<const arrow::Date64Array&>(array).Value(i);
      AppendQuoted(DateText(ms / 86'400'000 - (ms % 86'400'000 < 0 ? 1 : 0)), out);
      return true;
    }
    case Type::TIMESTAMP:
      AppendTimestamp(array, i, out);
      return true;
    case Type::TIME32:
      AppendTimeOfDay(static_cast<const arrow::Time32Array&>(array).Value(i),
                      static_cast<const arrow::Time32Type&>(*array.type()).unit(), out);
      return true;
    case Type::TIME64:
      AppendTimeOfDay(static_cast<const arrow::Time64Array&>(array).Value(i),
                      static_cast<const arrow::Time64Type&>(*array.type()).unit(), out);
      return true;
    default:
      return false;
  }
}

bool AppendText(const Array& array, int64_t i, std::string* out) {
  switch (array.type_id()) {
    case Type::STRING:
      AppendJsonString(static_cast<const arrow::StringArray&>(array).GetView(i), out);
      return true;
    case Type::LARGE_STRING:
      AppendJsonString(static_cast<const arrow::LargeStringArray&>(array).GetView(i), out);
      return true;
    case Type::STRING_VIEW:
      AppendJsonString(static_cast<const arrow::StringViewArray&>(array).GetView(i), out);
      return true;
    case Type::BINARY:
      AppendBytes(static_cast<const arrow::BinaryArray&>(array).GetView(i), out);
      return true;
    case Type::LARGE_BINARY:
      AppendBytes(static_cast<const arrow::LargeBinaryArray&>(array).GetView(i), out);
      return true;
    case Type::BINARY_VIEW:
      AppendBytes(static_cast<const arrow::BinaryViewArray&>(array).GetView(i), out);
      return true;
    case Type::FIXED_SIZE_BINARY:
      AppendBytes(static_cast<const arrow::FixedSizeBinaryArray&>(array).GetView(i), out);
      return true;
    default:
      return false;
  }
}

bool AppendDecimal(const Array& array, int64_t i, std::string* out) {
  switch (array.type_id()) {
    case Type::DECIMAL32:
      AppendQuoted(static_cast<const arrow::Decimal32Array&>(array).FormatValue(i), out);
      return true;
    case Type::DECIMAL64:
      AppendQuoted(static_cast<const arrow::Decimal64Array&>(array).FormatValue(i), out);
      return true;
    case Type::DECIMAL128:
      AppendQuoted(static_cast<const arrow::Decimal128Array&>(array).FormatValue(i), out);
      return true;
    case Type::DECIMAL256:
      AppendQuoted(static_cast<const arrow::Decimal256Array&>(array).FormatValue(i), out);
      return true;
    default:
      return false;
  }
}

bool AppendNested(const Array& array, int64_t i, int depth, const Out& out) {
  switch (array.type_id()) {
    case Type::LIST:
      AppendListOf<arrow::ListArray>(array, i, depth, out);
      return true;
    case Type::LARGE_LIST:
      AppendListOf<arrow::LargeListArray>(array, i, depth, out);
      return true;
    case Type::FIXED_SIZE_LIST:
      AppendListOf<arrow::FixedSizeListArray>(array, i, depth, out);
      return true;
    case Type::STRUCT:
      AppendStruct(array, i, depth, out);
      return true;
    case Type::MAP:
      AppendMap(array, i, depth, out);
      return true;
    case Type::DICTIONARY:
      AppendDictionary(array, i, depth, out);
      return true;
    case Type::EXTENSION:
      AppendValue(*static_cast<const arrow::ExtensionArray&>(array).storage(), i, depth, out);
      return true;
    default:
      return false;
  }
}

void AppendValue(const Array& array, int64_t i, int depth, const Out& out) {
  if (array.IsNull(i) || depth == kNestingMax) {
    out.text->append("null");
  } else if (array.type_id() == Type::BOOL) {
    out.text->append(static_cast<const arrow::BooleanArray&>(array).Value(i) ? "true" : "false");
  } else if (!AppendText(array, i, out.text) && !AppendNested(array, i, depth + 1, out) &&
             !AppendWhole(array, i, out.text) && !AppendFraction(array, i, out.text) &&
             !AppendDecimal(array, i, out.text) && !AppendTime(array, i, out.text)) {
    out.text->append("null");
  }
}

}  // namespace

Result<ColumnJson> ColumnJson::Make(const arrow::Schema& schema) {
  arrow::util::InitializeUTF8();
  ColumnJson columns;
  std::set<std::string> names;
  for (const auto& field : schema.fields()) {
    if (!names.insert(field->name()).second) {
      return InvalidArgument("it has two columns named '" + Shorten(field->name(), 100) + "'");
    }
    std::string key;
    AppendJsonString(field->name(), &key);
    columns.keys_.push_back(key + ":");
  }
  return columns;
}

bool ColumnJson::Append(const arrow::RecordBatch& batch, int64_t i, size_t bytes_max,
                        std::string* out) const {
  const Out place{out, out->size() + bytes_max};
  bool first = true;
  out->push_back('{');
  for (size_t c = 0; c < keys_.size() && !place.full(); ++c) {
    const Array& column = *batch.column(static_cast<int>(c));
    if (column.IsNull(i)) continue;
    if (!first) out->push_back(',');
    first = false;
    out->append(keys_[c]);
    AppendValue(column, i, 0, place);
  }
  out->push_back('}');
  return !place.full();
}

}  // namespace attune::datasets
