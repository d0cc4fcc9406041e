#include "common/spec/schedule_spec.h"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/scoring/metrics.h"
#include "common/spec/job_spec.h"
#include "common/spec/schedule_check.h"
#include "common/yaml/problems.h"
#include "common/yaml/reader.h"

namespace attune::spec {
namespace {

using yaml::Entry;
using yaml::Node;
using yaml::Reader;
using Json = nlohmann::ordered_json;

constexpr uint32_t kSmokeTokens = 128;

// The node that a path such as "gates.goals[1].min" leads to, or the last one on the way. An index
// into a map is its entry of that number; into anything else, the thing itself.
const Node* Walk(const Node& root, std::string_view path) {
  const Node* at = &root;
  while (!path.empty()) {
    if (path[0] == '[') {
      size_t index = 0;
      size_t close = path.find(']');
      if (close == path.npos) return at;
      std::from_chars(path.data() + 1, path.data() + close, index);
      path.remove_prefix(close + 1);
      if (at->kind == Node::Kind::kSequence && index < at->items.size()) at = &at->items[index];
      bool named = at->kind == Node::Kind::kMap && at->Find("dataset") == nullptr;
      if (named && index < at->entries.size()) at = &at->entries[index].value;
    } else {
      if (path[0] == '.') path.remove_prefix(1);
      size_t end = std::min(path.find_first_of(".["), path.size());
      const Entry* entry = at->Find(path.substr(0, end));
      if (entry == nullptr) return at;
      at = &entry->value;
      path.remove_prefix(end);
    }
  }
  return at;
}

Json ToJson(const Node& node) {
  if (node.kind == Node::Kind::kSequence) {
    Json list = Json::array();
    for (const Node& item : node.items) list.push_back(ToJson(item));
    return list;
  }
  if (node.kind == Node::Kind::kMap) {
    Json map = Json::object();
    for (const Entry& entry : node.entries) map[entry.key] = ToJson(entry.value);
    return map;
  }
  if (node.kind == Node::Kind::kNull) return nullptr;
  bool flag = false;
  double number = 0;
  int64_t whole = 0;
  if (yaml::Convert(node, &flag).empty()) return flag;
  if (yaml::Convert(node, &whole).empty()) return whole;
  if (yaml::Convert(node, &number).empty()) return number;
  return node.scalar;
}

// "1GB", "500 MB", "64KiB" or a number of bytes; "" or what it must be instead.
std::string ConvertBytes(const Node& node, uint64_t* out) {
  static constexpr struct {
    const char* unit;
    double factor;
  } kUnits[] = {
      {"", 1},      {"B", 1},      {"KB", 1e3},      {"MB", 1e6},         {"GB", 1e9},
      {"TB", 1e12}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {"TiB", 1099511627776.0}};
  if (node.kind == Node::Kind::kScalar) {
    double value = 0;
    const char* end = node.scalar.data() + node.scalar.size();
    auto [stop, error] = std::from_chars(node.scalar.data(), end, value);
    while (error == std::errc() && stop != end && *stop == ' ') ++stop;
    for (const auto& [unit, factor] : kUnits) {
      if (error != std::errc() || std::string_view(stop, end) != unit) continue;
      double bytes = value * factor;
      if (!(bytes >= 0 && bytes <= 1e18)) break;
      *out = static_cast<uint64_t>(std::llround(bytes));
      return "";
    }
  }
  return "a size such as 500MB or 1GB, not " + node.Describe();
}

class Parser {
 public:
  Parser(const yaml::Document& document, const ReadText& read)
      : document_(document),
        read_(read),
        folder_(std::filesystem::path(document.source().name).parent_path()) {}

  Result<v1::ScheduleSpec> Run() {
    Reader top(document_);
    top.Required("name", spec_.mutable_name());
    spec_.set_start_from("champion");
    top.Optional("start_from", spec_.mutable_start_from(), yaml::OneOf{{"champion", "base"}});
    ReadTrigger(top);
    top.Section("data", [this](Reader& data) { ReadData(data); });
    spec_.mutable_data();
    ReadGates(top);
    ReadPromote(top);
    ReadLimits(top);
    const Node* job = top.Find("job");
    if (job == nullptr) {
      top.Fail("job",
               "missing key 'job', which is required: a job spec's file, or the spec itself");
    }
    Status schedule = top.Finish();
    Status of_job = job == nullptr ? Status() : ReadJob(*job);
    if (schedule.ok() && of_job.ok()) {
      FillIn();
      schedule = Check();
    }
    if (schedule.ok() && of_job.ok()) return std::move(spec_);
    if (schedule.ok()) return of_job;
    if (of_job.ok()) return schedule;
    return InvalidArgument(schedule.message() + "\n" + of_job.message())
        .WithField(schedule.field());
  }

