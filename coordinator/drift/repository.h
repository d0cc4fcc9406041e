#pragma once

// The rows of streams and their windows, profiles and files that were read. All functions run in
// the caller's transaction and throw soci_error as any statement does.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "attune/v1/drift.pb.h"
#include "coordinator/store/database.h"

namespace attune::drift {

inline constexpr uint32_t kPageSizeDefault = 100;
inline constexpr uint32_t kPageSizeMax = 1000;

struct StreamRecord {
  std::string incarnation;  // another one each time that the name is made anew
  v1::Stream stream;        // all but waiting, which CountWaiting has
  // Of LoadStreams: the stored record is damaged, and stream has no more than its name and the
  // problem. Its rows and windows are left alone.
  bool unreadable = false;
};

inline constexpr const char* kUnreadable =
    "its record in the database cannot be read: restore a backup, or delete the stream";

// A window's way. The numbers are stored.
enum class Phase {
  kOpen = 1,       // takes rows
  kFull = 2,       // takes none; its rows become a data set version next
  kClosed = 3,     // is a data set version; measured when those before it are
  kEmbedding = 4,  // its EMBED job and its profile are asked for
  kDone = 5,       // measured, failed or left unmeasured
};

struct WindowRecord {
  Phase phase = Phase::kOpen;
  // As observed, so duplicates count. Of its file below STORAGE/live/STREAM.
  uint64_t rows = 0, labelled = 0, bytes = 0;
  TimePoint opened;         // when the first row came
  TimePoint since;          // in kEmbedding: since when
  std::string profile_key;  // from kEmbedding on
  v1::Window window;
  // The stored message is damaged: window has what the columns say, and a problem as its reason.
  bool unreadable = false;
};

inline constexpr const char* kWindowUnreadable =
    "its record in the database cannot be read: restore a backup to know what was measured";

struct ProfileRecord {
  enum class Phase { kEmbedding = 1, kReady = 2, kFailed = 3 };  // the numbers are stored
  std::string key;
  // Another one each time that the key, once forgotten, is made anew: its jobs are new ones then.
  std::string made;
  Phase phase = Phase::kEmbedding;
  uint32_t attempt = 1;
  std::vector<std::string> jobs;  // EMBED jobs, one for each part; empty until submitted
  std::string reason;             // why it failed
  std::string sha256;             // of the file
  TimePoint since;                // when the attempt began
  v1::ReferenceProfile of;        // what it is of: model, data sets, categories, parts; no more
};

struct FileRecord {
  std::string path;
  uint64_t bytes = 0;
  int64_t modified_us = 0;
  std::string sha256;
};

// kNotFound says which there are.
Result<StreamRecord> FindStream(Transaction& transaction, const std::string& name);
// The same, but kNotFound also when the name was deleted and made anew since incarnation.
Result<StreamRecord> FindStream(Transaction& transaction, const std::string& name,
                                const std::string& incarnation);
void SaveStream(Transaction& transaction, const StreamRecord& record);
// Also of a record that is damaged. nullopt when there is none.
std::optional<std::string> FindIncarnation(Transaction& transaction, const std::string& name);
// With its windows and the files that were read; profiles stay.
void RemoveStream(Transaction& transaction, const std::string& name);
// By name, those after the given one.
std::vector<StreamRecord> LoadStreams(Transaction& transaction, const std::string& after,
                                      uint32_t limit);

// All but excluded and excluded_reason, which SetExcluded alone changes: whoever measures a window
// saves what it read a while ago.
void SaveWindow(Transaction& transaction, const WindowRecord& record);
void SetExcluded(Transaction& transaction, const std::string& stream, uint64_t number,
                 bool excluded, const std::string& reason);
std::optional<WindowRecord> FindWindow(Transaction& transaction, const std::string& stream,
                                       uint64_t number);
// The one that takes rows, if there is one.
std::optional<WindowRecord> FindOpenWindow(Transaction& transaction, const std::string& stream);
// The lowest number in one of the phases.
std::optional<WindowRecord> FirstWindow(Transaction& transaction, const std::string& stream,
                                        Phase from, Phase to);
// Those that are data set versions, oldest first; one whose record is damaged as failed.
std::vector<v1::Window> LoadWindows(Transaction& transaction, const std::string& stream,
                                    uint64_t after, uint32_t limit);
// The newest measured ones below a number that were held against the profile, oldest first.
std::vector<v1::Window> MeasuredBefore(Transaction& transaction, const std::string& stream,
                                       const std::string& profile_key, uint64_t number,
                                       uint32_t limit);
// The newest one that was measured.
std::optional<v1::Window> LastMeasured(Transaction& transaction, const std::string& stream);
// Times of windows that lie in the future, as the clock was set back: what counts from them would
// stand still until it has come that far again.
bool HasTimesAhead(Transaction& transaction, const std::string& stream);
// Makes them now.
void SetTimesBack(Transaction& transaction, const std::string& stream);
// That took their first row since then.
uint64_t CountWindowsSince(Transaction& transaction, const std::string& stream, TimePoint since);
uint64_t LastWindowNumber(Transaction& transaction, const std::string& stream);
// Bytes of rows that are no data set version yet.
uint64_t BacklogBytes(Transaction& transaction, const std::string& stream);
uint64_t CountWaiting(Transaction& transaction, const std::string& stream);
// Of all streams: "open", "waiting" (takes no more rows, is not measured yet), "embedding".
std::map<std::string, uint64_t> CountUnfinishedWindows(Transaction& transaction);

std::optional<FileRecord> FindFile(Transaction& transaction, const std::string& stream,
                                   const std::string& path);
bool HasContent(Transaction& transaction, const std::string& stream, const std::string& sha256);
void SaveFile(Transaction& transaction, const std::string& stream, const FileRecord& record);

// nullopt also when its record is damaged.
std::optional<ProfileRecord> FindProfile(Transaction& transaction, const std::string& key);
// Also notes that it is used now.
void SaveProfile(Transaction& transaction, const ProfileRecord& record);
// Another attempt, from the start.
void BeginAgain(ProfileRecord* record, TimePoint now);
// Forgets all but the keep that were used last, of those that no window waits for and that are not
// the last that a stream used, and returns their keys.
std::vector<std::string> PruneProfiles(Transaction& transaction, int keep);

}  // namespace attune::drift
