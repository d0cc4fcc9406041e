#include "coordinator/jobs/adapters.h"

#include <map>
#include <set>
#include <string>

#include "coordinator/jobs/reference.h"

namespace attune::jobs {
namespace {

constexpr int kAdaptersMax = 64;  // all are loaded beside the base

// What answers where `asked` is named: "" is the job's own model.
Result<std::string> PinAdapter(Artifacts& artifacts, const std::string& asked,
                               const std::string& model, const std::string& base) {
  auto adapter = artifacts.GetModel(asked);
  if (!adapter.ok()) return Status(adapter.status()).WithField("adapter");
  const std::string pinned = Reference(adapter->name(), adapter->version());
  if (pinned == model) return std::string();
  if (adapter->base() == base) return pinned;
  return InvalidArgument(
             pinned + " is " +
             (adapter->base().empty() ? "no adapter" : "an adapter of " + adapter->base()) +
             ": beside " + model + " answer adapters of " + base)
      .WithField("adapter");
}

}  // namespace

Status PinAdapters(Artifacts& artifacts, const v1::ModelVersion& model, v1::Job* job) {
  const std::string base = model.base().empty() ? job->base() : model.base();
  std::map<std::string, std::string> pins;  // by the name as it was asked for
  for (v1::GeneratePrompt& prompt : *job->mutable_task()->mutable_generate()->mutable_inputs()) {
    if (prompt.adapter().empty()) continue;
    if (!pins.contains(prompt.adapter())) {
      ATTUNE_ASSIGN_OR_RETURN(pins[prompt.adapter()],
                              PinAdapter(artifacts, prompt.adapter(), job->base(), base));
    }
    prompt.set_adapter(pins[prompt.adapter()]);
  }
  std::set<std::string> adapters;
  for (const auto& [asked, pinned] : pins) adapters.insert(pinned);
  adapters.erase("");
  if (adapters.size() > kAdaptersMax) {
    return InvalidArgument("generate takes at most " + std::to_string(kAdaptersMax) +
                           " adapters at a time, not " + std::to_string(adapters.size()))
        .WithField("adapter");
  }
  for (const std::string& adapter : adapters) job->add_adapters(adapter);
  return Status();
}

}  // namespace attune::jobs
