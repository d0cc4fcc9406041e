// Random sequences of imports, appends and deletions of one name's versions: each has what it was
// given, each example once, on the side where the version before had it, and is not disturbed by
// what happens to others. A failure prints the shortest sequence found and how to repeat it
// (RC_PARAMS).

#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <ostream>

#include "tests/unit/registry/catalog_fixture.h"

namespace attune::datasets {
namespace {

constexpr uint64_t kTestShardBytes = 4 << 10;

enum class Act { kReplace, kAppend, kDelete };

struct Step {
  Act act = Act::kReplace;
  int first = 0, count = 1;  // of the rows, which overlap those of other steps
  int gap = 0;               // each so manieth of them is left out; 0: none
  int marked = 0;            // each so manieth of them has metadata
  double validation = 0;     // of an import that replaces
  int version = 0;           // which of those that there are is deleted
};

std::ostream& operator<<(std::ostream& out, const Step& step) {
  constexpr const char* kNames[] = {"replace", "append", "delete"};
  return out << kNames[static_cast<int>(step.act)] << "{first " << step.first << ", count "
             << step.count << ", gap " << step.gap << ", marked " << step.marked << ", validation "
             << step.validation << ", version " << step.version << "}";
}

rc::Gen<Step> AnyStep() {
  return rc::gen::build<Step>(
      rc::gen::set(&Step::act, rc::gen::weightedElement<Act>(
                                   {{2, Act::kReplace}, {3, Act::kAppend}, {2, Act::kDelete}})),
      rc::gen::set(&Step::first, rc::gen::inRange(0, 200)),
      rc::gen::set(&Step::count, rc::gen::inRange(1, 400)),
      rc::gen::set(&Step::gap, rc::gen::element(0, 2, 7, 20)),
      rc::gen::set(&Step::marked, rc::gen::element(0, 3, 50)),
      rc::gen::set(&Step::validation, rc::gen::element(0.0, 0.05, 0.5)),
      rc::gen::set(&Step::version, rc::gen::inRange(0, 100)));
}

bool IsEach(int number, int each) {
  return each != 0 && number % each == 0;
}

// What the versions of a name should be, beside the catalog that has them.
class World {
 public:
  void Do(const Step& step) {
    if (step.act != Act::kDelete) {
      Import(step);
    } else if (!versions_.empty()) {
      Delete(static_cast<size_t>(step.version));
    }
  }

  void Check() {
    for (const auto& [version, expected] : versions_) {
      RC_ASSERT(LinesOf(version) == expected.lines);
      RC_ASSERT(SidesOf(version) == expected.sides);
    }
  }

  // What is left of the versions that were deleted.
  void CheckNothingIsLeft() {
    while (!versions_.empty()) Delete(0);
    RC_ASSERT(storage_.Bytes("datasets") == 0u);
  }

 private:
  struct Version {
    std::set<std::string> texts;
    std::vector<std::string> lines;
    std::map<std::string, std::string> sides;  // by id
  };

  static std::string ReferenceOf(uint32_t version) { return "d@" + std::to_string(version); }

  static std::string RowsOf(const Step& step, std::set<std::string>* texts) {
    std::string rows;
    for (int i = 0; i < step.count; ++i) {
      if (IsEach(i, step.gap)) continue;
      const std::string text = "row " + std::to_string(step.first + i);
      rows +=
          "{\"text\":\"" + text + "\"" + (IsEach(i, step.marked) ? ",\"source\":\"s\"}\n" : "}\n");
      texts->insert(text);
    }
    return rows;
  }

  void Import(const Step& step) {
    const bool append = step.act == Act::kAppend;
    Version made;
    const std::string rows = RowsOf(step, &made.texts);
    if (rows.empty()) return;
    auto header = append ? AppendHeader("d") : Header("d");
    if (!append) header.set_validation_fraction(step.validation);
    const Result<v1::DatasetVersion> version = ImportText(catalog_, header, rows);
    RC_ASSERT(version.ok());
    RC_ASSERT(version->version() > last_);  // no number is given out again
    last_ = version->version();
    made.lines = LinesOf(last_);
    made.sides = SidesOf(last_);
    if (!versions_.empty()) {
      const Version& before = versions_.rbegin()->second;
      if (append) made.texts.insert(before.texts.begin(), before.texts.end());
      for (const auto& [id, side] : before.sides) {
        const auto now = made.sides.find(id);
        RC_ASSERT((now == made.sides.end() ? !append : now->second == side));
      }
    }
    RC_ASSERT(TextsOf(made.lines) == made.texts);
    versions_[last_] = std::move(made);
  }

  void Delete(size_t number) {
    const auto one = std::next(versions_.begin(), static_cast<long>(number % versions_.size()));
    v1::DeleteDatasetsRequest request;
    request.set_dataset(ReferenceOf(one->first));
    const uint64_t before = storage_.Bytes("datasets");
    const Result<v1::DeleteDatasetsResponse> response = catalog_.Delete(request, "user:test");
    RC_ASSERT(response.ok());
    RC_ASSERT(storage_.Bytes("datasets") + response->bytes_freed() == before);
    versions_.erase(one);
  }

  static std::set<std::string> TextsOf(const std::vector<std::string>& lines) {
    std::set<std::string> texts;
    for (const std::string& line : lines) {
      RC_ASSERT(texts.insert(nlohmann::json::parse(line)["text"]).second);  // none twice
    }
    return texts;
  }

  std::vector<std::string> LinesOf(uint32_t version) {
    std::vector<std::string> lines;
    RC_ASSERT(catalog_
                  .ForEachRow(ReferenceOf(version),
                              [&](std::string_view line) {
                                lines.emplace_back(line);
                                return Status();
                              })
                  .ok());
    return lines;
  }

  std::map<std::string, std::string> SidesOf(uint32_t version) {
    std::map<std::string, std::string> sides;
    bool apart = true;
    for (const char* split : {"train", "validation", "unlabelled"}) {
      RC_ASSERT(catalog_
                    .ForEachId(ReferenceOf(version), split,
                               [&](std::string_view id) {
                                 apart &= sides.emplace(std::string(id), split).second;
                               })
                    .ok());
    }
    RC_ASSERT(apart);
    return sides;
  }

  TemporaryStorage storage_;
  Catalog catalog_{storage_.database(), storage_.path(), {}, kTestShardBytes};
  std::map<uint32_t, Version> versions_;
  uint32_t last_ = 0;
};

RC_GTEST_PROP(VersionsProperty, EachIsWholeAndKeepsEveryExampleOnItsSide, ()) {
  const auto steps = *rc::gen::resize(20, rc::gen::container<std::vector<Step>>(AnyStep()));
  World world;
  for (const Step& step : steps) {
    world.Do(step);
    world.Check();
  }
  world.CheckNothingIsLeft();
}

}  // namespace
}  // namespace attune::datasets
