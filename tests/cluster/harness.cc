#include "tests/cluster/harness.h"

#include <unistd.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

#include "common/base/hash.h"

namespace attune::cluster {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::milliseconds kPollInterval{50};
constexpr size_t kLogBytesShown = 8000;

std::string ReadAll(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

void ShowLogs(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    if (entry.path().extension() != ".log") continue;
    std::string text = ReadAll(entry.path());
    if (text.size() > kLogBytesShown) text = "..." + text.substr(text.size() - kLogBytesShown);
    std::cerr << "==== " << entry.path().string() << "\n" << text << "\n";
  }
}

}  // namespace

// A small machine: a thread a rank, and no configuration of the person who runs the test. Daemons
// end with this process, even when it is killed.
Cluster::Cluster()
    : home_(fs::temp_directory_path() / NewId("attune-cluster")),
      variables_{{"HOME", home_.string()},
                 {"ATTUNE_HOME", home_.string()},
                 {"OMP_NUM_THREADS", "1"},
                 {"ATTUNE_EXIT_WITH", std::to_string(getpid())}} {
  AdoptOrphans();
  fs::create_directories(home_);
}

Cluster::~Cluster() {
  KillDescendants();
  if (::testing::Test::HasFailure()) ShowLogs(home_);
  std::error_code error;
  fs::remove_all(home_, error);
}

fs::path Cluster::Write(const std::string& file, const std::string& content) const {
  fs::create_directories((home_ / file).parent_path());
  std::ofstream(home_ / file, std::ios::binary) << content;
  return home_ / file;
}

std::string Cluster::Read(const std::string& file) const {
  return ReadAll(home_ / file);
}

void Cluster::Use(const std::map<std::string, std::string>& variables) {
  for (const auto& [name, value] : variables) variables_[name] = value;
}

Finished Cluster::Attune(std::vector<std::string> arguments, seconds timeout) const {
  arguments.insert(arguments.begin(), std::string(ATTUNE_BIN_DIR) + "/attune");
  return Run(arguments, variables_, timeout);
}

pid_t Cluster::StartAttune(std::vector<std::string> arguments, const std::string& file) const {
  const std::vector<std::string> shell = {"/bin/bash", "-c", "exec \"$@\" 2> \"$0\"",
                                          (home_ / (file + ".err")).string(),
                                          std::string(ATTUNE_BIN_DIR) + "/attune"};
  arguments.insert(arguments.begin(), shell.begin(), shell.end());
  return Start(arguments, variables_, home_ / file);
}

Finished Cluster::Shell(const std::string& folder, const std::string& line, seconds timeout) const {
  const std::string script = "cd \"$0\" && PATH=\"$1:$PATH\"\n" + line + "\n";
  return Run({"/bin/bash", "-ec", script, (home_ / folder).string(), ATTUNE_BIN_DIR}, variables_,
             timeout);
}

Json Cluster::AttuneJson(std::vector<std::string> arguments) const {
  arguments.insert(arguments.end(), {"-o", "json"});
  Finished finished = Attune(arguments);
  EXPECT_EQ(finished.exit_code, 0)
      << "attune " << arguments[0] << " " << arguments[1] << ": " << finished.out << finished.err;
  Json json = Json::parse(finished.out, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << finished.out;
  return json.is_discarded() ? Json::object() : json;
}

std::vector<Json> Cluster::AttuneLines(std::vector<std::string> arguments) const {
  arguments.insert(arguments.end(), {"-o", "jsonl"});
  Finished finished = Attune(arguments);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  std::vector<Json> lines;
  for (size_t at = 0; at < finished.out.size();) {
    size_t end = std::min(finished.out.find('\n', at), finished.out.size());
    lines.push_back(Json::parse(finished.out.substr(at, end - at), nullptr, false));
    EXPECT_FALSE(lines.back().is_discarded()) << finished.out.substr(at, end - at);
    at = end + 1;
  }
  return lines;
}

void Cluster::Up(int workers) {
  Finished up = Attune({"up", "--workers", std::to_string(workers), "--port", "0", "--metrics-port",
                        "0", "--device", "cpu"});
  ASSERT_EQ(up.exit_code, 0) << up.out << up.err;
}

void Cluster::UpAgain() {
  Finished up = Attune({"up"});
  ASSERT_EQ(up.exit_code, 0) << up.out << up.err;
}

pid_t Cluster::StartCoordinator(const std::string& config) const {
  return Start(
      {std::string(ATTUNE_BIN_DIR) + "/attune-coordinator", "--config", (home_ / config).string()},
      variables_, home_ / "logs/coordinator.log");
}

void Cluster::RestartCoordinator(const std::string& more) const {
  Kill(Pid("coordinator"));
  Write("again.yaml", Read("coordinator.yaml") + more);
  StartCoordinator("again.yaml");
  ASSERT_TRUE(Eventually([&] { return Attune({"job", "list"}).exit_code == 0; }));
}

pid_t Cluster::Pid(const std::string& daemon) const {
  pid_t pid = std::atoi(Read("run/" + daemon + ".pid").c_str());
  return pid > 0 && IsAlive(pid) ? pid : 0;
}

std::vector<pid_t> Cluster::Trainers(const std::string& worker) const {
  return DescendantsNamed(worker.empty() ? getpid() : Pid(worker), "attune-trainer");
}

void Cluster::Kill(pid_t pid) const {
  ASSERT_GT(pid, 1);
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] { return !IsAlive(pid); }));
}

