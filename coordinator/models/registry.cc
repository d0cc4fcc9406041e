#include "coordinator/models/registry.h"

#include <google/protobuf/util/time_util.h>

#include <map>
#include <system_error>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/utf8.h"
#include "common/log/log.h"
#include "common/model/folder_checksum.h"
#include "coordinator/models/aliases.h"
#include "coordinator/models/base_name.h"
#include "coordinator/models/copy.h"
#include "coordinator/models/inspect.h"
#include "coordinator/store/database.h"
#include "coordinator/versions/folder.h"

namespace attune::models {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMethod = "ImportModel";

versions::Table ModelTable() {
  return versions::Table("model");
}

Result<v1::ModelVersion> Parse(const std::string& record) {
  v1::ModelVersion version;
  if (!version.ParseFromString(record)) return DataLoss("a model's record cannot be read");
  return version;
}

void SetCreated(v1::ModelVersion* version, TimePoint now) {
  *version->mutable_created() =
      google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(ToMicros(now));
}

bool Exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// A job's output that has not moved yet is read where the trainer wrote it.
v1::ModelVersion Located(v1::ModelVersion version) {
  const std::string& origin = version.lineage().source();
  if (!version.lineage().job_id().empty() && !Exists(version.path()) && Exists(origin)) {
    version.set_path(origin);
  }
  return version;
}

void AddAliases(Transaction& transaction, v1::ModelVersion* version) {
  for (std::string& alias : AliasesAt(transaction, version->name(), version->version())) {
    version->add_aliases(std::move(alias));
  }
}

// The user knows the files by where they came from, not by the copy that was looked at.
Status InUsersWords(const Status& status, const Source& source, const fs::path& copy) {
  std::string message = status.message();
  for (const Source::File& file : source.files) {
    std::string ours = (copy / file.name).string();
    for (size_t at; (at = message.find(ours)) != std::string::npos;) {
      message.replace(at, ours.size(), file.from.string());
    }
  }
  return Status(status.code(), message);
}

// Copies all files; the user's mistakes come back as kInvalidArgument whatever the system calls
// them.
Status CopyFiles(const Source& source, const fs::path& folder, const OnBytes& on_bytes,
                 uint64_t* bytes) {
  for (const Source::File& file : source.files) {
    ATTUNE_ASSIGN_OR_RETURN(uint64_t size, CopyFile(file.from, folder / file.name, on_bytes));
    *bytes += size;
  }
  return Status();
}

uint64_t BytesOf(const Source& source) {
  uint64_t bytes = 0;
  for (const Source::File& file : source.files) {
    std::error_code error;
    const uint64_t size = fs::file_size(file.from, error);
    if (!error) bytes += size;
  }
  return bytes;
}

// Adds up the bytes of a phase.
OnBytes Counting(const Registry::Progress& progress, const char* phase, uint64_t total) {
  if (!progress) return {};
  return [&progress, phase, total, done = uint64_t{0}](uint64_t more) mutable {
    done += more;
    return progress(phase, done, total);
  };
}

Status CheckRequest(const v1::ImportModelRequest& request) {
  ATTUNE_ASSIGN_OR_RETURN(versions::Reference name,
                          versions::ParseReference("model", request.name()));
  if (name.version != 0) {
    return InvalidArgument("import takes a name without a version: the next number is given to it");
  }
  return Status();
}

std::string Summary(const v1::ModelVersion& version) {
  return version.format() + ", " + std::to_string(version.parameters()) + " parameters, from " +
         version.lineage().source();
}

}  // namespace

Status CheckHasFiles(const v1::ModelVersion& version) {
  if (!version.files_removed()) return Status();
  return FailedPrecondition(
      "the files of " + versions::FormatReference(version.name(), version.version()) +
      " were removed (`attune model prune`): what is known of it is still there, but no job can "
      "use it; choose another version");
}

Registry::Registry(Database* database, fs::path storage, std::vector<InUse> in_use)
    : database_(database), root_(std::move(storage) / "models"), in_use_(std::move(in_use)) {}

