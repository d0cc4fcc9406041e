#include <algorithm>
#include <filesystem>
#include <iterator>

#include "common/base/files.h"
#include "common/spec/json.h"
#include "tools/cli/answer_stream.h"
#include "tools/cli/handlers.h"
#include "tools/cli/moved_view.h"
#include "tools/cli/task_job.h"

namespace attune::cli {
namespace {

constexpr size_t kPromptsMost = 6 << 20;  // one request must hold them

// Keys keep their order: chat templates print them.
Result<v1::GeneratePrompt> ParsePrompt(std::string_view line) {
  using Json = nlohmann::ordered_json;
  const auto json = Json::parse(line, nullptr, false);
  auto at = [&](const char* key) { return json.is_object() ? json.value(key, Json()) : Json(); };
  v1::GeneratePrompt prompt;
  if (json.is_string()) {
    prompt.set_text(json.get<std::string>());
  } else if (at("prompt").is_string()) {
    prompt.set_text(at("prompt").get<std::string>());
  } else if (at("messages").is_array()) {
    prompt.set_messages(at("messages").dump());
    if (at("tools").is_array()) prompt.set_tools(at("tools").dump());
  } else {
    return InvalidArgument(
        "not a prompt: write {\"prompt\": \"...\"}, {\"messages\": [...]} or a JSON string on each "
        "line");
  }
  if (at("adapter").is_string()) {
    prompt.set_adapter(at("adapter").get<std::string>());
  } else if (!at("adapter").is_null()) {
    return InvalidArgument("adapter must be the name of a model");
  }
  return prompt;
}

using Prompts = std::vector<v1::GeneratePrompt>;

Result<Prompts> ParsePrompts(const std::string& text, const std::string& name) {
  Prompts prompts;
  std::string_view rest = text;
  for (int number = 1; !rest.empty(); ++number) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    auto prompt = ParsePrompt(line);
    if (!prompt.ok()) return prompt.status().WithContext(name + ":" + std::to_string(number));
    prompts.push_back(std::move(*prompt));
  }
  return prompts;
}

// Each prompt that names no adapter, for each of these.
Prompts ForAdapters(const Prompts& prompts, const std::vector<std::string>& adapters) {
  Prompts all;
  for (const v1::GeneratePrompt& prompt : prompts) {
    if (adapters.empty() || !prompt.adapter().empty()) {
      all.push_back(prompt);
      continue;
    }
    for (const std::string& adapter : adapters) {
      all.emplace_back(prompt).set_adapter(adapter);
    }
  }
  return all;
}

Result<Prompts> CollectPrompts(Session& session, const Arguments& arguments) {
  Prompts prompts;
  for (const std::string& text : arguments.All("--prompt")) prompts.emplace_back().set_text(text);
  if (std::string file = arguments.Get("--prompts"); !file.empty()) {
    std::string text, name = file == "-" ? "standard input" : file;
    if (file == "-") {
      text.assign(std::istreambuf_iterator<char>(*session.io().in),
                  std::istreambuf_iterator<char>());
    } else {
      ATTUNE_ASSIGN_OR_RETURN(text, ReadFile(file));
    }
    ATTUNE_ASSIGN_OR_RETURN(auto more, ParsePrompts(text, name));
    prompts.insert(prompts.end(), more.begin(), more.end());
  }
  if (prompts.empty()) return InvalidArgument("no prompt: give --prompt TEXT or --prompts FILE");
  prompts = ForAdapters(prompts, arguments.All("--adapter"));
  size_t bytes = 0;
  for (const v1::GeneratePrompt& prompt : prompts) bytes += prompt.ByteSizeLong();
  if (bytes > kPromptsMost) return InvalidArgument("the prompts are larger than 6 MiB: split them");
  return prompts;
}

// The prompt, or what the conversation said last.
std::string Question(const nlohmann::ordered_json& answer) {
  const auto messages = answer.value("messages", nlohmann::ordered_json::array());
  if (!messages.is_array() || messages.empty()) return answer.value("prompt", "");
  const auto& last = messages.back();
  const auto content = last.is_object() && last.contains("content") ? last["content"] : last;
  return content.is_string() ? content.get<std::string>() : content.dump();
}

// What was asked, for a person, and of whom, where there are several.
std::string Asked(const nlohmann::ordered_json& answer) {
  const std::string model = answer.value("model", "");
  return (model.empty() ? "" : model + ": ") + Question(answer);
}

void PrintAnswers(Session& session, const std::string& output) {
  std::vector<nlohmann::ordered_json> answers;
  std::string_view rest = output;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    auto json = nlohmann::ordered_json::parse(line, nullptr, false);
    if (json.is_object()) answers.push_back(std::move(json));
  }
  std::vector<std::string> names;
  for (const auto& answer : answers) names.push_back(answer.value("text", ""));
  if (!session.printer().human()) {
    session.printer().List(answers, names, Table({}), "");
    return;
  }
  bool color = session.printer().color();
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers.size() > 1) {
      session.printer().out() << (i > 0 ? "\n" : "")
                              << Paint("> " + Asked(answers[i]), Style::kDim, color) << "\n";
    }
    session.printer().out() << names[i] << "\n";
  }
}

