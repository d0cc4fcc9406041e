// From a data set version to a verdict.

#include "common/base/hash.h"
#include "common/base/text.h"
#include "common/base/transient.h"
#include "common/log/log.h"
#include "coordinator/drift/due.h"
#include "coordinator/drift/labelled_loss.h"
#include "coordinator/drift/monitor.h"
#include "coordinator/drift/profile.h"
#include "coordinator/drift/reference.h"

namespace attune::drift {
namespace {

constexpr std::chrono::hours kWeek{7 * 24};
constexpr size_t kModelDigits = 10;  // in a request id, which has little room

std::string Ended(const v1::Job& job) {
  return "the EMBED job " + job.id() +
         (job.state() == v1::Job::CANCELLED ? " was cancelled" : " failed") +
         (job.reason().empty() ? "" : ": " + job.reason());
}

}  // namespace

Status Monitor::MeasureNext(const StreamRecord& stream, bool* progress) {
  std::optional<WindowRecord> window;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    window =
        FirstWindow(transaction, stream.stream.spec().name(), Phase::kClosed, Phase::kEmbedding);
    return Status();
  }));
  if (!window) return Status();
  if (window->unreadable) return BeginAnew(stream, *std::move(window));
  if (window->phase == Phase::kEmbedding) {
    return GoOnMeasuring(stream, *std::move(window), progress);
  }
  *progress = true;
  return BeginMeasuring(stream, *std::move(window));
}

Result<v1::ReferenceProfile> Monitor::FindReference(const v1::StreamSpec& spec) {
  auto none = [](const Status& status) {
    const bool is_none =
        status.code() == StatusCode::kNotFound || status.code() == StatusCode::kInvalidArgument;
    return is_none ? NotFound("no reference: " + status.message()) : status;
  };
  Result<v1::ModelVersion> model = ports_.find_model(spec.model());
  if (!model.ok()) return none(model.status());
  v1::ReferenceProfile of;
  of.set_model(model->name() + "@" + std::to_string(model->version()));
  *of.mutable_categories() = spec.categories();
  std::vector<std::string> names(model->lineage().datasets().begin(),
                                 model->lineage().datasets().end());
  if (!spec.reference().empty()) names = {spec.reference()};
  if (names.empty()) {
    return NotFound("no reference: " + of.model() +
                    " was trained on no data set that is known; name one with `reference`");
  }
  if (names.size() > kReferencesMax) names.resize(kReferencesMax);
  std::vector<v1::DatasetVersion> datasets;
  for (const std::string& name : names) {
    Result<v1::DatasetVersion> dataset = ports_.catalog->Get(name);
    if (!dataset.ok()) return none(dataset.status());
    of.add_datasets(dataset->name() + "@" + std::to_string(dataset->version()));
    datasets.push_back(*std::move(dataset));
  }
  const bool named = !spec.reference().empty();
  const std::vector<double> shares =
      named ? std::vector<double>{1} : TrainedShares(model->lineage(), datasets);
  const std::vector<v1::ReferencePart> parts =
      PlanReference(datasets, shares, named, kExamplesMeasured);
  if (parts.empty()) return NotFound("no reference: " + names.front() + " has no row");
  of.mutable_parts()->Assign(parts.begin(), parts.end());
  return of;
}

Status Monitor::BeginMeasuring(const StreamRecord& stream, WindowRecord window) {
  const v1::StreamSpec& spec = stream.stream.spec();
  if (window.window.examples() < spec.window().examples_min()) {
    const std::string reason = CountOf(window.window.examples(), "distinct example") +
                               ", fewer than window.examples_min (" +
                               std::to_string(spec.window().examples_min()) + ")";
    return FinishWindow(stream, std::move(window), "unmeasured", reason);
  }
  Result<v1::ReferenceProfile> reference = FindReference(spec);
  if (!reference.ok()) {
    if (reference.status().code() != StatusCode::kNotFound) return reference.status();
    CancelEmbed(window.window.job_id(), "its window is not measured");
    return FinishWindow(stream, std::move(window), "unmeasured", reference.status().message(),
                        true);
  }
  if (window.window.profile() != reference->model()) {
    CancelEmbed(window.window.job_id(), "its window is measured by " + reference->model());
    window.window.clear_job_id();
  }
  window.phase = Phase::kEmbedding;
  window.profile_key = ProfileKey(*reference);
  window.window.set_profile(reference->model());
  window.window.set_state("embedding");
  return ports_.database->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(StreamRecord now,
                            FindStream(transaction, window.window.stream(), stream.incarnation));
    std::optional<ProfileRecord> profile = FindProfile(transaction, window.profile_key);
    if (!profile) {
      profile.emplace();
      profile->key = window.profile_key;
      profile->made = NewId("profile");
      profile->of = *reference;
      profile->since = transaction.now();
    } else if (profile->phase == ProfileRecord::Phase::kFailed) {
      BeginAgain(&*profile, transaction.now());
    }
    SaveProfile(transaction, *profile);
    window.since = transaction.now();
    SaveWindow(transaction, window);
    return Status();
  });
}

