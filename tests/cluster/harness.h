#pragma once

// A cluster of real processes in a folder of its own, driven through the command line as a user
// would. Every wait has a deadline; whatever was started is dead when the object is.

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cluster/subprocess.h"
#include "tests/fixtures/tiny_llama.h"

namespace attune::cluster {

using Json = nlohmann::json;
using std::chrono::seconds;

// Wide enough for a loaded machine; a test that waits this long has failed.
inline constexpr seconds kPatience{120};

class Cluster {
 public:
  Cluster();
  // Copies the daemons' logs to standard error when the test has failed.
  ~Cluster();

  const std::filesystem::path& home() const { return home_; }
  std::filesystem::path storage() const { return home_ / "storage"; }
  std::filesystem::path Write(const std::string& file, const std::string& content) const;
  // The text of a file below home, empty when there is none.
  std::string Read(const std::string& file) const;

  // Variables of every later command, such as ATTUNE_ADDRESS.
  void Use(const std::map<std::string, std::string>& variables);
  // attune ARGUMENTS.
  Finished Attune(std::vector<std::string> arguments, seconds timeout = kPatience) const;
  // The same, at once: what it prints goes into a file below home, and what it says into FILE.err.
  pid_t StartAttune(std::vector<std::string> arguments, const std::string& file) const;
  // A line for bash, as a user types it in a folder below home: attune is on the PATH.
  Finished Shell(const std::string& folder, const std::string& line,
                 seconds timeout = kPatience) const;
  // `attune` with arguments that must succeed and print one JSON value.
  Json AttuneJson(std::vector<std::string> arguments) const;
  // A line of JSON each.
  std::vector<Json> AttuneLines(std::vector<std::string> arguments) const;

  // `attune up` on free ports, with a worker of one slot each.
  void Up(int workers);
  // Brings back what was killed.
  void UpAgain();
  // Starts a coordinator on a configuration file below home, and does not wait for it.
  pid_t StartCoordinator(const std::string& config = "coordinator.yaml") const;
  // kill -9, and a new one on the same configuration and these further lines.
  void RestartCoordinator(const std::string& more) const;
  pid_t Pid(const std::string& daemon) const;  // "coordinator", "worker-1"; 0 when it does not run
  // The trainers of a worker, or of all.
  std::vector<pid_t> Trainers(const std::string& worker = "") const;
  // kill -9, and waits until it is gone.
  void Kill(pid_t pid) const;

  // The tiny model as "tiny" and rows of text as "docs".
  void ImportTiny() const;
  // Submits a spec; returns the job's id.
  std::string Submit(const std::string& spec) const;
  Json Show(const std::string& job) const;
  // Polls until the condition holds for the job, or a final state or the deadline is there. Returns
  // the job.
  Json WaitFor(const std::string& job, const std::function<bool(const Json&)>& condition,
               seconds patience = kPatience) const;
  Json WaitForStep(const std::string& job, int step) const;
  // Waits for a final state.
  Json WaitForEnd(const std::string& job, seconds patience = kPatience) const;
  // Loss by step, of every step.
  std::map<int, double> Losses(const std::string& job) const;
  std::map<int, double> ValidationLosses(const std::string& job) const;

 private:
  std::filesystem::path home_;
  std::map<std::string, std::string> variables_;
};

bool IsFinal(const Json& job);

// Polls until the condition holds; false at the deadline.
bool Eventually(const std::function<bool()>& condition, seconds patience = kPatience);

// A spec on "tiny" and "docs": a full fine-tuning with the given steps and ranks; more is further
// YAML.
std::string Spec(const std::string& name, int ranks, int steps, const std::string& more = "");

// Rows of text, each different.
std::string TextRows(int count);

}  // namespace attune::cluster