void Cluster::ImportTiny() const {
  fs::path folder = home_ / "in/tiny";
  ASSERT_TRUE(testing::WriteTinyLlama(folder).ok());
  Finished model = Attune({"model", "import", "tiny", folder.string()});
  ASSERT_EQ(model.exit_code, 0) << model.err;
  Finished data =
      Attune({"dataset", "import", "docs", Write("in/docs.jsonl", TextRows(300)).string()});
  ASSERT_EQ(data.exit_code, 0) << data.err;
}

std::string Cluster::Submit(const std::string& spec) const {
  static int number = 0;
  fs::path file = Write("in/job-" + std::to_string(++number) + ".yaml", spec);
  Json job = AttuneJson({"job", "submit", file.string()});
  EXPECT_TRUE(job.contains("id"));
  return job.value("id", "");
}

Json Cluster::Show(const std::string& job) const {
  return AttuneJson({"job", "show", job});
}

Json Cluster::WaitFor(const std::string& job, const std::function<bool(const Json&)>& condition,
                      seconds patience) const {
  Json shown;
  bool held = false;
  Eventually(
      [&] {
        shown = Show(job);
        held = condition(shown);
        return held || IsFinal(shown);
      },
      patience);
  EXPECT_TRUE(held) << shown.dump(1);
  return shown;
}

Json Cluster::WaitForStep(const std::string& job, int step) const {
  return WaitFor(job, [&](const Json& shown) { return shown.value("step", 0) >= step; });
}

Json Cluster::WaitForEnd(const std::string& job, seconds patience) const {
  return WaitFor(job, IsFinal, patience);
}

std::map<int, double> Cluster::Losses(const std::string& job) const {
  std::map<int, double> losses;
  for (const Json& line : AttuneLines({"job", "metrics", job})) {
    if (line.contains("loss")) losses[line["step"]] = line["loss"];
  }
  return losses;
}

std::map<int, double> Cluster::ValidationLosses(const std::string& job) const {
  std::map<int, double> losses;
  for (const Json& line : AttuneLines({"job", "metrics", job})) {
    if (line.contains("validation_loss")) losses[line["step"]] = line["validation_loss"];
  }
  return losses;
}

bool IsFinal(const Json& job) {
  std::string state = job.value("state", "");
  return state == "SUCCEEDED" || state == "FAILED" || state == "CANCELLED";
}

bool Eventually(const std::function<bool()>& condition, seconds patience) {
  auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(kPollInterval);
  }
  return true;
}

std::string Spec(const std::string& name, int ranks, int steps, const std::string& more) {
  return "name: " + name +
         "\nbase: tiny\ndataset: docs\nmethod: full\nranks: " + std::to_string(ranks) +
         "\ntrain: {epochs: 1000, max_steps: " + std::to_string(steps) +
         ", sequence_length: 64, global_batch: 4, micro_batch: 1, precision: float32, seed: 7, "
         "threads: 1}\n" +
         more;
}

std::string TextRows(int count) {
  std::string rows;
  for (int i = 0; i < count; ++i) {
    rows += "{\"prompt\":\"What is " + std::to_string(i) + " plus " + std::to_string(i % 7) +
            "?\",\"completion\":\"It is " + std::to_string(i + i % 7) + ".\"}\n";
  }
  return rows;
}

}  // namespace attune::cluster