Status Monitor::BeginMeasuringAgain(const StreamRecord& stream, WindowRecord window) {
  spdlog::warn(
      "window {} of stream '{}': the record of the reference's profile is gone, damaged or "
      "of an older format: the profile is made anew",
      window.window.number(), window.window.stream());
  window.phase = Phase::kClosed;
  window.profile_key.clear();
  return ports_.database->Write([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(StreamRecord now,
                            FindStream(transaction, window.window.stream(), stream.incarnation));
    SaveWindow(transaction, window);
    return Status();
  });
}

Result<v1::Job> Monitor::SubmitEmbed(const std::string& request_id, const std::string& model,
                                     const v1::ReferencePart& rows) {
  v1::SubmitJobRequest request;
  request.set_request_id(request_id);
  request.set_kind(v1::Job::EMBED);
  v1::EmbedRequest* embed = request.mutable_task()->mutable_embed();
  embed->set_model(model);
  embed->set_dataset(rows.dataset());
  embed->set_split(rows.split());
  embed->set_max_examples(rows.examples());
  return ports_.runner->Submit(request);
}

void Monitor::CancelEmbed(const std::string& job, const std::string& reason) {
  if (job.empty()) return;
  v1::CancelJobRequest request;
  request.set_request_id("cancel/" + job);
  request.set_id(job);
  request.set_reason(reason);
  Result<v1::Job> cancelled = ports_.runner->Cancel(request);
  (void)cancelled;  // it may have ended
}

// What reads much and failed is not tried again each second.
Status Monitor::LaterAgain(const StreamRecord& stream, Status status) {
  const std::string& name = stream.stream.spec().name();
  if (status.ok()) {
    pauses_.erase(name);
  } else {
    pauses_[name] = {ports_.clock->Monotonic() + kMeasureAgain, status};
  }
  return status;
}

// However a step ends without progress, it has until the timeout to do better.
Status Monitor::GoOnMeasuring(const StreamRecord& stream, WindowRecord window, bool* progress) {
  const Status step = StepMeasuring(stream, window, progress);
  if ((step.ok() && *progress) || ports_.clock->Now() - window.since <= kEmbedTimeout) return step;
  std::optional<WindowRecord> now;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(StreamRecord same,
                            FindStream(transaction, window.window.stream(), stream.incarnation));
    now = FindWindow(transaction, window.window.stream(), window.window.number());
    return Status();
  }));
  if (!now || now->phase != Phase::kEmbedding) return step;
  *progress = true;
  const std::string job = now->window.job_id();
  std::string reason = (job.empty() ? std::string("its EMBED job") : "the EMBED job " + job) +
                       " or the reference's profile took more than " +
                       std::to_string(kEmbedTimeout.count()) + " hours";
  if (!step.ok()) reason += "; the last problem: " + step.message();
  CancelEmbed(job, "its window failed: " + reason);
  return FinishWindow(stream, *std::move(now), "failed", reason);
}

