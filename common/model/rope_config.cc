#include "common/model/rope_config.h"

#include "common/safetensors/header.h"

namespace attune {
namespace {

using Json = nlohmann::json;

void ReadFields(FieldReader& fields, RopeConfig* rope, double* partial) {
  fields.Text("type", rope->type);
  fields.Text("rope_type", rope->type);
  fields.Number("rope_theta", rope->theta);
  fields.Number("partial_rotary_factor", *partial);
  fields.Number("factor", rope->factor);
  fields.Number("low_freq_factor", rope->low_freq_factor);
  fields.Number("high_freq_factor", rope->high_freq_factor);
  fields.Number("beta_fast", rope->beta_fast);
  fields.Number("beta_slow", rope->beta_slow);
  fields.Number("attention_factor", rope->attention_factor);
  fields.Number("mscale", rope->mscale);
  fields.Number("mscale_all_dim", rope->mscale_all_dim);
  fields.Flag("truncate", rope->truncate);
  fields.Integer("original_max_position_embeddings", rope->original_max_positions, 2,
                 int64_t{1} << 40);
  fields.Numbers("short_factor", rope->short_factors);
  fields.Numbers("long_factor", rope->long_factors);
  if (rope->beta_fast == 0) rope->beta_fast = 32;
  if (rope->beta_slow == 0) rope->beta_slow = 1;
}

void CheckLlama3(const RopeConfig& rope, FieldReader& fields) {
  for (const char* name : {"low_freq_factor", "high_freq_factor"}) {
    if (!fields.Has(name)) fields.Fail(name, "is missing, and llama3 needs it");
  }
  if (rope.low_freq_factor <= 0 || rope.high_freq_factor <= rope.low_freq_factor) {
    fields.Fail("high_freq_factor", "must be more than low_freq_factor, and that more than 0");
  }
}

void CheckLongrope(FieldReader& fields, RopeConfig* read) {
  RopeConfig& rope = *read;
  if (!fields.Has("factor")) {
    rope.factor =
        static_cast<double>(rope.max_positions) / static_cast<double>(rope.original_max_positions);
  }
  const auto wanted = static_cast<size_t>(rope.dim / 2);
  if (rope.short_factors.size() == wanted && rope.long_factors.size() == wanted) return;
  fields.Fail(rope.short_factors.size() == wanted ? "long_factor" : "short_factor",
              "must be a list of " + std::to_string(wanted) + " numbers above 0");
}

void Check(FieldReader& fields, RopeConfig* rope) {
  const bool scaled = rope->type == "linear" || rope->type == "dynamic" || rope->type == "llama3" ||
                      rope->type == "yarn";
  if (rope->type == "su") rope->type = "longrope";  // its name in the first Phi-3 files
  if (!scaled && rope->type != "default" && rope->type != "longrope") {
    fields.Fail("rope_type", QuotedName(rope->type) +
                                 " is not supported; supported: default, linear, dynamic, "
                                 "llama3, yarn, longrope");
  }
  const bool derived = rope->type == "yarn" && fields.object().contains("factor") &&
                       fields.object()["factor"].is_null();
  if (derived) {
    rope->factor = static_cast<double>(rope->max_positions) /
                   static_cast<double>(rope->original_max_positions);
  } else if (scaled && !fields.Has("factor")) {
    fields.Fail("factor", "is missing, and " + rope->type + " needs it");
  }
  if (rope->type == "llama3") CheckLlama3(*rope, fields);
  if (rope->beta_fast <= 0) fields.Fail("beta_fast", "must be more than 0");
  if (rope->beta_slow <= 0) fields.Fail("beta_slow", "must be more than 0");
  if (rope->factor <= 0) fields.Fail("factor", "must be more than 0");
  if (rope->theta <= 1) fields.Fail("rope_theta", "must be more than 1");
}

// transformers rounds down (int(head_dim * partial_rotary_factor)).
void SetDim(FieldReader& fields, double partial, int64_t head_dim, RopeConfig* rope) {
  if (!(partial > 0 && partial <= 1)) {
    return fields.Fail("partial_rotary_factor", "must be above 0 and at most 1");
  }
  rope->dim = static_cast<int64_t>(static_cast<double>(head_dim) * partial);
  if (rope->dim < 2 || rope->dim % 2 != 0) {
    fields.Fail("partial_rotary_factor", "leaves " + std::to_string(rope->dim) + " of " +
                                             std::to_string(head_dim) +
                                             " features to rotate, which must be even and not 0");
  }
}

Result<RopeConfig> Parse(const Json& object, const std::string& where, RopeConfig rope,
                         double partial, int64_t head_dim) {
  if (!object.is_object()) return InvalidArgument(where + " must be an object");
  FieldReader fields(object, where);
  ReadFields(fields, &rope, &partial);
  Check(fields, &rope);
  SetDim(fields, partial, head_dim, &rope);
  if (rope.type == "longrope") CheckLongrope(fields, &rope);
  ATTUNE_RETURN_IF_ERROR(fields.status());
  return rope;
}

}  // namespace

// Older files have rope_theta beside rope_scaling; transformers 5 writes both into rope_parameters.
Result<RopeConfig> ParseRope(const FieldReader& root, double theta, int64_t head_dim,
                             int64_t max_positions) {
  constexpr const char* kOriginal = "original_max_position_embeddings";
  RopeConfig rope;
  rope.theta = theta;
  rope.max_positions = rope.original_max_positions = max_positions;
  FieldReader top(root.object(), root.where());
  double partial = 1;
  top.Number("rope_theta", rope.theta);
  top.Number("partial_rotary_factor", partial);
  ATTUNE_RETURN_IF_ERROR(top.status());
  const char* key = top.Has("rope_scaling") ? "rope_scaling" : "rope_parameters";
  Json object = top.Has(key) ? root.object()[key] : Json::object();
  // What stands outside wins in transformers, too.
  if (top.Has(kOriginal) && object.is_object()) object[kOriginal] = root.object()[kOriginal];
  auto parsed = Parse(object, root.where() + ": " + key, rope, partial, head_dim);
  if (parsed.ok() || !parsed.status().field().empty()) return parsed;
  return Status(parsed.status()).WithField(key);
}

Result<RopeConfig> ParseRopeObject(const Json& object, const std::string& where,
                                   const RopeConfig& defaults, int64_t head_dim) {
  return Parse(object, where, defaults, 1, head_dim);
}

}  // namespace attune