 private:
  static void ReadSeconds(Reader& reader, const char* key, double* seconds) {
    std::chrono::milliseconds read{};
    if (reader.Optional(key, &read)) *seconds = static_cast<double>(read.count()) * 1e-3;
  }

  void ReadTrigger(Reader& top) {
    v1::TriggerSpec* trigger = spec_.mutable_trigger();
    trigger->set_timezone("UTC");
    trigger->mutable_quality();
    top.Section("trigger", [&](Reader& reader) {
      reader.Optional("cron", trigger->mutable_cron());
      reader.Optional("timezone", trigger->mutable_timezone());
      double jitter = 0;
      ReadSeconds(reader, "jitter", &jitter);
      trigger->set_jitter_seconds(jitter);
      bool drift = false;
      reader.Optional("drift", &drift);
      trigger->set_drift(drift);
      uint64_t examples = 0;
      reader.Optional("new_examples", &examples);
      trigger->set_new_examples(examples);
      reader.Section("quality", [&](Reader& quality) {
        double increase = 0;
        quality.Required("live_loss_increase", &increase);
        trigger->mutable_quality()->set_live_loss_increase(increase);
      });
    });
  }

  void ReadData(Reader& reader) {
    v1::DataSpec* data = spec_.mutable_data();
    reader.Optional("observe", data->mutable_observe());
    auto read = [&](Reader& item) {
      v1::ReplaySpec* replay = data->add_replay();
      double share = 0;
      item.Required("dataset", replay->mutable_dataset());
      item.Required("share", &share);
      replay->set_share(share);
    };
    const Node* replay = reader.Find("replay");
    if (replay == nullptr) return;
    if (replay->kind == Node::Kind::kMap) {
      reader.Section("replay", read);
    } else {
      reader.Sections("replay", read);
    }
  }

  // What a metric needs beside its name. name_is_key: the metric is the section's own key, so
  // "name" is free for the judge's.
  void ReadMetric(Reader& reader, const std::string& name, v1::MetricSpec* metric,
                  const char* judge_key) {
    metric->set_name(scoring::MetricOf(name));
    if (name == "regex") reader.Optional("pattern", metric->mutable_pattern());
    if (name == "judge") reader.Optional(judge_key, metric->mutable_judge());
    if (name == "json_schema") ReadSchema(reader, metric);
    if (scoring::KindOfMetric(name) == scoring::MetricKind::kLabels) {
      std::vector<std::string> labels;
      reader.Optional("labels", &labels);
      for (std::string& label : labels) metric->add_labels(std::move(label));
    }
  }

  // A schema written in the spec, or the file that has it.
  void ReadSchema(Reader& reader, v1::MetricSpec* metric) {
    const Node* schema = reader.Find("schema");
    if (schema == nullptr) return;
    if (schema->kind == Node::Kind::kMap) {
      metric->set_schema(ToJson(*schema).dump());
      return;
    }
    std::string path;
    if (!reader.Optional("schema", &path)) return;
    if (path.starts_with("{")) {
      metric->set_schema(path);
      return;
    }
    auto text = read_(folder_ / path);
    if (!text.ok()) return reader.Fail("schema", "schema: " + text.status().message());
    metric->set_schema(std::move(*text));
  }

  void ReadGoal(Reader& reader, const std::string& name) {
    v1::Goal* goal = spec_.mutable_gates()->add_goals();
    ReadMetric(reader, name, goal->mutable_metric(), "name");
    double bound = 0, confidence = kConfidence;
    if (reader.Optional("min", &bound)) goal->set_min(bound);
    if (reader.Optional("max", &bound)) goal->set_max(bound);
    reader.Optional("confidence", &confidence);
    goal->set_confidence(confidence);
    reader.Section("slice", [&](Reader& slice) {
      for (const std::string& key : slice.Keys()) {
        if (slice.Keys().size() > 1) slice.Fail(key, "slice must be one key with its value");
        goal->set_slice_key(key);
        slice.Optional(key, goal->mutable_slice_value());
      }
    });
  }