Status Monitor::StepMeasuring(const StreamRecord& stream, WindowRecord window, bool* progress) {
  auto fail = [&](const std::string& reason) {
    *progress = true;
    CancelEmbed(window.window.job_id(), "its window failed: " + reason);
    return FinishWindow(stream, window, "failed", reason);
  };
  if (window.window.job_id().empty()) {
    v1::ReferencePart rows;
    rows.set_dataset(window.window.dataset());
    rows.set_split("all");
    rows.set_examples(kExamplesMeasured);
    const std::string& model = window.window.profile();
    Result<v1::Job> job = SubmitEmbed(WindowRequest(stream, window.window.number()) + "/embed/" +
                                          Sha256Hex(model).substr(0, kModelDigits),
                                      model, rows);
    if (!job.ok()) {
      return IsTransient(job.status())
                 ? job.status()
                 : fail("no EMBED job could be submitted: " + job.status().message());
    }
    ATTUNE_RETURN_IF_ERROR(Fault("submitted"));
    window.window.set_job_id(job->id());
    ATTUNE_RETURN_IF_ERROR(ports_.database->Write([&](Transaction& transaction) -> Status {
      ATTUNE_ASSIGN_OR_RETURN(StreamRecord now,
                              FindStream(transaction, window.window.stream(), stream.incarnation));
      SaveWindow(transaction, window);
      return Status();
    }));
  }
  auto pause = pauses_.find(window.window.stream());
  if (pause != pauses_.end() && ports_.clock->Monotonic() < pause->second.until) {
    return pause->second.why;
  }
  Result<std::optional<ProfileRecord>> advanced = AdvanceProfile(window.profile_key);
  if (!advanced.ok()) return LaterAgain(stream, advanced.status());
  if (!advanced->has_value()) {
    *progress = true;
    return BeginMeasuringAgain(stream, std::move(window));
  }
  ProfileRecord profile = **std::move(advanced);
  if (profile.phase == ProfileRecord::Phase::kFailed) {
    return fail("the reference has no profile: " + profile.reason);
  }
  Result<v1::Job> job = ports_.runner->Get(window.window.job_id());
  if (!job.ok()) {
    return job.status().code() == StatusCode::kNotFound ? fail(job.status().message())
                                                        : job.status();
  }
  if (job->state() == v1::Job::FAILED || job->state() == v1::Job::CANCELLED) {
    return fail(Ended(*job));
  }
  if (job->state() == v1::Job::SUCCEEDED && profile.phase == ProfileRecord::Phase::kReady) {
    *progress = true;
    return LaterAgain(stream, Measure(stream, std::move(window), std::move(profile)));
  }
  return Status();
}

DetectOptions Monitor::OptionsOf(const StreamRecord& stream, uint64_t window) {
  DetectOptions options;
  options.alarm = stream.stream.spec().alarm();
  uint64_t recent = 0;
  Status read = ports_.database->Read([&](Transaction& transaction) {
    recent = CountWindowsSince(transaction, stream.stream.spec().name(), transaction.now() - kWeek);
    return Status();
  });
  if (!read.ok()) recent = window;
  options.looks_per_week = LooksPerWeek(stream.stream.spec().window(), recent);
  const std::string digest = Sha256Hex(stream.stream.spec().name() + "/" + std::to_string(window));
  options.seed = std::stoull(digest.substr(0, 15), nullptr, 16);
  return options;
}

Status Monitor::Measure(const StreamRecord& stream, WindowRecord window, ProfileRecord profile) {
  v1::Window& seen = window.window;
  Result<Sample> reference = ReadProfile(ProfilePath(profile.key), profile.sha256);
  if (!reference.ok() && IsTransient(reference.status())) return reference.status();
  if (!reference.ok()) {
    // A cache may be cleared at any time.
    BeginAgain(&profile, ports_.clock->Now());
    return SaveProfileRecord(profile);
  }
  SampleBuilder builder({profile.of.categories().begin(), profile.of.categories().end()});
  Status added = builder.Add(LinesOf(seen.job_id()), RowsOf(seen.dataset()));
  Result<Sample> sample = added.ok() ? builder.Finish() : Result<Sample>(added);
  const DetectOptions options = OptionsOf(stream, seen.number());
  Result<std::vector<v1::DetectorResult>> detected =
      sample.ok() ? ports_.detectors.detect(*reference, *sample, options)
                  : Result<std::vector<v1::DetectorResult>>(sample.status());
  if (!detected.ok()) {
    if (IsTransient(detected.status())) return detected.status();
    return FinishWindow(stream, std::move(window), "failed", detected.status().message());
  }
  seen.mutable_detectors()->Assign(detected->begin(), detected->end());
  const std::vector<std::string> not_compared = NotCompared(*reference, *sample);
  seen.mutable_not_compared()->Assign(not_compared.begin(), not_compared.end());
  if (!sample->labelled_losses.empty()) {
    *seen.mutable_labelled_loss() = SummarizeLosses(sample->labelled_losses);
  }
  std::vector<v1::NewCluster> clusters =
      ports_.detectors.find_new(*reference, *sample, options.seed);
  seen.mutable_new_examples()->Assign(clusters.begin(), clusters.end());
  ATTUNE_RETURN_IF_ERROR(Fault("measured"));
  const std::string job = seen.job_id();
  ATTUNE_RETURN_IF_ERROR(SaveMeasured(stream, std::move(window), options));
  ATTUNE_RETURN_IF_ERROR(Fault("saved"));
  Status removed = ports_.runner->RemoveOutput(job);
  if (!removed.ok()) spdlog::warn("{}", removed.message());
  return Status();
}

}  // namespace attune::drift