Result<int> StreamAnswers(Session& session, v1::SubmitJobRequest request) {
  v1::GenerateRequest* generate = request.mutable_task()->mutable_generate();
  generate->set_stream(true);
  const bool several = std::ranges::any_of(
      generate->inputs(), [](const v1::GeneratePrompt& p) { return !p.adapter().empty(); });
  std::vector<std::string> asked;
  for (const v1::GeneratePrompt& prompt : generate->inputs()) {
    nlohmann::ordered_json json = {{"prompt", prompt.text()}};
    if (several) json["model"] = prompt.adapter().empty() ? generate->model() : prompt.adapter();
    if (!prompt.messages().empty()) {
      json["messages"] = nlohmann::ordered_json::parse(prompt.messages(), nullptr, false);
    }
    asked.push_back(Asked(json));
  }
  AnswerStream answers(&session, std::move(asked));
  const auto job =
      StreamTaskJob(session, std::move(request),
                    {.take = [&](const v1::OutputChunk& chunk) { answers.Take(chunk); },
                     .go_on = [&](v1::ReadOutputRequest* read) { answers.GoOn(read); }});
  answers.End();
  ATTUNE_RETURN_IF_ERROR(job.status());
  if (answers.complete()) return kExitOk;
  return Internal("the output of " + job->id() +
                  " ended before all answers were there: leave --stream out, and give -o jsonl, if "
                  "the coordinator is older than this command");
}

}  // namespace

Result<int> RunModelGenerate(Session& session, const Arguments& arguments) {
  v1::SubmitJobRequest request;
  request.set_kind(v1::Job::GENERATE);
  v1::GenerateRequest* generate = request.mutable_task()->mutable_generate();
  ATTUNE_ASSIGN_OR_RETURN(auto prompts, CollectPrompts(session, arguments));
  for (v1::GeneratePrompt& prompt : prompts) *generate->add_inputs() = std::move(prompt);
  generate->set_system(arguments.Get("--system"));
  generate->set_precision(arguments.Get("--precision"));
  generate->set_model(arguments.Get("MODEL"));
  generate->set_max_tokens(static_cast<uint32_t>(arguments.Number("--max-tokens")));
  generate->set_temperature(arguments.Number("--temperature"));
  const uint64_t top_k = arguments.Whole("--top-k");
  if (top_k > INT32_MAX) return InvalidArgument("--top-k must be at most 2147483647");
  generate->set_top_k(static_cast<uint32_t>(top_k));
  generate->set_top_p(arguments.Number("--top-p"));
  generate->set_seed(arguments.Whole("--seed"));
  generate->set_raw(arguments.Has("--raw"));
  if (generate->max_tokens() == 0) return InvalidArgument("--max-tokens must be at least 1");
  if (!(generate->temperature() >= 0)) return InvalidArgument("--temperature must be 0 or more");
  if (!(generate->top_p() > 0 && generate->top_p() <= 1))
    return InvalidArgument("--top-p must be above 0, at most 1");
  const uint64_t batch = arguments.Whole("--batch");
  if (batch == 0 || batch > INT32_MAX) return InvalidArgument("--batch must be at least 1");
  generate->set_batch(static_cast<uint32_t>(batch));
  for (const std::string& stop : arguments.All("--stop")) generate->add_stop(stop);
  const bool watched = session.printer().human() && session.io().out_is_terminal;
  if (arguments.Has("--stream") && !session.printer().human()) {
    return InvalidArgument("--stream shows answers to a person: leave out -o");
  }
  if (watched || arguments.Has("--stream")) return StreamAnswers(session, std::move(request));
  ATTUNE_ASSIGN_OR_RETURN(std::string output, RunTaskJob(session, std::move(request)));
  PrintAnswers(session, output);
  return kExitOk;
}

Result<int> RunModelExport(Session& session, const Arguments& arguments) {
  namespace fs = std::filesystem;
  fs::path folder = fs::absolute(arguments.Get("FOLDER")).lexically_normal();
  std::error_code error;
  if (fs::exists(folder, error) &&
      !(fs::is_directory(folder, error) && fs::is_empty(folder, error))) {
    return AlreadyExists(folder.string() + " exists and is not an empty folder: choose another");
  }
  v1::SubmitJobRequest request;
  request.set_kind(v1::Job::EXPORT);
  v1::ExportRequest* task = request.mutable_task()->mutable_export_();
  task->set_model(arguments.Get("MODEL"));
  task->set_folder(folder);
  task->set_merge(arguments.Has("--merge"));
  task->set_dtype(arguments.Get("--dtype"));
  auto output = RunTaskJob(session, std::move(request));
  if (!output.ok()) return output.status();
  nlohmann::ordered_json json = {{"model", arguments.Get("MODEL")}, {"folder", folder.string()}};
  const auto report = nlohmann::ordered_json::parse(*output, nullptr, false);
  if (report.is_object()) json.update(report);
  if (json.contains("dtype")) session.Say("weights written as " + json.value("dtype", ""));
  if (json.contains("note")) session.Say(json.value("note", ""));
  if (json.contains("moved")) session.Say(MovedLine(json["moved"]));
  session.printer().Object(json, folder, folder.string() + "\n");
  return kExitOk;
}

}  // namespace attune::cli
