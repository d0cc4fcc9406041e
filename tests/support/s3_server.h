#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace attune {

// A real S3 server on loopback, whose bucket "live" mirrors a folder. Dead with the object.
class S3Server {
 public:
  // Null, with the reason on standard error, when it does not start.
  static std::unique_ptr<S3Server> Start(const std::filesystem::path& folder);
  ~S3Server();
  S3Server(const S3Server&) = delete;
  S3Server& operator=(const S3Server&) = delete;

  // The bucket has the folder's files as they are now. False when the server has ended.
  bool Sync();
  // s3://live/PREFIX with the options that lead here.
  std::string Address(const std::string& prefix) const;

 private:
  S3Server() = default;
  std::string ReadLine();

  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
  std::string port_;
};

}  // namespace attune
