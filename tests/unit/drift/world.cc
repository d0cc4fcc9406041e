#include "tests/unit/drift/world.h"

#include <cmath>

namespace attune::drift::test {
namespace {

constexpr int kDimension = 16;

void Add(const Example& example, const Change& change, Sample* sample) {
  sample->dimension = static_cast<int>(example.embedding.size());
  sample->embeddings.insert(sample->embeddings.end(), example.embedding.begin(),
                            example.embedding.end());
  sample->lengths.push_back(std::round(example.length * change.length));
  sample->losses.push_back(example.loss * change.loss);
  sample->labelled_losses.push_back(example.loss * change.loss);
  sample->entropies.push_back(example.entropy);
  ++sample->categories["topic"][example.category];
  for (const std::string& word : example.words) ++sample->words[word];
  sample->ids.push_back(std::to_string(sample->ids.size()));
  sample->texts.push_back(example.text);
}

}  // namespace

double Uniform(Random& random) {
  return (static_cast<double>(random.Next() >> 11) + 0.5) * 0x1p-53;
}

double Normal(Random& random) {
  return std::sqrt(-2 * std::log(Uniform(random))) * std::cos(2 * M_PI * Uniform(random));
}

Pool MakePool(size_t count, int first_topic, int topics, uint64_t seed) {
  Random random(seed);
  Pool pool;
  for (size_t i = 0; i < count; ++i) {
    const int topic = first_topic + static_cast<int>(random.Below(static_cast<uint64_t>(topics)));
    Random of_topic(static_cast<uint64_t>(topic) + 1000);
    Example example;
    const double shared = Normal(random);
    for (int k = 0; k < kDimension; ++k) {
      const double center = 1.5 * Normal(of_topic);
      example.embedding.push_back(static_cast<float>(center + 0.6 * shared + 0.8 * Normal(random)));
    }
    example.length = std::round(20 + 15 * -std::log(Uniform(random)));
    example.loss = std::exp(0.5 + 0.1 * Normal(of_topic) + 0.3 * Normal(random));
    example.entropy = 2 + 0.4 * Normal(random);
    example.category = "topic" + std::to_string(topic);
    for (int word = 0; word < 12; ++word) {
      const uint64_t rank = random.Below(1 + random.Below(60));  // low ranks are frequent
      example.words.insert((word % 3 == 0 ? "of" + std::to_string(topic) + "x" : "word") +
                           std::to_string(rank));
    }
    for (const std::string& word : example.words) example.text += word + " ";
    pool.push_back(std::move(example));
  }
  return pool;
}

Sample Draw(const Pool& pool, size_t count, Random& random, const Change& change,
            const Pool& other) {
  Sample sample;
  for (size_t i = 0; i < count; ++i) {
    const bool of_other = !other.empty() && Uniform(random) < change.new_share;
    const Pool& from = of_other ? other : pool;
    Add(from[random.Below(from.size())], change, &sample);
  }
  return sample;
}

}  // namespace attune::drift::test
