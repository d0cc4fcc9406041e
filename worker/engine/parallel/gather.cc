#include "worker/engine/parallel/gather.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "worker/engine/parallel/pages.h"

namespace attune::engine {
namespace {

using nlohmann::json;

constexpr int64_t kPieceBytes = int64_t{16} << 20;
// Where the file system cannot reserve room, every page is written.
constexpr std::chrono::minutes kAllocateSlack{30};

std::string LayoutOf(const NamedTensors& tensors) {
  json layout = json::array();
  for (const auto& [name, tensor] : tensors) {
    layout.push_back({{"name", name},
                      {"shape", tensor.sizes().vec()},
                      {"bytes", tensor.scalar_type() == at::kByte}});
  }
  return layout.dump();
}

// The tensors of a layout, in a file without a name.
Result<NamedTensors> Allocate(const std::string& text, const std::filesystem::path& folder) {
  NamedTensors tensors;
  for (const json& entry : json::parse(text)) {
    const auto shape = entry.at("shape").get<std::vector<int64_t>>();
    const at::ScalarType type = entry.at("bytes").get<bool>() ? at::kByte : at::kFloat;
    ATTUNE_ASSIGN_OR_RETURN(at::Tensor tensor, FilePages(shape, type, folder));
    tensors.emplace_back(entry.at("name").get<std::string>(), std::move(tensor));
  }
  return tensors;
}

// `from` of the owner, piece by piece, into `to` of rank 0.
Status Bring(Group& group, int owner, const at::Tensor& from, const at::Tensor& to,
             const at::TensorOptions& options, int64_t count) {
  const int64_t most = kPieceBytes / static_cast<int64_t>(options.dtype().itemsize());
  for (int64_t at = 0; at < count; at += most) {
    const int64_t size = std::min(most, count - at);
    at::Tensor piece = at::empty({size}, options);
    if (from.defined()) piece.copy_(from.view({-1}).narrow(0, at, size));
    ATTUNE_ASSIGN_OR_RETURN(const auto pending, group.StartBroadcast(piece, owner));
    ATTUNE_RETURN_IF_ERROR(pending->Wait());
    if (to.defined()) to.view({-1}).narrow(0, at, size).copy_(piece);
  }
  return Status();
}

}  // namespace

Result<NamedTensors> GatherOnFirst(Group& group, const NamedTensors& mine,
                                   const std::filesystem::path& folder) {
  at::NoGradGuard no_grad;
  NamedTensors all = group.rank() == 0 ? mine : NamedTensors();
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> layouts, group.Gather(LayoutOf(mine)));
  for (int owner = 1; owner < group.world_size(); ++owner) {
    Result<NamedTensors> room = NamedTensors();
    if (group.rank() == 0) room = Allocate(layouts[owner], folder);
    ATTUNE_RETURN_IF_ERROR(group.StatusFromFirst(room.status(), kAllocateSlack));
    const json layout = json::parse(layouts[owner]);
    for (size_t i = 0; i < layout.size(); ++i) {
      const auto shape = layout[i].at("shape").get<std::vector<int64_t>>();
      const auto type = layout[i].at("bytes").get<bool>() ? at::kByte : at::kFloat;
      ATTUNE_RETURN_IF_ERROR(
          Bring(group, owner, group.rank() == owner ? mine[i].second.detach() : at::Tensor(),
                group.rank() == 0 ? (*room)[i].second : at::Tensor(),
                at::TensorOptions(group.device()).dtype(type), c10::multiply_integers(shape)));
    }
    if (group.rank() == 0) std::ranges::move(*room, std::back_inserter(all));
  }
  return all;
}

}  // namespace attune::engine
