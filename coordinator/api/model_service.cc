#include "coordinator/api/model_service.h"

#include <chrono>

#include "common/rpc/rpc.h"
#include "coordinator/api/answer.h"
#include "coordinator/models/alias_requests.h"
#include "coordinator/models/gate_reports.h"
#include "coordinator/versions/reference.h"

namespace attune {
namespace {

constexpr std::chrono::milliseconds kProgressInterval{200};

}  // namespace

grpc::Status ModelService::ImportModel(grpc::ServerContext* context,
                                       const v1::ImportModelRequest* request,
                                       v1::ModelVersion* response) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(ports_.registry->Import(*request), response);
}

grpc::Status ModelService::ImportModelWithProgress(
    grpc::ServerContext* context, const v1::ImportModelRequest* request,
    grpc::ServerWriter<v1::ImportModelProgress>* writer) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  auto next = std::chrono::steady_clock::now();
  const auto progress = [&](const char* phase, uint64_t done, uint64_t total) -> Status {
    if (context->IsCancelled()) return Cancelled("the caller of the import has gone");
    const auto now = std::chrono::steady_clock::now();
    if (now < next && done < total) return Status();
    next = now + kProgressInterval;
    v1::ImportModelProgress message;
    message.set_phase(phase);
    message.set_done(done);
    message.set_total(total);
    writer->Write(message);  // that it fails is seen at the next
    return Status();
  };
  Result<v1::ModelVersion> version = ports_.registry->Import(*request, progress);
  if (!version.ok()) return rpc::ToGrpc(version.status());
  v1::ImportModelProgress last;
  *last.mutable_version() = *std::move(version);
  writer->Write(last);
  return grpc::Status::OK;
}

grpc::Status ModelService::GetModel(grpc::ServerContext* context,
                                    const v1::GetModelRequest* request,
                                    v1::ModelVersion* response) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(ports_.registry->Get(request->name()), response);
}

grpc::Status ModelService::ListModels(grpc::ServerContext* context,
                                      const v1::ListModelsRequest* request,
                                      v1::ListModelsResponse* response) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(ports_.registry->List(*request), response);
}

grpc::Status ModelService::SetAlias(grpc::ServerContext* context,
                                    const v1::SetAliasRequest* request, v1::Alias* response) {
  security::Caller caller;
  grpc::Status allowed = ports_.authenticator->CheckUser(*context, security::kPromoter, &caller);
  if (!allowed.ok()) return allowed;
  return Answer(models::SetAlias(ports_.database, *request, caller.actor()), response);
}

grpc::Status ModelService::RollBackAlias(grpc::ServerContext* context,
                                         const v1::RollBackAliasRequest* request,
                                         v1::Alias* response) {
  security::Caller caller;
  grpc::Status allowed = ports_.authenticator->CheckUser(*context, security::kPromoter, &caller);
  if (!allowed.ok()) return allowed;
  return Answer(models::RollBackAlias(ports_.database, *request, caller.actor()), response);
}

grpc::Status ModelService::DeleteAlias(grpc::ServerContext* context,
                                       const v1::DeleteAliasRequest* request,
                                       v1::DeleteAliasResponse* response) {
  security::Caller caller;
  grpc::Status allowed = ports_.authenticator->CheckUser(*context, security::kPromoter, &caller);
  if (!allowed.ok()) return allowed;
  return Answer(models::DeleteAlias(ports_.database, *request, caller.actor()), response);
}

grpc::Status ModelService::ListAliases(grpc::ServerContext* context,
                                       const v1::ListAliasesRequest* request,
                                       v1::ListAliasesResponse* response) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(models::ListAliases(ports_.database, *request), response);
}

grpc::Status ModelService::ListAliasMoves(grpc::ServerContext* context,
                                          const v1::ListAliasMovesRequest* request,
                                          v1::ListAliasMovesResponse* response) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(models::ListAliasMoves(ports_.database, *request), response);
}

grpc::Status ModelService::PruneModels(grpc::ServerContext* context,
                                       const v1::PruneModelsRequest* request,
                                       v1::PruneModelsResponse* response) {
  security::Caller caller;
  grpc::Status allowed = ports_.authenticator->CheckUser(*context, security::kPromoter, &caller);
  if (!allowed.ok()) return allowed;
  return Answer(ports_.registry->Prune(*request, caller.actor()), response);
}

grpc::Status ModelService::GetModelCard(grpc::ServerContext* context,
                                        const v1::GetModelCardRequest* request,
                                        v1::ModelCard* response) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  Result<v1::ModelVersion> version = ports_.registry->Get(request->model());
  if (!version.ok()) return rpc::ToGrpc(version.status());
  Result<models::CardFacts> facts =
      models::GatherCard(ports_.database, *version, ports_.find_dataset);
  if (!facts.ok()) return rpc::ToGrpc(facts.status());
  response->set_markdown(models::RenderCard(*facts));
  return grpc::Status::OK;
}

Result<v1::GateReport> ModelService::FindReport(const std::string& model) {
  ATTUNE_ASSIGN_OR_RETURN(v1::ModelVersion version, ports_.registry->Get(model));
  v1::GateReport report;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(
        report, models::FindGateReport(
                    transaction, versions::FormatReference(version.name(), version.version())));
    return Status();
  }));
  return report;
}

grpc::Status ModelService::GetGateReport(grpc::ServerContext* context,
                                         const v1::GetGateReportRequest* request,
                                         v1::GateReport* response) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  return Answer(FindReport(request->model()), response);
}

grpc::Status ModelService::ReadGateFacts(grpc::ServerContext* context,
                                         const v1::GetGateReportRequest* request,
                                         grpc::ServerWriter<v1::GateFactsChunk>* writer) {
  grpc::Status allowed = ports_.authenticator->CheckUser(*context);
  if (!allowed.ok()) return allowed;
  Result<v1::GateReport> report = FindReport(request->model());
  if (!report.ok()) return rpc::ToGrpc(report.status());
  return rpc::ToGrpc(
      models::ReadGateFacts(ports_.storage, *report, [&](std::string_view bytes) -> Status {
        v1::GateFactsChunk chunk;
        chunk.set_data(bytes.data(), bytes.size());
        return writer->Write(chunk) ? Status() : Cancelled("the reader of the facts has gone");
      }));
}

}  // namespace attune
