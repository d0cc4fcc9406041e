#include "worker/engine/parity/compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace attune::engine {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

float FloatAt(const SafetensorsTensor& tensor, size_t i) {
  float value;
  std::memcpy(&value, tensor.data.data() + i * sizeof value, sizeof value);
  return value;
}

Result<const SafetensorsTensor*> Find(const SafetensorsFile& file, const std::string& name,
                                      const SafetensorsTensor& like) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end()) return Internal("an update lost the weights " + name);
  if (found->second.dtype != "F32" || found->second.shape != like.shape) {
    return Internal("an update changed the shape or type of the weights " + name);
  }
  return &found->second;
}

// Infinite for what is no number, since a comparison with it would be false.
double Apart(double a, double b) {
  const double difference = std::abs(a - b);
  return std::isfinite(difference) ? difference : kInfinity;
}

double RelativeTo(double whole, double difference) {
  if (difference == 0) return 0;
  return whole > 0 ? difference / whole : kInfinity;
}

}  // namespace

Result<WeightsDistance> DistanceOf(const SafetensorsFile& start, const SafetensorsFile& reference,
                                   const SafetensorsFile& other) {
  if (reference.tensors().empty()) return Internal("an update left no weights");
  WeightsDistance distance;
  for (const auto& [name, tensor] : reference.tensors()) {
    ATTUNE_ASSIGN_OR_RETURN(const SafetensorsTensor* before, Find(start, name, tensor));
    ATTUNE_ASSIGN_OR_RETURN(const SafetensorsTensor* after, Find(other, name, tensor));
    for (size_t i = 0; i < tensor.data.size() / sizeof(float); ++i) {
      const double value = FloatAt(tensor, i);
      distance.moved = std::max(distance.moved, Apart(value, FloatAt(*before, i)));
      distance.apart = std::max(distance.apart, Apart(value, FloatAt(*after, i)));
    }
  }
  return distance;
}

Status Compare(const SafetensorsFile& start, const Updates& reference, const Updates& other,
               ParityRow* row) {
  const StepReport &first = reference.sgd.report, &report = other.sgd.report;
  row->loss = report.loss;
  row->grad_norm = report.grad_norm;
  row->loss_difference = RelativeTo(std::abs(first.loss), Apart(report.loss, first.loss));
  row->grad_norm_difference = RelativeTo(first.grad_norm, Apart(report.grad_norm, first.grad_norm));
  ATTUNE_ASSIGN_OR_RETURN(const WeightsDistance sgd,
                          DistanceOf(start, *reference.sgd.weights, *other.sgd.weights));
  ATTUNE_ASSIGN_OR_RETURN(const WeightsDistance adamw,
                          DistanceOf(start, *reference.adamw.weights, *other.adamw.weights));
  // Weights that stay where they are prove nothing.
  const bool moved = sgd.moved > 0 && adamw.moved > 0;
  row->gradient_difference = moved ? RelativeTo(sgd.moved, sgd.apart) : kInfinity;
  row->adamw_difference = moved ? adamw.apart : kInfinity;
  return Status();
}

}  // namespace attune::engine
