#include "common/rpc/certificates.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/temporary_folder.h"

namespace attune::rpc {
namespace {

using std::chrono::seconds;

class CertificatesTest : public ::testing::Test {
 protected:
  // A certificate of "localhost" that is its own authority.
  PemFiles Make(const std::string& name, int days) {
    const std::string base = folder_.path() / name;
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "
        "/CN=localhost -addext subjectAltName=DNS:localhost -days " +
        std::to_string(days) + " -keyout " + base + ".key -out " + base + ".pem 2> /dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    return {base + ".pem", base + ".pem", base + ".key"};
  }
  void Serve(const PemFiles& files) {
    auto credentials = ServerCredentials({"", files.cert, files.key}, seconds(1));
    ASSERT_TRUE(credentials.ok()) << credentials.status().ToString();
    grpc::ServerBuilder builder;
    builder.AddListeningPort("localhost:0", *credentials, &port_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  // Whether somebody who trusts this authority gets a connection.
  bool Connects(const std::string& ca, seconds patience) {
    const auto until = std::chrono::system_clock::now() + patience;
    do {
      auto credentials = ClientCredentials({ca, "", ""});
      if (!credentials.ok()) return false;
      grpc::ChannelArguments own;  // not the connection of another channel
      own.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      auto channel =
          grpc::CreateCustomChannel("localhost:" + std::to_string(port_), *credentials, own);
      if (channel->WaitForConnected(std::chrono::system_clock::now() + seconds(2))) return true;
    } while (std::chrono::system_clock::now() < until);
    return false;
  }

  TemporaryFolder folder_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(CertificatesTest, ARenewedCertificateIsTakenUp) {
  const PemFiles first = Make("first", 30), second = Make("second", 30);
  const PemFiles used{"", folder_.path() / "used.pem", folder_.path() / "used.key"};
  const auto use = [&](const PemFiles& files) {
    const auto replace = std::filesystem::copy_options::overwrite_existing;
    std::filesystem::copy_file(files.key, used.key, replace);
    std::filesystem::copy_file(files.cert, used.cert, replace);
  };
  use(first);
  ASSERT_NO_FATAL_FAILURE(Serve(used));
  EXPECT_TRUE(Connects(first.ca, seconds(60)));
  EXPECT_FALSE(Connects(second.ca, seconds(0)));
  use(second);
  EXPECT_TRUE(Connects(second.ca, seconds(60)));
}

TEST_F(CertificatesTest, AFileThatIsNotThereIsSaid) {
  const PemFiles files = Make("some", 30);
  auto credentials = ServerCredentials({"", files.cert, files.key + ".no"});
  ASSERT_FALSE(credentials.ok());
  EXPECT_EQ(credentials.status().code(), StatusCode::kNotFound);
  EXPECT_NE(credentials.status().message().find("private key"), std::string::npos);
  EXPECT_FALSE(ClientCredentials({files.ca + ".no", "", ""}).ok());
}

TEST_F(CertificatesTest, ExpiryIsTheCertificatesEnd) {
  const PemFiles files = Make("short", 3);
  auto expiry = CertificateExpiry(files.cert);
  ASSERT_TRUE(expiry.ok()) << expiry.status().ToString();
  const auto left = *expiry - SystemClock()->Now();
  EXPECT_GT(left, std::chrono::hours(71));
  EXPECT_LE(left, std::chrono::hours(72));
  EXPECT_EQ(CertificateExpiry(files.key).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace attune::rpc
