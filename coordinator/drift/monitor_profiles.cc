// The profiles of what models were trained on.

#include "common/base/transient.h"
#include "common/log/log.h"
#include "coordinator/drift/monitor.h"
#include "coordinator/drift/profile.h"

namespace attune::drift {
namespace {

void Fail(ProfileRecord* profile, const std::string& reason) {
  profile->phase = ProfileRecord::Phase::kFailed;
  profile->reason = reason;
}

}  // namespace

std::filesystem::path Monitor::ProfilePath(const std::string& key) const {
  return ports_.storage / "cache" / "profiles" / key;
}

ForEachLine Monitor::LinesOf(const std::string& job) const {
  return [this, job](const TakeLine& take) { return ports_.runner->ReadOutput(job, take); };
}

ForEachLine Monitor::RowsOf(const std::string& dataset) const {
  return
      [this, dataset](const TakeLine& take) { return ports_.catalog->ForEachRow(dataset, take); };
}

Status Monitor::SaveProfileRecord(const ProfileRecord& record) {
  std::vector<std::string> forgotten;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Write([&](Transaction& transaction) {
    SaveProfile(transaction, record);
    forgotten = PruneProfiles(transaction, kProfilesKept);
    return Status();
  }));
  for (const std::string& key : forgotten) {
    std::error_code error;
    std::filesystem::remove(ProfilePath(key), error);
  }
  return Status();
}

Result<std::optional<ProfileRecord>> Monitor::AdvanceProfile(const std::string& key) {
  std::optional<ProfileRecord> profile;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    profile = FindProfile(transaction, key);
    return Status();
  }));
  if (!profile || profile->phase == ProfileRecord::Phase::kReady) return profile;
  // Of an older format, which said nothing of parts.
  if (profile->of.parts().empty()) return std::optional<ProfileRecord>();
  if (profile->phase == ProfileRecord::Phase::kFailed) return profile;
  if (profile->jobs.empty()) {
    ATTUNE_RETURN_IF_ERROR(SubmitProfile(&*profile));
    ATTUNE_RETURN_IF_ERROR(Fault("profile_submitted"));
    ATTUNE_RETURN_IF_ERROR(SaveProfileRecord(*profile));
    if (profile->phase != ProfileRecord::Phase::kEmbedding) return profile;
  }
  for (const std::string& id : profile->jobs) {
    Result<v1::Job> job = ports_.runner->Get(id);
    if (!job.ok() && job.status().code() != StatusCode::kNotFound) return job.status();
    const bool ended =
        !job.ok() || job->state() == v1::Job::FAILED || job->state() == v1::Job::CANCELLED;
    if (ended) {
      Fail(&*profile,
           "the EMBED job " + id + " of " + profile->of.model() +
               "'s training data failed: " + (job.ok() ? job->reason() : job.status().message()));
      ATTUNE_RETURN_IF_ERROR(SaveProfileRecord(*profile));
      return profile;
    }
    if (job->state() != v1::Job::SUCCEEDED) return profile;
  }
  Status built = BuildProfile(&*profile);
  if (built.code() == StatusCode::kDataLoss || built.code() == StatusCode::kNotFound) {
    Fail(&*profile, built.message());
  } else if (!built.ok()) {
    return built;
  }
  ATTUNE_RETURN_IF_ERROR(Fault("profile_built"));
  ATTUNE_RETURN_IF_ERROR(SaveProfileRecord(*profile));
  for (const std::string& id : profile->jobs) {
    Status removed = ports_.runner->RemoveOutput(id);
    if (!removed.ok()) spdlog::warn("{}", removed.message());
  }
  return profile;
}

Status Monitor::SubmitProfile(ProfileRecord* profile) {
  for (int i = 0; i < profile->of.parts_size(); ++i) {
    Result<v1::Job> job =
        SubmitEmbed("profile/" + profile->key + "/" + profile->made + "/" +
                        std::to_string(profile->attempt) + "/" + std::to_string(i),
                    profile->of.model(), profile->of.parts(i));
    if (job.ok()) {
      profile->jobs.push_back(job->id());
      continue;
    }
    if (IsTransient(job.status())) return job.status();
    Fail(profile, "no EMBED job could be submitted: " + job.status().message());
    return Status();
  }
  return Status();
}

Status Monitor::BuildProfile(ProfileRecord* profile) {
  SampleBuilder builder({profile->of.categories().begin(), profile->of.categories().end()});
  for (int i = 0; i < profile->of.parts_size(); ++i) {
    const std::string& dataset = profile->of.parts(i).dataset();
    auto held_out = [&](const TakeLine& take) {
      Status first;
      Status read = ports_.catalog->ForEachId(dataset, "validation", [&](std::string_view id) {
        if (first.ok()) first = take(id);
      });
      return read.ok() ? first : read;
    };
    ATTUNE_RETURN_IF_ERROR(
        builder.Add(LinesOf(profile->jobs[static_cast<size_t>(i)]), RowsOf(dataset), held_out));
  }
  ATTUNE_ASSIGN_OR_RETURN(Sample sample, builder.Finish());
  ATTUNE_ASSIGN_OR_RETURN(profile->sha256,
                          WriteProfile(ProfilePath(profile->key), profile->of, sample));
  profile->phase = ProfileRecord::Phase::kReady;
  return Status();
}

}  // namespace attune::drift
