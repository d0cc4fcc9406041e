#pragma once

// A catalog on a storage of its own, and rows to import into it.

#include <gmock/gmock.h>

#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "coordinator/datasets/catalog.h"
#include "tests/unit/registry/temporary_storage.h"

namespace attune::datasets {

// {"text":"row FROM"} to {"text":"row TO-1"}, a line each.
inline std::string TextRows(int from, int to) {
  std::string rows;
  for (int i = from; i < to; ++i) rows += "{\"text\":\"row " + std::to_string(i) + "\"}\n";
  return rows;
}

inline v1::ImportDatasetRequest::Header Header(const std::string& name,
                                               const std::string& request_id = "") {
  v1::ImportDatasetRequest::Header header;
  header.set_name(name);
  header.set_request_id(request_id);
  return header;
}

inline v1::ImportDatasetRequest::Header AppendHeader(const std::string& name,
                                                     const std::string& request_id = "") {
  v1::ImportDatasetRequest::Header header = Header(name, request_id);
  header.set_append(true);
  return header;
}

inline Result<v1::DatasetVersion> ImportText(Catalog& catalog,
                                             const v1::ImportDatasetRequest::Header& header,
                                             const std::string& text) {
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Import> import, catalog.StartImport(header));
  ATTUNE_RETURN_IF_ERROR(import->Append("rows.jsonl", text));
  return import->Finish();
}

class CatalogTest : public ::testing::Test {
 protected:
  // With a failure of the test when it cannot be imported.
  v1::DatasetVersion MustImport(const v1::ImportDatasetRequest::Header& header,
                                const std::string& text) {
    Result<v1::DatasetVersion> version = ImportText(catalog_, header, text);
    EXPECT_TRUE(version.ok()) << version.status().ToString();
    return version.ok() ? *version : v1::DatasetVersion();
  }

  std::vector<std::string> Ids(const std::string& reference, const std::string& split) {
    std::vector<std::string> ids;
    Status status =
        catalog_.ForEachId(reference, split, [&](std::string_view id) { ids.emplace_back(id); });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return ids;
  }

  // The split of each id.
  std::map<std::string, std::string> Sides(const std::string& reference) {
    std::map<std::string, std::string> sides;
    for (const char* split : {"train", "validation", "unlabelled"}) {
      for (const std::string& id : Ids(reference, split)) {
        EXPECT_TRUE(sides.emplace(id, split).second) << id << " is there twice";
      }
    }
    return sides;
  }

  std::vector<std::string> Lines(const std::string& reference) {
    std::vector<std::string> lines;
    Status status = catalog_.ForEachRow(reference, [&](std::string_view line) {
      lines.emplace_back(line);
      return Status();
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return lines;
  }

  // As the storage's Tree, with HASH in place of what follows from a shard's content.
  std::set<std::string> Files(const std::string& sub) {
    std::set<std::string> names;
    for (const std::string& name : storage_.Tree(sub)) {
      names.insert(std::regex_replace(name, std::regex("-[0-9a-f]{16}[.]"), "-HASH."));
    }
    return names;
  }

  // The only shard of a split, below the storage: "datasets/docs/1/train-0123456789abcdef.jsonl".
  std::string ShardOf(const std::string& reference, const std::string& split) {
    const std::string folder = std::regex_replace("datasets/" + reference, std::regex("@"), "/");
    for (const std::string& name : storage_.Tree(folder)) {
      if (name.starts_with(split) && name.ends_with(".jsonl")) return folder + "/" + name;
    }
    ADD_FAILURE() << reference << " has no shard of " << split;
    return "";
  }

  // Changes a byte of a file of the storage.
  void Damage(const std::string& file) {
    std::fstream stream(storage_.path() / file, std::ios::in | std::ios::out | std::ios::binary);
    ASSERT_TRUE(stream) << file;
    stream.seekp(-4, std::ios::end);
    stream.put('!');
  }

  TemporaryStorage storage_;
  Catalog catalog_{storage_.database(), storage_.path()};
};

}  // namespace attune::datasets