  // {metric: {...}}, or a list of {metric: name, ...} when one metric has several goals.
  void ReadGoals(Reader& gates) {
    const Node* goals = gates.Find("goals");
    if (goals == nullptr) return;
    if (goals->kind == Node::Kind::kSequence) {
      gates.Sections("goals", [&](Reader& goal) {
        std::string name;
        goal.Required("metric", &name);
        ReadGoal(goal, name);
      });
      return;
    }
    gates.Section("goals", [&](Reader& section) {
      for (const std::string& name : section.Keys()) {
        section.Section(name, [&](Reader& goal) { ReadGoal(goal, name); });
      }
    });
  }

  void ReadRetention(Reader& reader) {
    v1::Retention* retention = spec_.mutable_gates()->add_retention();
    std::string metric = "validation_loss";
    double budget = 0.02, confidence = kConfidence;
    bool relative = false;
    retention->set_split("validation");
    if (reader.Required("dataset", retention->mutable_dataset())) {
      const std::string& dataset = retention->dataset();
      retention->set_name(dataset == kChampionData ? "champion"
                                                   : dataset.substr(0, dataset.find('@')));
    }
    reader.Optional("name", retention->mutable_name());
    reader.Optional("split", retention->mutable_split(), yaml::OneOf{{"validation", "train"}});
    reader.Optional("metric", &metric);
    ReadMetric(reader, metric, retention->mutable_metric(), "judge");
    reader.Optional("budget", &budget);
    reader.Optional("confidence", &confidence);
    reader.Optional("relative", &relative);
    retention->set_budget(budget);
    retention->set_confidence(confidence);
    retention->set_relative(relative);
  }

  void ReadChampion(Reader& reader, v1::ChampionGate* champion) {
    std::string metric = "validation_loss";
    double margin = 0, confidence = kConfidence;
    bool required = true;
    reader.Optional("required", &required);
    reader.Optional("metric", &metric);
    ReadMetric(reader, metric, champion->mutable_metric(), "judge");
    reader.Optional("margin", &margin);
    reader.Optional("confidence", &confidence);
    champion->set_margin(margin);
    champion->set_confidence(confidence);
    champion->set_required(required);
  }

  void ReadArtifactLimits(Reader& reader, v1::ArtifactLimits* limits) {
    if (const Node* bytes = reader.Find("bytes")) {
      uint64_t max = 0;
      std::string wrong = ConvertBytes(*bytes, &max);
      if (!wrong.empty()) reader.Fail("bytes", "gates.limits.bytes must be " + wrong);
      limits->set_bytes_max(max);
    }
    double first_token = 0, rate = 0;
    ReadSeconds(reader, "first_token", &first_token);
    reader.Optional("tokens_per_second", &rate);
    limits->set_first_token_seconds_max(first_token);
    limits->set_tokens_per_second_min(rate);
  }

  void ReadGates(Reader& top) {
    v1::GatesSpec* gates = spec_.mutable_gates();
    v1::ChampionGate* champion = gates->mutable_champion();
    champion->mutable_metric()->set_name("loss");
    champion->set_confidence(kConfidence);
    champion->set_required(true);
    gates->mutable_limits();
    gates->set_max_examples(kSuiteExamples);
    gates->set_seed(1);
    top.Section("gates", [&](Reader& reader) {
      ReadGoals(reader);
      reader.Section("champion", [&](Reader& section) { ReadChampion(section, champion); });
      reader.Sections("retention", [&](Reader& item) { ReadRetention(item); });
      reader.Sections("smoke", [&](Reader& item) {
        v1::SmokePrompt* smoke = gates->add_smoke();
        uint32_t tokens = kSmokeTokens;
        item.Required("prompt", smoke->mutable_prompt());
        item.Optional("must_match", smoke->mutable_must_match());
        item.Optional("must_not_match", smoke->mutable_must_not_match());
        item.Optional("max_tokens", &tokens);
        smoke->set_max_tokens(tokens);
      });
      reader.Section(
          "limits", [&](Reader& section) { ReadArtifactLimits(section, gates->mutable_limits()); });
      std::vector<std::string> slices;
      uint32_t examples = kSuiteExamples;
      uint64_t seed = 1;
      reader.Optional("dtype", gates->mutable_dtype(),
                      yaml::OneOf{{"float32", "bfloat16", "float16"}});
      reader.Optional("slices", &slices);
      reader.Optional("max_examples", &examples);
      reader.Optional("seed", &seed);
      for (std::string& slice : slices) gates->add_slices(std::move(slice));
      gates->set_max_examples(examples);
      gates->set_seed(seed);
    });
  }