Status Registry::Reconcile() {
  ATTUNE_RETURN_IF_ERROR(versions::Reconcile(database_, ModelTable(), root_));
  v1::ListModelsRequest request;
  request.set_all_versions(true);
  request.set_page_size(versions::kPageSizeMax);
  do {
    ATTUNE_ASSIGN_OR_RETURN(v1::ListModelsResponse page, List(request));
    for (const v1::ModelVersion& version : page.models()) {
      const Status done = version.files_removed() ? RemoveFiles(version) : PlaceOutput(version);
      if (!done.ok()) spdlog::warn("{}", done.message());
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return Status();
}

Result<v1::ModelVersion> Registry::Import(const v1::ImportModelRequest& request,
                                          const Progress& progress) {
  if (Status checked = CheckRequest(request); !checked.ok())
    return std::move(checked).WithField("name");
  v1::ImportModelRequest content = request;
  content.clear_request_id();
  versions::CommitRequest commit{request.request_id(), kMethod, content.SerializeAsString(), ""};
  ATTUNE_ASSIGN_OR_RETURN(std::optional<std::string> earlier,
                          versions::FindCommitted(database_, commit));
  if (earlier) return Parse(*earlier);

  fs::path path = request.path();
  if (!path.is_absolute()) {
    return InvalidArgument("the path must be absolute, as the coordinator sees it")
        .WithField("path");
  }
  Result<Source> source = FindFiles(path);
  if (!source.ok()) return Status(source.status()).WithField("path");
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<versions::TemporaryFolder> folder,
                          versions::TemporaryFolder::Create(root_, request.name()));
  uint64_t bytes = 0;
  ATTUNE_RETURN_IF_ERROR(
      CopyFiles(*source, folder->path(), Counting(progress, "copying", BytesOf(*source)), &bytes));
  Result<Inspection> inspection = Inspect(folder->path());
  if (!inspection.ok()) {
    return InUsersWords(inspection.status(), *source, folder->path()).WithField("path");
  }
  v1::ModelVersion version;
  version.set_name(request.name());
  version.set_format(inspection->format);
  version.set_architecture(inspection->architecture);
  version.set_parameters(inspection->parameters);
  version.set_bytes(bytes);
  version.mutable_lineage()->set_source(path.string());
  version.mutable_lineage()->set_code_version(CodeVersion());
  std::string base_path;
  ATTUNE_RETURN_IF_ERROR(
      ResolveBase(request.base(), inspection->adapter_base, &version, &base_path));
  if (version.format() == kAdapter) {
    Status fits = CheckAdapterFits(folder->path(), base_path);
    if (!fits.ok()) return InUsersWords(fits, *source, folder->path()).WithField("path");
  }
  ATTUNE_ASSIGN_OR_RETURN(FolderChecksum checksum,
                          ChecksumFolder(folder->path(), Counting(progress, "checking", bytes)));
  version.set_checksum(checksum.sha256);
  commit.event = Summary(version);
  commit.precondition =
      [&](Transaction& transaction) -> Status {  // it may have been pruned meanwhile
    if (version.base().empty()) return Status();
    ATTUNE_ASSIGN_OR_RETURN(versions::Reference base, Resolve(transaction, version.base()));
    ATTUNE_ASSIGN_OR_RETURN(std::string record, ModelTable().Find(transaction, base));
    ATTUNE_ASSIGN_OR_RETURN(v1::ModelVersion found, Parse(record));
    return CheckHasFiles(found);
  };
  auto make_record = [&](uint32_t number, const fs::path& target,
                         TimePoint now) -> Result<std::string> {
    version.set_version(number);
    version.set_path(target.string());
    SetCreated(&version, now);
    return version.SerializeAsString();
  };
  ATTUNE_ASSIGN_OR_RETURN(
      std::string record,
      versions::Commit(database_, ModelTable(), *folder, request.name(), commit, make_record));
  return Parse(record);
}

// Only an adapter has a base: the one that was given, else the one its configuration names.
Status Registry::ResolveBase(const std::string& given, const std::string& named,
                             v1::ModelVersion* version, std::string* path) {
  if (version->format() != kAdapter) {
    if (given.empty()) return Status();
    return InvalidArgument("a base is for adapters only; this is a whole model").WithField("base");
  }
  Result<v1::ModelVersion> base = Get(given.empty() ? named : given);
  if (!base.ok() && given.empty()) {
    return InvalidArgument(
               "an adapter needs its base in the registry: import the base, then give its name "
               "(--base NAME); the adapter was made for the model that it calls \"" +
               Shorten(named, 200) + "\"")
        .WithField("base");
  }
  if (!base.ok()) return Status(base.status()).WithField("base");
  if (base->format() == kAdapter) {
    return InvalidArgument("the base " + versions::FormatReference(base->name(), base->version()) +
                           " is an adapter itself")
        .WithField("base");
  }
  ATTUNE_RETURN_IF_ERROR(CheckHasFiles(*base));
  if (!given.empty() && !LooksLike(named, *base)) version->set_made_for(Shorten(named, 200));
  version->set_base(versions::FormatReference(base->name(), base->version()));
  version->set_architecture(base->architecture());
  *path = base->path();
  return Status();
}

Result<v1::ModelVersion> Registry::Get(const std::string& text) {
  v1::ModelVersion version;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(versions::Reference reference, Resolve(transaction, text));
    ATTUNE_ASSIGN_OR_RETURN(std::string record, ModelTable().Find(transaction, reference));
    ATTUNE_ASSIGN_OR_RETURN(version, Parse(record));
    AddAliases(transaction, &version);
    return Status();
  }));
  return Located(std::move(version));
}

Result<v1::ListModelsResponse> Registry::List(const v1::ListModelsRequest& request) {
  v1::ListModelsResponse response;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(versions::Page page,
                            ModelTable().List(transaction, request.page_size(),
                                              request.page_token(), request.all_versions()));
    for (const std::string& record : page.records) {
      ATTUNE_ASSIGN_OR_RETURN(*response.add_models(), Parse(record));
    }
    for (v1::ModelVersion& version : *response.mutable_models()) AddAliases(transaction, &version);
    response.set_next_page_token(page.next_page_token);
    return Status();
  }));
  for (v1::ModelVersion& version : *response.mutable_models()) version = Located(version);
  return response;
}

Result<PreparedOutput> Registry::PrepareOutput(const std::string& name, const fs::path& folder,
                                               const v1::Lineage& lineage,
                                               const std::map<std::string, double>& metrics) {
  if (!IsValidName(name)) return InvalidArgument("\"" + name + "\" is not a model name");
  if (!Exists(folder.string()))
    return NotFound("the job's output " + folder.string() + " is not there");
  ATTUNE_ASSIGN_OR_RETURN(Inspection inspection, Inspect(folder));
  ATTUNE_ASSIGN_OR_RETURN(FolderChecksum checksum, ChecksumFolder(folder));
  PreparedOutput output{name, folder, {}};
  v1::ModelVersion& version = output.version;
  version.set_name(name);
  version.set_format(inspection.format);
  version.set_architecture(inspection.architecture);
  version.set_parameters(inspection.parameters);
  version.set_bytes(checksum.bytes);
  version.set_checksum(checksum.sha256);
  *version.mutable_lineage() = lineage;
  version.mutable_lineage()->set_source(folder.string());
  version.mutable_lineage()->set_code_version(CodeVersion());
  version.mutable_metrics()->insert(metrics.begin(), metrics.end());
  if (version.format() == kAdapter) {
    Result<v1::ModelVersion> base = Get(lineage.base());
    if (!base.ok()) return base.status().WithContext("the output is an adapter");
    version.set_architecture(base->architecture());
    // A job on an adapter goes on from it; the result stands on the same whole model.
    version.set_base(base->format() == kAdapter ? base->base() : lineage.base());
  }
  std::error_code error;
  fs::create_directories(root_ / name, error);
  if (error) return ErrnoStatus(error.value(), "create folder " + (root_ / name).string());
  return output;
}

Result<v1::ModelVersion> Registry::RegisterOutput(Transaction& transaction,
                                                  const PreparedOutput& output) {
  versions::Table table = ModelTable();
  const std::string& job = output.version.lineage().job_id();
  if (job.empty()) return InvalidArgument("a job's output needs the job's id");
  ATTUNE_ASSIGN_OR_RETURN(std::optional<std::string> earlier, table.FindByOrigin(transaction, job));
  if (earlier) return Parse(*earlier);
  fs::path parent = root_ / output.name;
  ATTUNE_ASSIGN_OR_RETURN(uint32_t number,
                          versions::FreeVersion(transaction, table, output.name, parent));
  v1::ModelVersion version = output.version;
  version.set_version(number);
  version.set_path((parent / std::to_string(number)).string());
  SetCreated(&version, transaction.now());
  std::string record = version.SerializeAsString();
  table.Insert(transaction, output.name, number, job, record);
  transaction.AppendEvent(table.kind(), versions::FormatReference(output.name, number),
                          "registered", "output of " + job, record);
  return version;
}

Status Registry::PlaceOutput(const v1::ModelVersion& version) {
  fs::path target = root_ / version.name() / std::to_string(version.version());
  const std::string& origin = version.lineage().source();
  if (version.lineage().job_id().empty() || !Exists(origin) || Exists(target.string()))
    return Status();
  std::error_code error;
  fs::create_directories(target.parent_path(), error);
  fs::rename(origin, target, error);
  if (error) return ErrnoStatus(error.value(), "move " + origin + " to " + target.string());
  ATTUNE_RETURN_IF_ERROR(SyncFolder(target.parent_path()));
  return SyncFolder(fs::path(origin).parent_path());
}

}  // namespace attune::models