  void ReadPromote(Reader& top) {
    v1::PromoteSpec* promote = spec_.mutable_promote();
    promote->set_alias("champion");
    promote->mutable_rollback();
    top.Section("promote", [&](Reader& reader) {
      bool manual = false;
      reader.Optional("model", promote->mutable_model());
      reader.Optional("alias", promote->mutable_alias());
      reader.Optional("manual", &manual);
      promote->set_manual(manual);
      reader.Section("rollback", [&](Reader& section) {
        double increase = 0.1, confidence = kConfidence;
        uint32_t windows = 3;
        section.Optional("live_loss_increase", &increase);
        section.Optional("confidence", &confidence);
        section.Optional("windows", &windows);
        promote->mutable_rollback()->set_live_loss_increase(increase);
        promote->mutable_rollback()->set_confidence(confidence);
        promote->mutable_rollback()->set_windows(windows);
      });
    });
  }

  void ReadLimits(Reader& top) {
    v1::LimitsSpec* limits = spec_.mutable_limits();
    limits->set_overlap("skip");
    limits->set_catch_up("latest");
    top.Section("limits", [&](Reader& reader) {
      double hours = 0, cool_down = 0;
      reader.Optional("gpu_hours_per_week", &hours);
      ReadSeconds(reader, "cool_down", &cool_down);
      reader.Optional("overlap", limits->mutable_overlap(), yaml::OneOf{{"skip", "queue"}});
      reader.Optional("catch_up", limits->mutable_catch_up(), yaml::OneOf{{"latest", "none"}});
      limits->set_gpu_hours_per_week(hours);
      limits->set_cool_down_seconds(cool_down);
      reader.Sections("blackouts", [&](Reader& item) {
        v1::Blackout* blackout = limits->add_blackouts();
        std::chrono::milliseconds length{};
        item.Required("cron", blackout->mutable_cron());
        if (item.Required("for", &length)) {
          blackout->set_seconds(static_cast<double>(length.count()) * 1e-3);
        }
      });
    });
  }

  Status ReadJob(const Node& node) {
    auto at_job = [](const Status& status) {
      std::string field = status.field().empty() ? "job" : "job." + status.field();
      return Status(status.code(), status.message()).WithField(field);
    };
    Result<v1::JobSpec> job = Status(StatusCode::kInternal, "unread");
    if (node.kind == Node::Kind::kScalar) {
      const std::filesystem::path path = folder_ / node.scalar;
      auto text = read_(path);
      if (!text.ok()) return Problem(node, "job", "job: " + text.status().message());
      job = ParseJobSpec(std::move(*text), path.string());
    } else {
      job = ParseJobSpec(node);
    }
    if (!job.ok()) return at_job(job.status());
    *spec_.mutable_job() = std::move(*job);
    return Status();
  }

  static Status Problem(const Node& node, const std::string& path, const std::string& message) {
    yaml::Problems problems;
    problems.Add(node.position, path, message);
    return problems.ToStatus();
  }

  void FillIn() {
    if (spec_.promote().model().empty()) {
      spec_.mutable_promote()->set_model(spec_.job().register_().model());
    }
    // What becomes of the job is the schedule's.
    spec_.mutable_job()->mutable_register_()->set_model(spec_.promote().model());
  }

  Status Check() {
    yaml::Problems problems;
    CheckScheduleSpec(spec_, [&](const std::string& path, const std::string& message) {
      problems.Add(Walk(document_.root(), path)->position, path, message);
    });
    return problems.ToStatus();
  }

  const yaml::Document& document_;
  const ReadText& read_;
  const std::filesystem::path folder_;
  v1::ScheduleSpec spec_;
};

}  // namespace

Result<v1::ScheduleSpec> ParseScheduleSpec(std::string text, const std::string& name,
                                           const ReadText& read) {
  ATTUNE_ASSIGN_OR_RETURN(yaml::Document document, yaml::Parse(std::move(text), name));
  return Parser(document, read).Run();
}

Status ShowInText(const Status& error, std::string text, const std::string& name) {
  auto document = yaml::Parse(std::move(text), name);
  if (error.ok() || error.field().empty() || !document.ok()) return error;
  yaml::Problems problems;
  problems.Add(Walk(document->root(), error.field())->position, error.field(), error.message());
  Status shown = problems.ToStatus();
  return Status(error.code(), shown.message()).WithField(error.field());
}

}  // namespace attune::spec
